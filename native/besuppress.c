/*
 * besuppress.c - which CPUs best-effort work may use.
 *
 * The number of LSR and of other CPUs is given, so two amounts have to be met.
 * Cores whose candidates are all of one sort need one dimension each; only cores
 * of both sorts (an LSR pod holds one thread, nobody the other) need a table of
 * two. Fewest cores in part is a sum over all cores and found first, machine-wide.
 * Greatest minus least per NUMA node is not a sum, so windows [low, high] for a
 * node's count are tried, until the narrowest is known that allows that few cores
 * in part; within the windows of that width the fewest CPUs are moved.
 */
#include "internal.h"

enum {
    IMPOSSIBLE = INT32_MAX / 4,
    MOST_MIXED = 1 << 20,      /* entries of a table of two dimensions */
    MOST_STEPS = 1 << 26       /* of filling the plan of one window */
};

/* A core's candidates: [0] LSR ones, [1] the others. */
struct be_core {
    int32_t core, threads;
    int32_t free[2], old[2];
};

/* The cores of one NUMA node (or of all), as tables: the least cost of taking i
 * LSR CPUs of pure LSR cores, j others of pure other cores, (a, b) of mixed ones. */
struct be_tables {
    const struct be_core *cores;
    int32_t count, part;            /* part: what a core taken in part costs */
    bool count_moves;
    int32_t pure[2], mixed[2];      /* candidates on them */
    int32_t *cost[2], *both;
};

struct be_problem {
    const struct cpuset_topology *topology;
    const struct cpuset_be *be;
    int32_t total[2], take[2];      /* candidates and how many of them, by sort */
    struct be_core *cores;          /* those with candidates, by node */
    int32_t nodes;                  /* 1 where the machine is taken for one node */
    int32_t *node_core;             /* [nodes + 1] */
    struct be_tables *tables;       /* [nodes] */
    int32_t part;                   /* fewest cores in part */
};

/* How a search ended that could not be finished. */
enum stop { STOP_NOT, STOP_MEMORY, STOP_STEPS };

static bool is_mixed(const struct be_core *core)
{
    return core->free[0] && core->free[1];
}

/* The cost of taking i and j CPUs of a core. */
static int32_t be_price(const struct be_tables *t, const struct be_core *core, int32_t i, int32_t j)
{
    int32_t taken = i + j, moved = most(0, i - core->old[0]) + most(0, j - core->old[1]);
    return (taken > 0 && taken < core->threads ? t->part : 0) + (t->count_moves ? moved : 0);
}

/* Adds one pure core of sort `sort` to its table, whose reach was `before`. With
 * `choice`: how many of it to take when m are to be had so far. */
static void add_pure(struct be_tables *t, const struct be_core *core, int32_t sort, int32_t before,
                     uint16_t *choice)
{
    int32_t *cost = t->cost[sort], free = core->free[sort];
    for (int32_t m = before + 1; m <= before + free; m++)
        cost[m] = IMPOSSIBLE;
    for (int32_t m = before + free; m >= 0; m--) {
        int32_t best = cost[m], taken = 0;
        for (int32_t i = 1; i <= free && i <= m; i++) {
            int32_t sum = cost[m - i] + be_price(t, core, sort ? 0 : i, sort ? i : 0);
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

static size_t cell_of(const struct be_tables *t, int32_t a, int32_t b)
{
    return (size_t)a * ((size_t)t->mixed[1] + 1) + (size_t)b;
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
                    int32_t sum = t->both[cell_of(t, a - i, b - j)] + be_price(t, core, i, j);
                    if (sum < best) {
                        best = sum;
                        taken = i * 256 + j;
                    }
                }
            t->both[cell_of(t, a, b)] = best;
            if (choice)
                choice[cell_of(t, a, b)] = (uint16_t)taken;
        }
}

/* Counts what the tables of some cores have to hold. */
static void be_extent(struct be_tables *t, const struct be_core *cores, int32_t count)
{
    t->cores = cores;
    t->count = count;
    memset(t->pure, 0, sizeof t->pure);
    memset(t->mixed, 0, sizeof t->mixed);
    for (int32_t k = 0; k < count; k++)
        for (int sort = 0; sort < 2; sort++)
            *(is_mixed(&cores[k]) ? &t->mixed[sort] : &t->pure[sort]) += cores[k].free[sort];
}

static size_t both_size(const struct be_tables *t)
{
    return ((size_t)t->mixed[0] + 1) * ((size_t)t->mixed[1] + 1);
}

static void be_reserve(struct be_tables *t, struct arena *arena, bool with_both)
{
    for (int sort = 0; sort < 2; sort++)
        t->cost[sort] = arena_take(arena, (size_t)t->pure[sort] + 1, sizeof(int32_t));
    t->both = with_both ? arena_take(arena, both_size(t), sizeof(int32_t)) : NULL;
}

/* Where each core's choices begin while a node is traced. */
struct be_choices {
    uint16_t *memory;
    size_t used;
};

static size_t be_choice_row(const struct be_tables *t, const struct be_core *core)
{
    if (is_mixed(core))
        return both_size(t);
    return (size_t)t->pure[core->free[0] ? 0 : 1] + 1;
}

static void be_fill(struct be_tables *t, bool with_both, uint16_t *choices)
{
    int32_t pure[2] = {0, 0}, mixed[2] = {0, 0};
    t->cost[0][0] = t->cost[1][0] = 0;
    if (with_both)
        t->both[0] = 0;
    for (int32_t k = 0; k < t->count; k++) {
        const struct be_core *core = &t->cores[k];
        if (is_mixed(core)) {
            if (with_both)
                add_mixed(t, core, mixed, choices);
            mixed[0] += core->free[0];
            mixed[1] += core->free[1];
        } else {
            int32_t sort = core->free[0] ? 0 : 1;
            add_pure(t, core, sort, pure[sort], choices);
            pure[sort] += core->free[sort];
        }
        if (choices)
            choices += be_choice_row(t, core);
    }
}

/* The least cost of i LSR and j other CPUs; *a and *b: what mixed cores give. */
static int32_t be_cost(const struct be_tables *t, int32_t i, int32_t j, int32_t *a, int32_t *b)
{
    int32_t best = IMPOSSIBLE;
    for (int32_t x = most(0, i - t->pure[0]); x <= least(i, t->mixed[0]); x++)
        for (int32_t y = most(0, j - t->pure[1]); y <= least(j, t->mixed[1]); y++) {
            /* Without a table of their own, mixed cores are (1, 1) of two threads:
             * all pairs are whole, so the difference is what is taken in part. */
            int32_t mixed = t->both ? t->both[cell_of(t, x, y)] : x > y ? x - y : y - x;
            int32_t sum = t->cost[0][i - x] + t->cost[1][j - y] + mixed;
            if (sum < best) {
                best = sum;
                *a = x;
                *b = y;
            }
        }
    return best;
}

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
                    int sort = !bit_get(p->be->lsr, i), free = bit_get(p->be->candidates, i);
                    core.free[sort] += free;
                    core.old[sort] += free && bit_get(p->be->old, i);
                }
                if (core.free[0] + core.free[1] > 0)
                    p->cores[count++] = core;
                if (is_mixed(&core) && core.threads > 255)
                    return CPUSET_E_RANGE;   /* a choice of it would not fit */
            }
    }
    p->node_core[t->nodes] = count;
    return CPUSET_OK;
}

/* How many of each sort to take, from how many there are. */
static void be_shares(struct be_problem *p)
{
    for (int32_t k = 0; k < p->node_core[p->nodes]; k++)
        for (int sort = 0; sort < 2; sort++)
            p->total[sort] += p->cores[k].free[sort];
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
    be_extent(&all, p->cores, p->node_core[p->nodes]);
    bool with_both = p->topology->max_threads > 2;
    be_reserve(&all, &arena, with_both);
    if (with_both && both_size(&all) > MOST_MIXED)
        *status = cpuset_fail(fault, CPUSET_E_RANGE, all.mixed[0] + all.mixed[1], -1, -1);
    else if (arena_short(&arena))
        *status = arena_fail(&arena, fault);
    if (*status)
        return 0;
    be_fill(&all, with_both, NULL);
    return be_cost(&all, p->take[0], p->take[1], &a, &b);
}

/* One window: node counts from low to min(high, candidates). `slack` is by how
 * much the upper ends exceed what is to be taken. */
struct window {
    int32_t low, high, slack;
};

static int32_t node_total(const struct be_problem *p, int32_t node, int sort)
{
    return p->tables[node].pure[sort] + p->tables[node].mixed[sort];
}

static int32_t node_most(const struct be_problem *p, int32_t node, int32_t high)
{
    return least(high, node_total(p, node, 0) + node_total(p, node, 1));
}

/* The greatest low end a window can have: no node has fewer candidates, and all
 * nodes together take no more than is asked. */
static int32_t greatest_low(const struct be_problem *p)
{
    int32_t low = (p->take[0] + p->take[1]) / p->nodes;
    for (int32_t node = 0; node < p->nodes; node++)
        low = node_most(p, node, low);
    return low;
}

static bool window_of(const struct be_problem *p, int32_t low, int32_t high, struct window *w)
{
    *w = (struct window){low, high, -p->take[0] - p->take[1]};
    for (int32_t node = 0; node < p->nodes; node++)
        w->slack += node_most(p, node, high);
    return w->slack >= 0 && low <= high && low <= greatest_low(p);
}

static size_t plan_at(const struct be_problem *p, const struct window *w, int32_t node, int32_t u,
                      int32_t s)
{
    size_t row = (size_t)w->slack + 1;
    return ((size_t)node * ((size_t)p->take[0] + 1) + (size_t)u) * row + (size_t)s;
}

static size_t plan_size(const struct be_problem *p, const struct window *w)
{
    return plan_at(p, w, p->nodes + 1, 0, 0);
}

/* Fills `plan`: the least cost of nodes before `node` taking u LSR CPUs in all and
 * leaving s of their upper ends untaken. Returns the cost of the whole. */
static int32_t fill_plan(const struct be_problem *p, const struct window *w, int32_t *plan)
{
    int32_t a, b;
    for (size_t i = 0; i < plan_size(p, w); i++)
        plan[i] = IMPOSSIBLE;
    plan[plan_at(p, w, 0, 0, 0)] = 0;
    for (int32_t node = 0; node < p->nodes; node++) {
        int32_t high = node_most(p, node, w->high);
        for (int32_t m = most(w->low, high - w->slack); m <= high; m++)
            for (int32_t i = 0; i <= least(m, least(p->take[0], node_total(p, node, 0))); i++) {
                /* Before the first node nothing is taken, after the last all is. */
                int32_t first = node == p->nodes - 1 ? p->take[0] : i;
                int32_t last = node == 0 ? i : p->take[0];
                if (m - i > node_total(p, node, 1) || first > last)
                    continue;
                int32_t cost = be_cost(&p->tables[node], i, m - i, &a, &b), skipped = high - m;
                for (int32_t u = first; u <= last; u++) {
                    const int32_t *from = &plan[plan_at(p, w, node, u - i, 0)];
                    int32_t *to = &plan[plan_at(p, w, node + 1, u, skipped)];
                    for (int32_t s = 0; s <= w->slack - skipped; s++)
                        to[s] = least(to[s], from[s] + cost);
                }
            }
    }
    return plan[plan_at(p, w, p->nodes, p->take[0], w->slack)];
}

/* About how many steps fill_plan takes. */
static double plan_steps(const struct be_problem *p, const struct window *w)
{
    double steps = 0;
    for (int32_t node = 0; node < p->nodes; node++) {
        int32_t high = node_most(p, node, w->high);
        const struct be_tables *t = &p->tables[node];
        steps += (double)(high - most(w->low, high - w->slack) + 1)
            * (least(p->take[0], node_total(p, node, 0)) + 1)
            * ((double)(p->take[0] + 1) * (w->slack + 1)
               + (double)(t->mixed[0] + 1) * (t->mixed[1] + 1));
    }
    return steps;
}

/* The least cost within a window, IMPOSSIBLE where there is none with as few cores
 * in part as can be. Sets *stop and returns IMPOSSIBLE where it cannot be told. */
static int32_t window_cost(const struct be_problem *p, int32_t low, int32_t high,
                           struct arena *arena, enum stop *stop)
{
    struct window w;
    struct arena mine = *arena;
    if (*stop || !window_of(p, low, high, &w))
        return IMPOSSIBLE;
    if (p->nodes > 1 && plan_steps(p, &w) > MOST_STEPS) {
        *stop = STOP_STEPS;
        return IMPOSSIBLE;
    }
    int32_t *plan = arena_take(&mine, plan_size(p, &w), sizeof *plan);
    if (!plan) {
        *stop = STOP_MEMORY;
        arena->used = mine.used;
        return IMPOSSIBLE;
    }
    int32_t cost = fill_plan(p, &w, plan);
    return cost < (p->part + 1) * (p->topology->cpus + 1) ? cost : IMPOSSIBLE;
}

/* The least high end that leaves any answer: found by doubling steps upwards, then
 * halving between. */
static int32_t least_high(const struct be_problem *p, struct arena *arena, enum stop *stop)
{
    struct window w;
    int32_t no = -1, yes = 0, step = 1;
    while (!window_of(p, 0, yes, &w))
        yes++;
    while (window_cost(p, 0, yes, arena, stop) == IMPOSSIBLE && !*stop) {
        no = yes;
        yes += step;
        step *= 2;
    }
    while (yes - no > 1 && !*stop) {
        int32_t middle = no + (yes - no) / 2;
        if (window_cost(p, 0, middle, arena, stop) == IMPOSSIBLE)
            no = middle;
        else
            yes = middle;
    }
    return yes;
}

/* The least width of any window that leaves an answer. From the least high end up,
 * the low end only rises: it has to beat the best width so far. */
static int32_t least_width(const struct be_problem *p, int32_t first_high, struct arena *arena,
                           enum stop *stop)
{
    int32_t top = greatest_low(p), low = top;
    while (low > 0 && window_cost(p, low, first_high, arena, stop) == IMPOSSIBLE && !*stop)
        low--;
    int32_t width = first_high - low;
    for (int32_t high = first_high + 1; high - width + 1 <= top && !*stop; high++)
        while (high - width + 1 <= top && width > 0
               && window_cost(p, high - width + 1, high, arena, stop) != IMPOSSIBLE)
            width--;
    return width;
}

/* The window in which the fewest CPUs are moved, of the narrowest ones. */
static struct window best_window(const struct be_problem *p, struct arena *arena, enum stop *stop)
{
    struct window best = {0, 0, 0}, w;
    int32_t first_high = least_high(p, arena, stop), least_cost = IMPOSSIBLE;
    int32_t width = *stop ? 0 : least_width(p, first_high, arena, stop);
    for (int32_t low = most(0, first_high - width); low <= greatest_low(p) && !*stop; low++) {
        int32_t cost = window_cost(p, low, low + width, arena, stop);
        if (cost < least_cost && window_of(p, low, low + width, &w)) {
            least_cost = cost;
            best = w;
        }
    }
    return best;
}

static void take_of_core(const struct be_problem *p, const struct be_core *core, int sort,
                         int32_t count, uint64_t *chosen)
{
    const struct cpuset_topology *t = p->topology;
    for (int old = 1; old >= 0; old--)
        for (int32_t i = t->core_start[core->core]; i < t->core_start[core->core + 1] && count; i++)
            if (bit_get(p->be->candidates, i) && bit_get(p->be->lsr, i) == !sort
                && bit_get(p->be->old, i) == old) {
                bit_set(chosen, i);
                count--;
            }
}

/* Takes i LSR and j other CPUs of a node, as its tables have them cheapest. */
static bool take_of_node(struct be_problem *p, int32_t node, int32_t i, int32_t j,
                         struct arena *arena, uint64_t *chosen)
{
    struct be_tables *t = &p->tables[node];
    struct arena mine = *arena;
    size_t size = 0;
    int32_t a = 0, b = 0;
    for (int32_t k = 0; k < t->count; k++)
        size += be_choice_row(t, &t->cores[k]);
    uint16_t *choices = arena_take(&mine, size, sizeof *choices);
    if (size && !choices) {
        arena->used = mine.used;
        return false;
    }
    be_fill(t, true, choices);
    (void)be_cost(t, i, j, &a, &b);
    int32_t left[2] = {i - a, j - b};
    for (int32_t k = t->count; k-- > 0;) {
        const struct be_core *core = &t->cores[k];
        size -= be_choice_row(t, core);
        if (is_mixed(core)) {
            uint16_t choice = choices[size + cell_of(t, a, b)];
            take_of_core(p, core, 0, choice / 256, chosen);
            take_of_core(p, core, 1, choice % 256, chosen);
            a -= choice / 256;
            b -= choice % 256;
        } else {
            int sort = core->free[0] ? 0 : 1;
            uint16_t choice = choices[size + (size_t)left[sort]];
            take_of_core(p, core, sort, choice, chosen);
            left[sort] -= choice;
        }
    }
    return true;
}

/* Walks the plan of the best window back, node by node. */
static bool collect_plan(struct be_problem *p, const struct window *w, struct arena *arena,
                         uint64_t *chosen)
{
    int32_t u = p->take[0], s = w->slack, a, b;
    int32_t *plan = arena_take(arena, plan_size(p, w), sizeof *plan);
    if (!plan)
        return false;
    (void)fill_plan(p, w, plan);
    for (int32_t node = p->nodes; node-- > 0;) {
        int32_t goal = plan[plan_at(p, w, node + 1, u, s)], high = node_most(p, node, w->high);
        int32_t found = -1, lsr = 0;
        for (int32_t m = high; m >= most(w->low, high - s) && found < 0; m--)
            for (int32_t i = 0; i <= least(m, least(u, node_total(p, node, 0))) && found < 0; i++) {
                if (m - i > node_total(p, node, 1))
                    continue;
                int32_t before = plan[plan_at(p, w, node, u - i, s - (high - m))];
                if (before < IMPOSSIBLE
                    && before + be_cost(&p->tables[node], i, m - i, &a, &b) == goal) {
                    found = m;
                    lsr = i;
                }
            }
        if (found < 0 || !take_of_node(p, node, lsr, found - lsr, arena, chosen))
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
        be_extent(t, p->cores + p->node_core[node], p->node_core[node + 1] - p->node_core[node]);
        if (both_size(t) > MOST_MIXED)
            return cpuset_fail(fault, CPUSET_E_RANGE, t->mixed[0] + t->mixed[1], node, -1);
        be_reserve(t, arena, true);
    }
    if (arena_short(arena))
        return arena_fail(arena, fault);
    for (int32_t node = 0; node < p->nodes; node++)
        be_fill(&p->tables[node], true, NULL);
    return CPUSET_OK;
}

static bool be_given(const struct cpuset_topology *t, const struct cpuset_be *be)
{
    return t && be && be->candidates && be->lsr && be->old;
}

static int pose_be(const struct cpuset_topology *t, const struct cpuset_be *be, struct arena *arena,
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
    be_shares(p);
    return CPUSET_OK;
}

/* Chooses the CPUs of a problem with something to take, node by node, or, where
 * that is too much to search, with the machine taken for one node. */
static int solve_be(struct be_problem *p, struct arena *arena, uint64_t *chosen,
                    struct cpuset_fault *fault)
{
    int status = CPUSET_OK;
    enum stop stop = STOP_NOT;
    p->part = fewest_in_part(p, *arena, &status, fault);
    struct arena before = *arena;
    if (!status)
        status = reserve_nodes(p, arena, fault);
    if (status)
        return status;
    struct window best = best_window(p, arena, &stop);
    if (stop == STOP_STEPS) {
        p->node_core[1] = p->node_core[p->nodes];
        p->nodes = 1;
        *arena = before;
        stop = STOP_NOT;
        status = reserve_nodes(p, arena, fault);
        if (status)
            return status;
        best = best_window(p, arena, &stop);
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

    if (!be_given(topology, be) || !chosen)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    int status = pose_be(topology, be, &arena, &p, fault);
    if (!status && p.take[0] + p.take[1] > 0)
        status = solve_be(&p, &arena, result, fault);
    if (!status)
        memcpy(chosen, result, (size_t)topology->words * sizeof *chosen);
    return status;
}

int cpuset_measure_be(const struct cpuset_topology *topology, const struct cpuset_be *be,
                      const uint64_t *set, int64_t out[4])
{
    int32_t by_node[CPUSET_MAX_NODES] = {0}, total[2] = {0, 0}, taken[2] = {0, 0};
    if (!be_given(topology, be) || !set || !out)
        return CPUSET_E_ARGUMENT;
    memset(out, 0, 4 * sizeof *out);
    for (int32_t core = 0; core < topology->cores; core++) {
        int32_t here = 0;
        for (int32_t i = topology->core_start[core]; i < topology->core_start[core + 1]; i++) {
            int sort = !bit_get(be->lsr, i);
            total[sort] += bit_get(be->candidates, i);
            if (!bit_get(set, i))
                continue;
            taken[sort]++;
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
