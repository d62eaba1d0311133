/* be.c - cpuset_select_be against every subset, on random small machines. */
#include "machine.h"

struct be_case {
    struct machine machine;
    uint64_t candidates, lsr, old;
    int32_t want;
};

static int select_be(const struct cpuset_topology *t, const struct cpuset_be *be, uint64_t *chosen,
                     struct cpuset_fault *fault)
{
    int status = cpuset_select_be(t, be, NULL, 0, chosen, fault);
    void *work = NULL;
    for (int tries = 0; status == CPUSET_E_MEMORY && tries < 20; tries++) {
        size_t size = (size_t)fault->value;
        free(work);
        work = malloc(size);
        status = cpuset_select_be(t, be, work, size, chosen, fault);
    }
    free(work);
    return status;
}

/* What a set costs, from the places of its CPUs alone. */
static void measure(const struct cpuset_place *at, int32_t count, const struct be_case *c,
                    int32_t nodes, int32_t share, uint64_t set, int32_t out[4])
{
    int32_t by_node[SMALL] = {0}, by_core[SMALL] = {0}, size[SMALL] = {0};
    memset(out, 0, 4 * sizeof *out);
    for (int32_t i = 0; i < count; i++) {
        size[at[i].core]++;
        if (!(set >> i & 1U))
            continue;
        by_core[at[i].core]++;
        by_node[at[i].node]++;
    }
    out[0] = abs(__builtin_popcountll(set & c->lsr) - share);
    for (int32_t core = 0; core < SMALL; core++)
        out[1] += by_core[core] > 0 && by_core[core] < size[core];
    for (int32_t a = 0; a < nodes; a++)
        for (int32_t b = 0; b < nodes; b++)
            if (by_node[a] - by_node[b] > out[2])
                out[2] = by_node[a] - by_node[b];
    out[3] = __builtin_popcountll(set & ~c->old);
}

static int order(const int32_t a[4], const int32_t b[4])
{
    for (int i = 0; i < 4; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static void one_case(uint64_t *seed, int64_t number)
{
    struct be_case c;
    struct cpuset_fault fault = {0, 0, 0};
    struct cpuset_place at[SMALL];
    uint64_t chosen = 0;
    random_machine(seed, &c.machine);
    const struct cpuset_topology *t = make_topology(c.machine.cpus, c.machine.count);
    int32_t count = cpuset_cpus(t), best[4] = {0}, here[4];
    uint64_t all = (UINT64_C(1) << count) - 1;
    c.candidates = all & random_bits(seed, 30 + draw(seed, 71));
    c.lsr = all & random_bits(seed, draw(seed, 60));
    c.old = random_bits(seed, 50);
    c.want = draw(seed, SMALL + 2) - 1;
    for (int32_t i = 0; i < count; i++)
        (void)cpuset_place_of(t, i, &at[i]);
    struct cpuset_be be = {c.want, &c.candidates, &c.lsr, &c.old};
    int status = select_be(t, &be, &chosen, &fault);
    CHECK(status == CPUSET_OK, "case %lld: status %d", (long long)number, status);

    int32_t had = __builtin_popcountll(c.candidates), k = c.want < had ? c.want : had;
    k = k < 0 ? 0 : k;
    int32_t share = had ? k * __builtin_popcountll(c.candidates & c.lsr) / had : 0;
    CHECK(!(chosen & ~c.candidates), "case %lld: forbidden CPUs", (long long)number);
    CHECK(__builtin_popcountll(chosen) == k, "case %lld: %d CPUs, not %d", (long long)number,
          __builtin_popcountll(chosen), k);
    bool found = false;
    uint64_t s = 0;
    do {
        if (__builtin_popcountll(s) == k) {
            measure(at, count, &c, cpuset_nodes(t), share, s, here);
            if (!found || order(here, best) < 0)
                memcpy(best, here, sizeof here);
            found = true;
        }
        s = (s - c.candidates) & c.candidates;
    } while (s);
    measure(at, count, &c, cpuset_nodes(t), share, chosen, here);
    int64_t measured[4];
    CHECK(cpuset_measure_be(t, &be, &chosen, measured) == CPUSET_OK, "measure");
    for (int i = 0; i < 4; i++) {
        CHECK(measured[i] == here[i], "case %lld: measure %d", (long long)number, i);
        CHECK(here[i] == best[i], "case %lld: line %d is %d, could be %d", (long long)number, i,
              here[i], best[i]);
    }
    free((void *)(uintptr_t)t);
}

/* A large machine, with the scratch memory ending at many places. */
static void starve(uint64_t *seed)
{
    enum { CPUS = 192 };
    struct cpuset_cpu cpus[CPUS];
    uint64_t candidates[3], lsr[3], old[3], right[3], chosen[3];
    struct cpuset_fault fault = {0, 0, 0};
    for (int32_t i = 0; i < CPUS; i++)
        cpus[i] = (struct cpuset_cpu){i, i / 2, i / 64, i / 64};
    for (int w = 0; w < 3; w++) {
        candidates[w] = next_random(seed) | next_random(seed);
        lsr[w] = next_random(seed) & next_random(seed);
        old[w] = next_random(seed);
    }
    const struct cpuset_topology *t = make_topology(cpus, CPUS);
    struct cpuset_be be = {100, candidates, lsr, old};
    CHECK(select_be(t, &be, right, &fault) == CPUSET_OK, "the right answer");
    int status = CPUSET_E_MEMORY;
    for (size_t size = 0; status == CPUSET_E_MEMORY; size += 1 + size / 3) {
        void *work = malloc(size);
        memset(chosen, 0xA5, sizeof chosen);
        status = cpuset_select_be(t, &be, work, work ? size : 0, chosen, &fault);
        free(work);
        CHECK(status == CPUSET_E_MEMORY || status == CPUSET_OK, "status %d", status);
        if (status == CPUSET_E_MEMORY)
            CHECK(chosen[0] == UINT64_C(0xA5A5A5A5A5A5A5A5), "touched with %zu bytes", size);
        else
            CHECK(!memcmp(chosen, right, sizeof right), "another answer with %zu bytes", size);
    }
    free((void *)(uintptr_t)t);
}

int main(int argc, char **argv)
{
    int64_t cases = argc > 1 ? atoll(argv[1]) : 2000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 65;
    for (int64_t i = 0; i < cases; i++)
        one_case(&seed, i);
    for (int i = 0; i < 20; i++)
        starve(&seed);
    printf("suppression: %lld cases as good as the best of all subsets, 20 starved of memory\n",
           (long long)cases);
    return 0;
}
