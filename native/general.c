/*
 * general.c - the general way: any machine, any request, exact.
 *
 * Every line of the order but the last is a sum: over CPUs and cores, over the
 * NUMA nodes touched, over the sockets touched. So the lines before line 10 are
 * packed into one integer, the most important in the highest digits, and the
 * least cost of taking m CPUs is found bottom up: of a core, of a cell (the cores
 * of a NUMA node in one socket, see internal.h), of all cells from one on. What
 * remains is line 10: of all answers of that cost the one with most CPUs on the
 * first core, then on the second, and so on. It is read off the same tables.
 *
 * The packed cost fits 64 bits for nearly every request; where it does not the
 * same code works with 128. `general.inc` is that code, compiled for both: with 128
 * bits for all, the rows "general" of `make bench` take 1.25 to 1.55 times as long.
 */
#include "internal.h"

__extension__ typedef __int128 wide_cost;

/* The weight of each line in the packed cost; wide enough for both. */
struct weights {
    wide_cost line2, line3, sockets, nodes, line5, line6, line7, line8, line9;
    bool narrow;
};

static struct weights cost_weights(const struct problem *p, int32_t available)
{
    const struct cpuset_request *r = p->request;
    const int64_t n = r->count;
    struct weights w;
    w.line9 = 1;
    w.line8 = w.line9 * (available + 1);
    w.line7 = w.line8 * (n * p->greatest_references + 1);
    w.line6 = w.line7 * (n + 1);
    w.line5 = w.line6 * (p->any_held ? 2 * n + 1 : 1);
    w.nodes = w.line5 * (r->bind == CPUSET_BIND_NONE ? 1 : n + 1);
    w.sockets = w.nodes * (p->topology->nodes + 1);
    w.line3 = w.sockets * (p->topology->sockets + 1);
    w.line2 = w.line3 * (p->any_preferred ? n + 1 : 1);
    wide_cost top = w.line2 * (r->exclusive ? n + 1 : 1);
#ifdef CPUSET_WIDE_ONLY   /* the tests run the 128-bit tables on small machines too */
    w.narrow = false;
    (void)top;
#else
    w.narrow = top < INT64_MAX / 16;
#endif
    return w;
}

/* One available CPU of a core, and what decides in which order they go. */
struct thread {
    int32_t position;
    uint32_t key;   /* not preferred, then references */
};

/* What the tables are made of; filled core by core. */
struct cores {
    int32_t *first;          /* [cores + 1] index of a core's first thread and cost */
    struct thread *threads;  /* available CPUs, core by core, in the order they go */
    int32_t *keep;           /* cores that can matter, in the order of positions */
    int32_t *cell_keep;      /* [cells + 1] first of a cell's in `keep` */
    int32_t *cell_free;      /* [cells] available CPUs on kept cores */
};

/* Writes the available CPUs of `core` in the order they are best taken, however
 * many are taken: a core's first j are its least for lines 3, 8 and 10. */
static int32_t list_threads(const struct problem *p, int32_t core, struct thread *out)
{
    const struct cpuset_pool *pool = p->pool;
    int32_t count = 0;
    if (!cell_allowed(p, p->topology->core_cell[core]))
        return 0;
    for (int32_t i = p->topology->core_start[core]; i < p->topology->core_start[core + 1]; i++) {
        if (!bit_get(pool->available, i))
            continue;
        uint32_t key = pool->references ? pool->references[i] : 0;
        if (p->any_preferred && !bit_get(pool->preferred, i))
            key += CPUSET_MAX_REFERENCES + 1;
        int32_t at = count++;
        for (; at > 0 && out[at - 1].key > key; at--)
            out[at] = out[at - 1];
        out[at] = (struct thread){i, key};
    }
    return count;
}

#define COST int64_t
#define NAME(name) name##_narrow
#define COST_MOST INT64_MAX
#include "general.inc"
#undef COST
#undef NAME
#undef COST_MOST

#define COST wide_cost
#define NAME(name) name##_wide
#define COST_MOST ((wide_cost)(~(__extension__(unsigned __int128)0) >> 1))
#include "general.inc"

int cpuset_select_general(const struct problem *problem, struct arena *arena, uint64_t *chosen,
                          struct cpuset_fault *fault)
{
    struct weights weights = cost_weights(problem, problem->topology->cpus);
    return weights.narrow ? solve_narrow(problem, &weights, arena, chosen, fault)
                          : solve_wide(problem, &weights, arena, chosen, fault);
}
