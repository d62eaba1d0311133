/*
 * be.c - which CPUs best-effort work may use.
 *
 * The number of LSR and of other CPUs is given, so two amounts have to be met.
 * Cores whose candidates are all of one kind need one dimension each; only cores
 * of both kinds (an LSR pod holds one thread, nobody the other) need a table of
 * two. Fewest cores in part is a sum over all cores and found first, machine-wide.
 * Greatest minus least per NUMA node is not a sum, so windows [low, high] for a
 * node's count are tried, until the narrowest is known that allows that few cores
 * in part; within the windows of that width the fewest CPUs are moved.
 */
#include "be.h"

static int collect_cores(struct be_problem *p)
{
    const struct cpuset_topology *t = p->topology;
    int32_t count = 0;
    for (int32_t node = 0; node < t->nodes; node++) {
        p->node_core[node] = count;
        for (int32_t cell = 0; cell < t->cells; cell++)
            for (int32_t k = t->cell_core[cell];
                 t->cell_node[cell] == node && k < t->cell_core[cell + 1]; k++) {
                struct be_core core = {.core = k, .threads = t->core_start[k + 1] - t->core_start[k]};
                for (int32_t i = t->core_start[k]; i < t->core_start[k + 1]; i++) {
                    int kind = !bit_get(p->be->lsr, i), free = bit_get(p->be->candidates, i);
                    core.free[kind] += free;
                    core.old[kind] += free && bit_get(p->be->old, i);
                }
                if (core.free[0] + core.free[1] > 0)
                    p->cores[count++] = core;
                if (core_is_mixed(&core) && core.threads > 255)
                    return CPUSET_E_RANGE;   /* a choice of it would not fit */
            }
    }
    p->node_core[t->nodes] = count;
    return CPUSET_OK;
}

/* How many of each kind to take, from how many there are. */
static void set_shares(struct be_problem *p)
{
    for (int32_t k = 0; k < p->node_core[p->nodes]; k++)
        for (int kind = 0; kind < 2; kind++)
            p->total[kind] += p->cores[k].free[kind];
    int32_t all = p->total[0] + p->total[1], count = most(0, least(p->be->want, all));
    p->take[0] = all ? (int32_t)((int64_t)count * p->total[0] / all) : 0;
    p->take[1] = count - p->take[0];
}

/* The fewest cores in part, wherever they are. */
static int32_t fewest_in_part(const struct be_problem *p, struct arena arena, int *status,
                              struct cpuset_fault *fault)
{
    struct be_tables all = {.part = 1, .count_moves = false};
    int32_t a, b;
    cpuset_be_count_tables(&all, p->cores, p->node_core[p->nodes]);
    bool with_mixed = p->topology->max_threads > 2;
    cpuset_be_reserve_tables(&all, &arena, with_mixed);
    if (with_mixed && cpuset_be_mixed_size(&all) > MOST_MIXED)
        *status = cpuset_fail(fault, CPUSET_E_RANGE, all.mixed[0] + all.mixed[1], -1, -1);
    else if (arena_short(&arena))
        *status = arena_fail(&arena, fault);
    if (*status)
        return 0;
    cpuset_be_fill_tables(&all, with_mixed, NULL);
    return cpuset_be_least_cost(&all, p->take[0], p->take[1], &a, &b);
}

static void take_core(const struct be_problem *p, const struct be_core *core, int kind,
                         int32_t count, uint64_t *chosen)
{
    const struct cpuset_topology *t = p->topology;
    for (int old = 1; old >= 0; old--)
        for (int32_t i = t->core_start[core->core]; i < t->core_start[core->core + 1] && count; i++)
            if (bit_get(p->be->candidates, i) && bit_get(p->be->lsr, i) == !kind
                && bit_get(p->be->old, i) == old) {
                bit_set(chosen, i);
                count--;
            }
}

/* Takes i LSR and j other CPUs of a node, as its tables have them cheapest. */
static bool take_node(struct be_problem *p, int32_t node, int32_t i, int32_t j,
                         struct arena *arena, uint64_t *chosen)
{
    struct be_tables *t = &p->tables[node];
    struct arena mine = *arena;
    size_t size = 0;
    int32_t a = 0, b = 0;
    for (int32_t k = 0; k < t->count; k++)
        size += cpuset_be_choice_row(t, &t->cores[k]);
    uint16_t *choices = arena_take(&mine, size, sizeof *choices);
    if (size && !choices) {
        arena->used = mine.used;
        return false;
    }
    cpuset_be_fill_tables(t, true, choices);
    (void)cpuset_be_least_cost(t, i, j, &a, &b);
    int32_t left[2] = {i - a, j - b};
    for (int32_t k = t->count; k-- > 0;) {
        const struct be_core *core = &t->cores[k];
        size -= cpuset_be_choice_row(t, core);
        if (core_is_mixed(core)) {
            uint16_t choice = choices[size + mixed_at(t, a, b)];
            take_core(p, core, 0, choice / 256, chosen);
            take_core(p, core, 1, choice % 256, chosen);
            a -= choice / 256;
            b -= choice % 256;
        } else {
            int kind = core->free[0] ? 0 : 1;
            uint16_t choice = choices[size + (size_t)left[kind]];
            take_core(p, core, kind, choice, chosen);
            left[kind] -= choice;
        }
    }
    return true;
}

/* Walks the plan of the best window back, node by node. */
static bool collect_plan(struct be_problem *p, const struct be_window *w, struct arena *arena,
                         uint64_t *chosen)
{
    int32_t u = p->take[0], s = w->slack, a, b;
    int32_t *plan = arena_take(arena, plan_size(p, w), sizeof *plan);
    if (!plan)
        return false;
    (void)cpuset_be_fill_plan(p, w, plan);
    for (int32_t node = p->nodes; node-- > 0;) {
        int32_t goal = plan[plan_at(p, w, node + 1, u, s)], high = node_most(p, node, w->high);
        int32_t found = -1, lsr = 0;
        for (int32_t m = high; m >= most(w->low, high - s) && found < 0; m--)
            for (int32_t i = 0; i <= least(m, least(u, node_total(p, node, 0))) && found < 0; i++) {
                if (m - i > node_total(p, node, 1))
                    continue;
                int32_t before = plan[plan_at(p, w, node, u - i, s - (high - m))];
                if (before < IMPOSSIBLE
                    && before + cpuset_be_least_cost(&p->tables[node], i, m - i, &a, &b) == goal) {
                    found = m;
                    lsr = i;
                }
            }
        if (found < 0 || !take_node(p, node, lsr, found - lsr, arena, chosen))
            return false;
        u -= lsr;
        s -= high - found;
    }
    return true;
}

/* Takes the tables of every node. */
static int reserve_nodes(struct be_problem *p, struct arena *arena, struct cpuset_fault *fault)
{
    for (int32_t node = 0; node < p->nodes; node++) {
        struct be_tables *t = &p->tables[node];
        *t = (struct be_tables){.part = p->topology->cpus + 1, .count_moves = true};
        cpuset_be_count_tables(t, p->cores + p->node_core[node],
                               p->node_core[node + 1] - p->node_core[node]);
        if (cpuset_be_mixed_size(t) > MOST_MIXED)
            return cpuset_fail(fault, CPUSET_E_RANGE, t->mixed[0] + t->mixed[1], node, -1);
        cpuset_be_reserve_tables(t, arena, true);
    }
    if (arena_short(arena))
        return arena_fail(arena, fault);
    for (int32_t node = 0; node < p->nodes; node++)
        cpuset_be_fill_tables(&p->tables[node], true, NULL);
    return CPUSET_OK;
}

static bool is_given(const struct cpuset_topology *t, const struct cpuset_be *be)
{
    return t && be && be->candidates && be->lsr && be->old;
}

static int be_problem_init(const struct cpuset_topology *t, const struct cpuset_be *be,
                           struct arena *arena,
                   struct be_problem *p, struct cpuset_fault *fault)
{
    *p = (struct be_problem){.topology = t, .be = be, .nodes = t->nodes};
    p->cores = arena_take(arena, (size_t)t->cores, sizeof *p->cores);
    p->node_core = arena_take(arena, (size_t)t->nodes + 1, sizeof *p->node_core);
    p->tables = arena_take(arena, (size_t)t->nodes, sizeof *p->tables);
    if (arena_short(arena))
        return arena_fail(arena, fault);
    if (collect_cores(p))
        return cpuset_fail(fault, CPUSET_E_RANGE, t->max_threads, -1, -1);
    set_shares(p);
    return CPUSET_OK;
}

/* Chooses the CPUs of a problem with something to take, node by node, or, where
 * that is too much to search, with the machine taken for one node. */
static int solve_problem(struct be_problem *p, struct arena *arena, uint64_t *chosen,
                    struct cpuset_fault *fault)
{
    int status = CPUSET_OK;
    enum be_stop stop = STOP_NOT;
    p->part = fewest_in_part(p, *arena, &status, fault);
    struct arena before = *arena;
    if (!status)
        status = reserve_nodes(p, arena, fault);
    if (status)
        return status;
    struct be_window best = cpuset_be_best_window(p, arena, &stop);
    if (stop == STOP_STEPS) {
        p->node_core[1] = p->node_core[p->nodes];
        p->nodes = 1;
        *arena = before;
        stop = STOP_NOT;
        status = reserve_nodes(p, arena, fault);
        if (status)
            return status;
        best = cpuset_be_best_window(p, arena, &stop);
    }
    if (stop || !collect_plan(p, &best, arena, chosen)) {
        arena->used *= 2;   /* the next window may need more than this one */
        return arena_fail(arena, fault);
    }
    return CPUSET_OK;
}

int cpuset_select_be(const struct cpuset_topology *topology, const struct cpuset_be *be, void *work,
                     size_t size, uint64_t *chosen, struct cpuset_fault *fault)
{
    uint64_t result[CPUSET_MAX_CPUS / 64] = {0};
    struct arena arena = arena_of(work, size);
    struct be_problem p;

    if (!is_given(topology, be) || !chosen)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    int status = be_problem_init(topology, be, &arena, &p, fault);
    if (!status && p.take[0] + p.take[1] > 0)
        status = solve_problem(&p, &arena, result, fault);
    if (!status)
        memcpy(chosen, result, (size_t)topology->words * sizeof *chosen);
    return status;
}

int cpuset_measure_be(const struct cpuset_topology *topology, const struct cpuset_be *be,
                      const uint64_t *set, int64_t out[4])
{
    int32_t by_node[CPUSET_MAX_NODES] = {0}, total[2] = {0, 0}, taken[2] = {0, 0};
    if (!is_given(topology, be) || !set || !out)
        return CPUSET_E_ARGUMENT;
    memset(out, 0, 4 * sizeof *out);
    for (int32_t core = 0; core < topology->cores; core++) {
        int32_t here = 0;
        for (int32_t i = topology->core_start[core]; i < topology->core_start[core + 1]; i++) {
            int kind = !bit_get(be->lsr, i);
            total[kind] += bit_get(be->candidates, i);
            if (!bit_get(set, i))
                continue;
            taken[kind]++;
            here++;
            out[3] += !bit_get(be->old, i);
        }
        by_node[topology->cell_node[topology->core_cell[core]]] += here;
        out[1] += here > 0 && here < topology->core_start[core + 1] - topology->core_start[core];
    }
    int32_t all = total[0] + total[1], count = most(0, least(be->want, all));
    int32_t share = all ? (int32_t)((int64_t)count * total[0] / all) : 0;
    out[0] = taken[0] > share ? taken[0] - share : share - taken[0];
    int32_t low = by_node[0], high = by_node[0];
    for (int32_t node = 1; node < topology->nodes; node++) {
        low = least(low, by_node[node]);
        high = most(high, by_node[node]);
    }
    out[2] = high - low;
    return CPUSET_OK;
}
