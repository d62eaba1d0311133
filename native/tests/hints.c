/* hints.c - merging against all combinations, the best nodes against all masks. */
#include "check.h"

enum { LISTS = 4, PER_LIST = 9, ROOM = LISTS * PER_LIST };

struct merge_case {
    struct cpuset_hint hints[ROOM];
    size_t start[LISTS + 1];
    uint8_t status[8];
    struct cpuset_merge merge;
};

static void random_case(uint64_t *seed, struct merge_case *c)
{
    int32_t nodes = 1 + draw(seed, 6);
    size_t at = 0, lists = (size_t)draw(seed, LISTS + 1);
    for (size_t list = 0; list <= LISTS; list++) {
        c->start[list] = at;
        int32_t count = list < lists && chance(seed, 90) ? draw(seed, PER_LIST) : 0;
        for (int32_t i = 0; i < count; i++)
            c->hints[at++] = (struct cpuset_hint){
                .mask = (uint64_t)draw(seed, 1 << nodes) * chance(seed, 97),
                .score = 10 * draw(seed, 4),
                .preferred = chance(seed, 40),
            };
    }
    for (int i = 0; i < 8; i++)
        c->status[i] = (uint8_t)draw(seed, 3);
    c->merge = (struct cpuset_merge){
        .hints = c->hints, .start = c->start, .lists = lists,
        .all = (UINT64_C(1) << nodes) - 1, .policy = draw(seed, 3),
        .exclusive = chance(seed, 50), .status = chance(seed, 80) ? c->status : NULL,
    };
}

static bool better(const struct cpuset_affinity *a, const struct cpuset_affinity *b)
{
    int nodes_a = __builtin_popcountll(a->mask), nodes_b = __builtin_popcountll(b->mask);
    if (a->preferred != b->preferred)
        return a->preferred;
    if (nodes_a != nodes_b)
        return nodes_a < nodes_b;
    if (a->score != b->score)
        return a->score > b->score;
    return a->mask != b->mask ? a->mask < b->mask : a->unsatisfied < b->unsatisfied;
}

static bool exclusive_forbids(const struct cpuset_merge *m, uint64_t mask)
{
    if (!m->exclusive || !m->status)
        return false;
    for (int i = 0; i < 8; i++)
        if (mask >> i & 1U
            && m->status[i] == (__builtin_popcountll(mask) > 1 ? CPUSET_NODE_SINGLE
                                                                : CPUSET_NODE_SHARED))
            return true;
    return false;
}

/* Every combination of hints from list `list` on, one of each. */
static void combine(const struct cpuset_merge *m, size_t list, const struct cpuset_hint **picked,
                    struct cpuset_affinity *best)
{
    static const struct cpuset_hint nowhere = {0, 0, 0};
    if (list < m->lists) {
        bool empty = m->start[list] == m->start[list + 1];
        for (size_t i = m->start[list]; i < m->start[list + 1]; i++) {
            picked[list] = &m->hints[i];
            if (m->policy == CPUSET_NUMA_SINGLE
                && (!picked[list]->preferred || __builtin_popcountll(picked[list]->mask) > 1))
                continue;
            combine(m, list + 1, picked, best);
        }
        if (empty && m->policy != CPUSET_NUMA_SINGLE) {
            picked[list] = &nowhere;
            combine(m, list + 1, picked, best);
        }
        return;
    }
    struct cpuset_affinity found = {.mask = m->all, .preferred = 1};
    uint64_t first = 0;
    int widest = 0;
    for (size_t i = 0; i < m->lists; i++) {
        uint64_t mask = picked[i]->mask;
        found.preferred &= picked[i]->preferred != 0;
        if (!mask)
            continue;
        found.mask &= mask;
        found.preferred &= !first || first == mask;
        first = mask;
        widest = __builtin_popcountll(mask) > widest ? __builtin_popcountll(mask) : widest;
    }
    if (!found.mask)
        return;
    for (size_t i = 0; i < m->lists; i++)
        found.score += picked[i]->mask == found.mask ? picked[i]->score : 0;
    found.unsatisfied = __builtin_popcountll(found.mask) < widest;
    found.preferred &= !exclusive_forbids(m, found.mask);
    if (better(&found, best))
        *best = found;
}

static void compare(const struct merge_case *c, int64_t number)
{
    const struct cpuset_merge *m = &c->merge;
    const struct cpuset_hint *picked[LISTS];
    struct cpuset_affinity got = {0}, best = {.mask = m->all};
    struct cpuset_fault fault = {0, 0, 0};
    void *work = NULL;
    combine(m, 0, picked, &best);
    bool nowhere = false;
    for (size_t list = 0; list < m->lists; list++)
        nowhere |= m->start[list] == m->start[list + 1];
    best.admit = m->policy == CPUSET_NUMA_BEST_EFFORT || (best.preferred && !nowhere);
    if (m->policy == CPUSET_NUMA_BEST_EFFORT && best.unsatisfied)
        best = (struct cpuset_affinity){.mask = m->all, .admit = 1};
    if (m->policy == CPUSET_NUMA_SINGLE && best.mask == m->all)
        best.mask = 0;

    int status = cpuset_merge_hints(m, NULL, 0, &got, &fault);
    for (int tries = 0; status == CPUSET_E_MEMORY && tries < 20; tries++) {
        free(work);
        work = malloc((size_t)fault.value);
        status = cpuset_merge_hints(m, work, (size_t)fault.value, &got, &fault);
    }
    free(work);
    CHECK(status == CPUSET_OK, "case %lld: status %d", (long long)number, status);
    CHECK(got.mask == best.mask && got.score == best.score && got.preferred == best.preferred
              && got.admit == best.admit && got.unsatisfied == best.unsatisfied,
          "case %lld policy %d: %llx score %lld %d%d%d, best %llx score %lld %d%d%d",
          (long long)number, m->policy, (unsigned long long)got.mask, (long long)got.score,
          got.preferred, got.admit, got.unsatisfied, (unsigned long long)best.mask,
          (long long)best.score, best.preferred, best.admit, best.unsatisfied);
}

/* Whether some of the pieces on the nodes of `s` make `want`, kind after kind. */
static bool pieces_make(const struct cpuset_amount *a, uint64_t s, int32_t kind, int64_t want)
{
    if (kind == a->kinds || want == 0)
        return want == 0;
    int64_t count = 0;
    for (int i = 0; i < 8; i++)
        count += s >> i & 1U ? a->pieces[i * a->kinds + kind] : 0;
    for (int64_t some = 0; some <= count && some * a->piece[kind] <= want; some++)
        if (pieces_make(a, s, kind + 1, want - some * a->piece[kind]))
            return true;
    return false;
}

/* Makes an amount come in pieces of one to three kinds. */
static void into_pieces(uint64_t *seed, struct cpuset_amount *a, int64_t *free_amounts,
                        int64_t *capacity, int32_t *piece, int32_t *pieces)
{
    a->kinds = 1 + draw(seed, 3);
    a->piece = piece;
    a->pieces = pieces;
    for (int k = 0; k < a->kinds; k++)
        piece[k] = 1 + draw(seed, 4);
    for (int i = 0; i < 8; i++) {
        free_amounts[i] = 0;
        for (int k = 0; k < a->kinds; k++) {
            pieces[i * a->kinds + k] = draw(seed, 5) * chance(seed, 70);
            free_amounts[i] += (int64_t)pieces[i * a->kinds + k] * piece[k];
        }
        capacity[i] = free_amounts[i] + draw(seed, 8);
    }
    a->want = draw(seed, 30);
}

/* cpuset_best_nodes against all masks; some machines have nodes that are alike. */
static void best_nodes(uint64_t *seed)
{
    int64_t free_amounts[3][8], capacity[3][8], score = 0, best_score = 0;
    int32_t piece[3][3], pieces[3][24];
    struct cpuset_amount amounts[3];
    uint8_t status[8];
    uint64_t mask = 0, best = 0;
    int32_t nodes = 1 + draw(seed, 8), strategy = draw(seed, 2), exclusive = draw(seed, 2);
    size_t resources = (size_t)draw(seed, 4);
    for (size_t r = 0; r < resources; r++) {
        for (int i = 0; i < 8; i++) {
            capacity[r][i] = draw(seed, 60) * (int64_t)chance(seed, 95);
            free_amounts[r][i] = draw(seed, (int32_t)capacity[r][i] + 1);
        }
        amounts[r] = (struct cpuset_amount){draw(seed, 80), free_amounts[r], capacity[r],
                                            0, NULL, NULL};
        if (chance(seed, 40))
            into_pieces(seed, &amounts[r], free_amounts[r], capacity[r], piece[r], pieces[r]);
    }
    int32_t most = chance(seed, 70) ? nodes : draw(seed, nodes + 1);
    bool repeat = chance(seed, 40);
    for (size_t r = 0; repeat && r < resources; r++)
        for (int i = 2; i < 8; i++) {
            free_amounts[r][i] = free_amounts[r][i % 2];
            capacity[r][i] = capacity[r][i % 2];
            for (int k = 0; k < amounts[r].kinds; k++)
                pieces[r][i * amounts[r].kinds + k] = pieces[r][i % 2 * amounts[r].kinds + k];
        }
    for (int i = 0; i < 8; i++)
        status[i] = (uint8_t)draw(seed, 3);
    struct cpuset_merge as_merge = {.exclusive = exclusive, .status = status};
    for (uint64_t s = 1; s < UINT64_C(1) << nodes; s++) {
        int64_t sum = 0;
        bool holds = !exclusive_forbids(&as_merge, s);
        for (size_t r = 0; r < resources; r++) {
            int64_t had = 0, all = 0;
            for (int i = 0; i < nodes; i++)
                if (s >> i & 1U) {
                    had += free_amounts[r][i];
                    all += capacity[r][i];
                    holds &= capacity[r][i] > 0 || amounts[r].want == 0;
                }
            holds &= had >= amounts[r].want;
            holds &= !amounts[r].kinds || pieces_make(&amounts[r], s, 0, amounts[r].want);
            int64_t left = had - amounts[r].want;
            if (holds && all)
                sum += 100 * (strategy == CPUSET_LEAST_ALLOCATED ? left : all - left) / all;
        }
        int now = __builtin_popcountll(s), before = __builtin_popcountll(best);
        holds &= now <= most;
        if (holds && (!best || now < before || (now == before && sum > best_score))) {
            best = s;
            best_score = sum;
        }
    }
    struct cpuset_fault fault;
    int result = cpuset_best_nodes(amounts, resources, nodes, most, strategy, exclusive, status,
                                   1 << 20, &mask, &score, &fault);
    CHECK(result == CPUSET_OK && mask == best && (!best || score == best_score),
          "status %d: %llx score %lld, best %llx score %lld", result, (unsigned long long)mask,
          (long long)score, (unsigned long long)best, (long long)best_score);
}

int main(int argc, char **argv)
{
    int64_t cases = argc > 1 ? atoll(argv[1]) : 5000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 5;
    for (int64_t i = 0; i < cases; i++) {
        struct merge_case c;
        random_case(&seed, &c);
        compare(&c, i);
        best_nodes(&seed);
    }
    printf("hints: %lld merges equal to the best of all combinations, as many node searches to "
           "the best of all masks\n", (long long)cases);
    return 0;
}
