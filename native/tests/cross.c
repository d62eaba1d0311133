/* cross.c - on large machines: the short way against the general one, bit for
 * bit, and the general way with too little scratch memory of every kind. */
#include "check.h"

enum { LARGE = 512 };

struct pools {
    uint64_t available[LARGE / 64], held_cores[LARGE / 64], held_nodes[LARGE / 64];
    uint64_t preferred[LARGE / 64];
    uint16_t references[LARGE];
};

static void fill(uint64_t *seed, uint64_t *bits, int32_t words, int32_t percent)
{
    for (int32_t w = 0; w < words; w++) {
        bits[w] = 0;
        for (int32_t i = 0; i < 64; i++)
            bits[w] |= (uint64_t)chance(seed, percent) << i;
    }
}

/* Cores of one and two threads, nodes of different size. */
static const struct cpuset_topology *random_large(uint64_t *seed)
{
    static const int32_t sizes[] = {16, 48, 64, 130, 256, 512};
    struct cpuset_cpu cpus[LARGE];
    int32_t count = sizes[draw(seed, 6)], sockets = 1 + draw(seed, 4), node = 0;
    int32_t nodes = sockets * (1 + draw(seed, 3)), core = 0, both = draw(seed, 4) ? 100 : 60;
    for (int32_t i = 0; i < count; core++) {
        if (node < nodes - 1 && i >= count * (node + 1) / nodes)
            node++;
        int32_t threads = chance(seed, both) ? 2 : 1;
        for (int32_t t = 0; t < threads && i < count; t++, i++)
            cpus[i] = (struct cpuset_cpu){i, core, node, node * sockets / nodes};
    }
    return make_topology(cpus, count);
}

static void compare_ways(uint64_t *seed)
{
    struct pools pools;
    uint64_t quick[LARGE / 64], slow[LARGE / 64];
    struct cpuset_fault fault = {0, 0, 0}, other = {0, 0, 0};
    const struct cpuset_topology *t = random_large(seed);
    int32_t words = cpuset_words(t), cpus = cpuset_cpus(t);
    fill(seed, pools.available, words, 20 + draw(seed, 81));
    fill(seed, pools.held_cores, words, 3);
    fill(seed, pools.held_nodes, words, 1);
    bool outside = chance(seed, 80);
    for (int32_t w = 0; w < words; w++) {
        pools.held_cores[w] &= outside ? ~pools.available[w] : ~UINT64_C(0);
        pools.held_nodes[w] &= outside ? ~pools.available[w] : ~UINT64_C(0);
    }
    struct cpuset_pool pool = {
        .available = pools.available,
        .held_cores = chance(seed, 30) ? pools.held_cores : NULL,
        .held_nodes = chance(seed, 20) ? pools.held_nodes : NULL,
    };
    struct cpuset_request request = {
        .count = 1 + draw(seed, chance(seed, 60) ? 24 : cpus),
        .bind = draw(seed, 3),
        .exclusive = draw(seed, 3),
        .strategy = draw(seed, 2),
        .flags = (chance(seed, 30) ? CPUSET_REQUIRED : 0)
            | (chance(seed, 30) ? CPUSET_KEEP_WHOLE : 0),
    };
    int status = select_with_memory(t, &pool, &request, quick, &fault);
    request.flags |= CPUSET_GENERAL_ONLY;
    CHECK(select_with_memory(t, &pool, &request, slow, &other) == status, "status %d", status);
    if (status)
        CHECK(fault.value == other.value, "%lld and %lld", (long long)fault.value,
              (long long)other.value);
    else
        CHECK(!memcmp(quick, slow, (size_t)words * sizeof *quick),
              "count %d bind %d exclusive %d flags %d", request.count, request.bind,
              request.exclusive, request.flags);
    free((void *)(uintptr_t)t);
}

/* Every failing allocation: the scratch memory ends at each possible place. The
 * answer must be E_MEMORY or the right one, and `chosen` untouched till then. */
static void starve(uint64_t *seed)
{
    struct pools pools;
    uint64_t right[LARGE / 64], chosen[LARGE / 64], marked[LARGE / 64];
    struct cpuset_fault fault = {0, 0, 0};
    const struct cpuset_topology *t = random_large(seed);
    int32_t words = cpuset_words(t);
    fill(seed, pools.available, words, 70);
    fill(seed, pools.preferred, words, 40);
    for (int32_t i = 0; i < LARGE; i++)
        pools.references[i] = (uint16_t)draw(seed, chance(seed, 50) ? 3 : CPUSET_MAX_REFERENCES + 1);
    struct cpuset_pool pool = {.available = pools.available, .preferred = pools.preferred,
                               .references = pools.references};
    struct cpuset_request request = {.count = 7, .bind = draw(seed, 3), .exclusive = 0};
    CHECK(select_with_memory(t, &pool, &request, right, &fault) == CPUSET_OK, "the right answer");
    memset(marked, 0xA5, sizeof marked);
    size_t step = 1 + (size_t)draw(seed, 40), size = 0;
    for (int status = CPUSET_E_MEMORY; status == CPUSET_E_MEMORY; size += step) {
        void *work = malloc(size);
        memcpy(chosen, marked, sizeof marked);
        status = cpuset_select(t, &pool, &request, work, work ? size : 0, chosen, &fault);
        free(work);
        if (status == CPUSET_OK) {
            CHECK(!memcmp(chosen, right, (size_t)words * sizeof *right), "same with %zu bytes", size);
        } else {
            CHECK(status == CPUSET_E_MEMORY, "status %d", status);
            CHECK(!memcmp(chosen, marked, sizeof marked), "touched with %zu bytes", size);
            CHECK(fault.value > (int64_t)size - 16, "asks for %lld, had %zu",
                  (long long)fault.value, size);
        }
    }
    free((void *)(uintptr_t)t);
}

int main(int argc, char **argv)
{
    int32_t cases = argc > 1 ? atoi(argv[1]) : 1000, starved = cases / 100 + 1;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 7;
    for (int32_t i = 0; i < cases; i++)
        compare_ways(&seed);
    for (int32_t i = 0; i < starved; i++)
        starve(&seed);
    printf("ways: %d large cases the same both ways, %d starved of memory at every size\n", cases,
           starved);
    return 0;
}
