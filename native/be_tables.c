/* be_tables.c - the least costs of taking so many CPUs of some cores, for BE. */
#include "be.h"

/* The cost of taking i and j CPUs of a core. */
static int32_t core_price(const struct be_tables *t, const struct be_core *core, int32_t i,
                          int32_t j)
{
    int32_t taken = i + j, moved = most(0, i - core->old[0]) + most(0, j - core->old[1]);
    return (taken > 0 && taken < core->threads ? t->part : 0) + (t->count_moves ? moved : 0);
}

/* Adds one pure core of kind `kind` to its table, whose reach was `before`. With
 * `choice`: how many of it to take when m are to be had so far. */
static void add_pure(struct be_tables *t, const struct be_core *core, int32_t kind, int32_t before,
                     uint16_t *choice)
{
    int32_t *cost = t->cost[kind], free = core->free[kind];
    for (int32_t m = before + 1; m <= before + free; m++)
        cost[m] = IMPOSSIBLE;
    for (int32_t m = before + free; m >= 0; m--) {
        int32_t best = cost[m], taken = 0;
        for (int32_t i = 1; i <= free && i <= m; i++) {
            int32_t sum = cost[m - i] + core_price(t, core, kind ? 0 : i, kind ? i : 0);
            if (sum < best) {
                best = sum;
                taken = i;
            }
        }
        cost[m] = best;
        if (choice)
            choice[m] = (uint16_t)taken;
    }
}

/* Adds one mixed core; `choice` holds i * 256 + j, reach as in add_pure. */
static void add_mixed(struct be_tables *t, const struct be_core *core, const int32_t before[2],
                      uint16_t *choice)
{
    for (int32_t a = before[0] + core->free[0]; a >= 0; a--)
        for (int32_t b = before[1] + core->free[1]; b >= 0; b--) {
            int32_t best = IMPOSSIBLE, taken = 0;
            for (int32_t i = 0; i <= core->free[0] && i <= a; i++)
                for (int32_t j = 0; j <= core->free[1] && j <= b; j++) {
                    if (a - i > before[0] || b - j > before[1])
                        continue;
                    int32_t sum = t->both[mixed_at(t, a - i, b - j)] + core_price(t, core, i, j);
                    if (sum < best) {
                        best = sum;
                        taken = i * 256 + j;
                    }
                }
            t->both[mixed_at(t, a, b)] = best;
            if (choice)
                choice[mixed_at(t, a, b)] = (uint16_t)taken;
        }
}

void cpuset_be_count_tables(struct be_tables *t, const struct be_core *cores, int32_t count)
{
    t->cores = cores;
    t->count = count;
    memset(t->pure, 0, sizeof t->pure);
    memset(t->mixed, 0, sizeof t->mixed);
    for (int32_t k = 0; k < count; k++)
        for (int kind = 0; kind < 2; kind++)
            *(core_is_mixed(&cores[k]) ? &t->mixed[kind] : &t->pure[kind]) += cores[k].free[kind];
}

size_t cpuset_be_mixed_size(const struct be_tables *t)
{
    return ((size_t)t->mixed[0] + 1) * ((size_t)t->mixed[1] + 1);
}

void cpuset_be_reserve_tables(struct be_tables *t, struct arena *arena, bool with_mixed)
{
    for (int kind = 0; kind < 2; kind++)
        t->cost[kind] = arena_take(arena, (size_t)t->pure[kind] + 1, sizeof(int32_t));
    t->both = with_mixed ? arena_take(arena, cpuset_be_mixed_size(t), sizeof(int32_t)) : NULL;
}

size_t cpuset_be_choice_row(const struct be_tables *t, const struct be_core *core)
{
    if (core_is_mixed(core))
        return cpuset_be_mixed_size(t);
    return (size_t)t->pure[core->free[0] ? 0 : 1] + 1;
}

void cpuset_be_fill_tables(struct be_tables *t, bool with_mixed, uint16_t *choices)
{
    int32_t pure[2] = {0, 0}, mixed[2] = {0, 0};
    t->cost[0][0] = t->cost[1][0] = 0;
    if (with_mixed)
        t->both[0] = 0;
    for (int32_t k = 0; k < t->count; k++) {
        const struct be_core *core = &t->cores[k];
        if (core_is_mixed(core)) {
            if (with_mixed)
                add_mixed(t, core, mixed, choices);
            mixed[0] += core->free[0];
            mixed[1] += core->free[1];
        } else {
            int32_t kind = core->free[0] ? 0 : 1;
            add_pure(t, core, kind, pure[kind], choices);
            pure[kind] += core->free[kind];
        }
        if (choices)
            choices += cpuset_be_choice_row(t, core);
    }
}

int32_t cpuset_be_least_cost(const struct be_tables *t, int32_t i, int32_t j, int32_t *a,
                             int32_t *b)
{
    int32_t best = IMPOSSIBLE;
    for (int32_t x = most(0, i - t->pure[0]); x <= least(i, t->mixed[0]); x++)
        for (int32_t y = most(0, j - t->pure[1]); y <= least(j, t->mixed[1]); y++) {
            /* Without a table of their own, mixed cores are (1, 1) of two threads:
             * all pairs are whole, so the difference is what is taken in part. */
            int32_t mixed = t->both ? t->both[mixed_at(t, x, y)] : x > y ? x - y : y - x;
            int32_t sum = t->cost[0][i - x] + t->cost[1][j - y] + mixed;
            if (sum < best) {
                best = sum;
                *a = x;
                *b = y;
            }
        }
    return best;
}
