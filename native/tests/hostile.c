/* hostile.c - random bytes on every parser, and arguments no caller should give:
 * nothing here has a right answer but surviving, and saying no. */
#include "machine.h"

static const char letters[] = "0123456789,,,---:/ \n\t+xa\0\xff";

static void random_list(uint64_t *seed)
{
    size_t length = (size_t)draw(seed, 40), words = (size_t)draw(seed, 5);
    char *text = malloc(length + 1);
    uint64_t *bits = calloc(words + 1, sizeof *bits);
    struct cpuset_fault fault = {0, 0, 0};
    bool bytes = chance(seed, 20);
    for (size_t i = 0; i < length; i++)
        text[i] = bytes ? (char)draw(seed, 256) : letters[draw(seed, (int32_t)sizeof letters - 1)];
    /* Just as long as said, with no byte after it. */
    char *exact = malloc(length ? length : 1);
    memcpy(exact, text, length);
    int status = cpuset_list_parse(exact, length, bits, words, &fault);
    CHECK(bits[words] == 0, "a bit beyond the last word");
    if (status == CPUSET_OK) {
        size_t size = cpuset_list_format(bits, words, NULL, 0);
        char *printed = malloc(size + 1);
        CHECK(cpuset_list_format(bits, words, printed, size + 1) == size, "the same length");
        CHECK(strlen(printed) == size, "ended by a 0");
        uint64_t again[8] = {0};
        CHECK(cpuset_list_parse(printed, size, again, words, &fault) == CPUSET_OK, "%s", printed);
        CHECK(!memcmp(again, bits, words * sizeof *bits), "%s", printed);
        for (size_t cut = 1; cut <= size; cut++)
            CHECK(cpuset_list_format(bits, words, printed, cut) == size && strlen(printed) == cut - 1,
                  "cut at %zu", cut);
        free(printed);
    } else {
        CHECK(status == CPUSET_E_SYNTAX || status == CPUSET_E_REVERSED || status == CPUSET_E_RANGE,
              "status %d", status);
        CHECK(fault.offset >= 0 && fault.offset <= (int64_t)length, "offset %lld",
              (long long)fault.offset);
        for (size_t w = 0; w < words; w++)
            CHECK(bits[w] == 0, "a wrong text set a bit");
    }
    free(exact);
    free(text);
    free(bits);
}

/* Any numbers as a topology; what is accepted must hold together. */
static void random_topology(uint64_t *seed)
{
    int32_t count = draw(seed, 40), small = chance(seed, 70);
    struct cpuset_cpu *cpus = malloc((size_t)(count + 1) * sizeof *cpus);
    for (int32_t i = 0; i < count; i++) {
        int32_t *field = (int32_t *)&cpus[i];
        for (int f = 0; f < 4; f++)
            field[f] = small ? draw(seed, f == 0 ? 70000 : 5) : (int32_t)next_random(seed);
    }
    size_t size = cpuset_topology_size((size_t)count);
    size_t given = chance(seed, 90) || !size ? size : (size_t)draw(seed, (int32_t)size);
    void *memory = malloc(given ? given : 1);
    const struct cpuset_topology *t = NULL;
    struct cpuset_fault fault = {0, 0, 0};
    int status = cpuset_topology_init(memory, given, cpus, (size_t)count, &t, &fault);
    CHECK((status == CPUSET_OK) == (t != NULL), "status %d", status);
    for (int32_t i = 0; t && i < count; i++) {
        struct cpuset_place at, before;
        CHECK(cpuset_place_of(t, i, &at) == CPUSET_OK, "place %d", i);
        CHECK(at.thread >= 0 && at.thread < at.threads, "thread %d of %d", at.thread, at.threads);
        CHECK(i == 0 || cpuset_place_of(t, i - 1, &before) == CPUSET_OK, "place %d", i - 1);
        CHECK(i == 0 || before.core < at.core || before.thread < at.thread, "order at %d", i);
    }
    free(memory);
    free(cpus);
}

/* Requests out of range on a good machine. */
static void random_request(uint64_t *seed)
{
    struct machine m;
    struct problem q;
    struct cpuset_fault fault;
    uint64_t chosen = 0, work[4096];
    int32_t ids[SMALL];
    random_machine(seed, &m);
    const struct cpuset_topology *t = make_topology(m.cpus, m.count);
    random_problem(seed, t, &q);
    int32_t *fields[] = {&q.request.count, &q.request.bind, &q.request.exclusive,
                         &q.request.strategy, &q.request.flags};
    *fields[draw(seed, 5)] = (int32_t)next_random(seed);
    if (chance(seed, 20))
        q.request.nodes = next_random(seed);
    if (chance(seed, 20))
        q.available = q.held_cores = q.held_nodes = next_random(seed);
    if (chance(seed, 20))
        q.references[draw(seed, SMALL)] = (uint16_t)draw(seed, 65536);
    int status = cpuset_select(t, &q.pool, &q.request, work, sizeof work, &chosen, &fault);
    CHECK(status <= 0, "status %d", status);
    if (status == CPUSET_OK) {
        CHECK(!(chosen & ~q.available) && !(chosen >> m.count), "chosen %llx",
              (unsigned long long)chosen);
        uint64_t nodes;
        CHECK(cpuset_select_ids(t, &q.pool, &q.request, work, sizeof work, ids, &nodes, &fault)
                  == CPUSET_OK, "ids");
        CHECK(!chosen == !nodes, "nodes %llx", (unsigned long long)nodes);
    }
    int64_t lines[CPUSET_LINES];
    (void)cpuset_measure(t, &q.pool, &q.request, &q.preferred, lines);
    struct cpuset_be be = {q.request.count, &q.available, &q.preferred, &q.held_cores};
    status = cpuset_select_be(t, &be, work, sizeof work, &chosen, &fault);
    CHECK(status == CPUSET_OK || status == CPUSET_E_MEMORY || status == CPUSET_E_RANGE, "%d", status);
    free((void *)(uintptr_t)t);
}

/* Hints with any scores: those out of bounds are refused, those at the bound are not. */
static void random_merge(uint64_t *seed)
{
    const int64_t most = CPUSET_MAX_SCORE;
    const int64_t scores[] = {INT64_MAX, INT64_MIN, most + 1, -most - 1, most, -most, 100, 0};
    size_t start[6], at = 0, lists = (size_t)draw(seed, 6);
    struct cpuset_hint hints[32];
    struct cpuset_affinity affinity;
    struct cpuset_fault fault;
    uint64_t work[512], status[8] = {0};
    bool wild = chance(seed, 50), out = false;
    for (size_t list = 0; list < lists; list++) {
        start[list] = at;
        for (int32_t i = draw(seed, 6); i > 0; i--, at++) {
            int64_t score = scores[wild ? draw(seed, 8) : 4 + draw(seed, 4)];
            hints[at] = (struct cpuset_hint){next_random(seed) & 15, score, draw(seed, 2)};
            out |= score > most || score < -most;
        }
    }
    start[lists] = at;
    struct cpuset_merge merge = {.hints = hints, .start = start, .lists = lists, .all = 15,
                                 .policy = draw(seed, 3), .exclusive = draw(seed, 2),
                                 .status = (const uint8_t *)status};
    int result = cpuset_merge_hints(&merge, work, sizeof work, &affinity, &fault);
    CHECK(result == (out ? CPUSET_E_RANGE : CPUSET_OK), "status %d", result);
    merge.lists = (size_t)CPUSET_MAX_LISTS + 1;
    CHECK(cpuset_merge_hints(&merge, work, sizeof work, &affinity, &fault) == CPUSET_E_RANGE, "lists");
}

static void nothing_given(void)
{
    struct machine m = {{{0, 0, 0, 0}}, 1};
    const struct cpuset_topology *t = make_topology(m.cpus, m.count);
    uint64_t bits = 1, work[64];
    int64_t score;
    struct cpuset_pool pool = {.available = &bits}, none = {0};
    struct cpuset_request request = {.count = 1};
    struct cpuset_affinity affinity;
    struct cpuset_be be = {.want = 1};
    const int bad = CPUSET_E_ARGUMENT;
    CHECK(cpuset_select(NULL, &pool, &request, work, 64, &bits, NULL) == bad, "topology");
    CHECK(cpuset_select(t, NULL, &request, work, 64, &bits, NULL) == bad, "pool");
    CHECK(cpuset_select(t, &none, &request, work, 64, &bits, NULL) == bad, "available");
    CHECK(cpuset_select(t, &pool, NULL, work, 64, &bits, NULL) == bad, "request");
    CHECK(cpuset_select(t, &pool, &request, work, 64, NULL, NULL) == bad, "chosen");
    CHECK(cpuset_select_be(t, &be, work, 64, &bits, NULL) == bad, "candidates");
    CHECK(cpuset_select_be(NULL, &be, work, 64, &bits, NULL) == bad, "topology");
    CHECK(cpuset_merge_hints(NULL, work, 64, &affinity, NULL) == bad, "merge");
    CHECK(cpuset_best_nodes(NULL, 1, 1, 1, 0, 0, NULL, 9, &bits, &score, NULL) == bad, "amounts");
    CHECK(cpuset_best_nodes(NULL, 0, 65, 1, 0, 0, NULL, 9, &bits, &score, NULL) == bad, "nodes");
    CHECK(cpuset_list_parse(NULL, 0, &bits, 1, NULL) == bad, "text");
    CHECK(cpuset_topology_size(0) == 0 && cpuset_topology_size(SIZE_MAX) == 0, "sizes");
    free((void *)(uintptr_t)t);
}

int main(int argc, char **argv)
{
    int64_t rounds = argc > 1 ? atoll(argv[1]) : 20000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 3;
    nothing_given();
    for (int64_t i = 0; i < rounds; i++) {
        random_list(&seed);
        random_topology(&seed);
        random_request(&seed);
        random_merge(&seed);
    }
    printf("hostile: %lld rounds of random bytes and arguments survived\n", (long long)rounds);
    return 0;
}
