/* be.h - what the three sources of BE suppression share: the candidates of a
 * machine by core, the tables of its NUMA nodes, the windows of a node's count. */
#ifndef CPUSET_BE_H
#define CPUSET_BE_H

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
    int32_t total[2], take[2];      /* candidates and how many of them, by kind */
    struct be_core *cores;          /* those with candidates, by node */
    int32_t nodes;                  /* 1 where the machine is taken for one node */
    int32_t *node_core;             /* [nodes + 1] */
    struct be_tables *tables;       /* [nodes] */
    int32_t part;                   /* fewest cores in part */
};

/* How a search ended that could not be finished. */
enum be_stop { STOP_NOT, STOP_MEMORY, STOP_STEPS };

static inline bool core_is_mixed(const struct be_core *core)
{
    return core->free[0] && core->free[1];
}

static inline size_t mixed_at(const struct be_tables *t, int32_t a, int32_t b)
{
    return (size_t)a * ((size_t)t->mixed[1] + 1) + (size_t)b;
}

/* One window: node counts from low to min(high, candidates). `slack` is by how
 * much the upper ends exceed what is to be taken. */
struct be_window {
    int32_t low, high, slack;
};

static inline int32_t node_total(const struct be_problem *p, int32_t node, int kind)
{
    return p->tables[node].pure[kind] + p->tables[node].mixed[kind];
}

static inline int32_t node_most(const struct be_problem *p, int32_t node, int32_t high)
{
    return least(high, node_total(p, node, 0) + node_total(p, node, 1));
}

static inline size_t plan_at(const struct be_problem *p, const struct be_window *w, int32_t node,
                             int32_t u, int32_t s)
{
    size_t row = (size_t)w->slack + 1;
    return ((size_t)node * ((size_t)p->take[0] + 1) + (size_t)u) * row + (size_t)s;
}

static inline size_t plan_size(const struct be_problem *p, const struct be_window *w)
{
    return plan_at(p, w, p->nodes + 1, 0, 0);
}

/* cpuset_be_count_tables: counts what the tables of `count` cores have to hold. */
void cpuset_be_count_tables(struct be_tables *t, const struct be_core *cores, int32_t count);

/* cpuset_be_mixed_size: entries of the table of mixed cores. */
size_t cpuset_be_mixed_size(const struct be_tables *t);

/* cpuset_be_reserve_tables: takes the tables' memory, that of mixed cores `with_mixed` only. */
void cpuset_be_reserve_tables(struct be_tables *t, struct arena *arena, bool with_mixed);

/* cpuset_be_choice_row: how many choices cpuset_be_fill_tables notes for a core. */
size_t cpuset_be_choice_row(const struct be_tables *t, const struct be_core *core);

/* cpuset_be_fill_tables: fills the tables core by core; `choices` (may be NULL) gets, core by
 * core, how many of it to take for every number of CPUs so far. */
void cpuset_be_fill_tables(struct be_tables *t, bool with_mixed, uint16_t *choices);

/* cpuset_be_least_cost: the least cost of i LSR and j other CPUs, IMPOSSIBLE if there is none;
 * *a and *b get what mixed cores give of them. */
int32_t cpuset_be_least_cost(const struct be_tables *t, int32_t i, int32_t j, int32_t *a,
                             int32_t *b);

/* cpuset_be_fill_plan: fills `plan` with the least cost of nodes before `node` taking u
 * LSR CPUs in all and leaving s of their upper ends untaken. Returns the cost of
 * the whole. */
int32_t cpuset_be_fill_plan(const struct be_problem *p, const struct be_window *w, int32_t *plan);

/* cpuset_be_best_window: the window in which the fewest CPUs are moved, of the narrowest
 * that allow p->part cores in part. Sets *stop where it could not be found. */
struct be_window cpuset_be_best_window(const struct be_problem *p, struct arena *arena,
                                       enum be_stop *stop);

#endif
