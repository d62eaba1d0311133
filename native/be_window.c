/* be_window.c - how evenly BE CPUs can lie on NUMA nodes: windows of a node's count. */
#include "be.h"

/* The greatest low end a window can have: no node has fewer candidates, and all
 * nodes together take no more than is asked. */
static int32_t greatest_low(const struct be_problem *p)
{
    int32_t low = (p->take[0] + p->take[1]) / p->nodes;
    for (int32_t node = 0; node < p->nodes; node++)
        low = node_most(p, node, low);
    return low;
}

static bool window_of(const struct be_problem *p, int32_t low, int32_t high, struct be_window *w)
{
    *w = (struct be_window){low, high, -p->take[0] - p->take[1]};
    for (int32_t node = 0; node < p->nodes; node++)
        w->slack += node_most(p, node, high);
    return w->slack >= 0 && low <= high && low <= greatest_low(p);
}

int32_t cpuset_be_fill_plan(const struct be_problem *p, const struct be_window *w, int32_t *plan)
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
                int32_t cost = cpuset_be_least_cost(&p->tables[node], i, m - i, &a, &b);
                int32_t skipped = high - m;
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
static double plan_steps(const struct be_problem *p, const struct be_window *w)
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
                           struct arena *arena, enum be_stop *stop)
{
    struct be_window w;
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
    int32_t cost = cpuset_be_fill_plan(p, &w, plan);
    return cost < (p->part + 1) * (p->topology->cpus + 1) ? cost : IMPOSSIBLE;
}

/* The least high end that leaves any answer: found by doubling steps upwards, then
 * halving between. */
static int32_t least_high(const struct be_problem *p, struct arena *arena, enum be_stop *stop)
{
    struct be_window w;
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
                           enum be_stop *stop)
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

struct be_window cpuset_be_best_window(const struct be_problem *p, struct arena *arena,
                                       enum be_stop *stop)
{
    struct be_window best = {0, 0, 0}, w;
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
