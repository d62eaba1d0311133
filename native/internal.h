/* internal.h - what the sources of the allocator share and nobody else sees. */
#ifndef CPUSET_INTERNAL_H
#define CPUSET_INTERNAL_H

#include "cpuset_alloc.h"

#include <stdbool.h>
#include <string.h>

/* A *cell* is the part of a NUMA node that lies in one socket: nearly always the
 * whole node. A *group* is a run of cells that are paid for together: those of one
 * socket, or those of one node whose sockets are wholly its own (machines of one
 * socket a CPU, and machines that interleave their memory). A node in several cells
 * that shares one of its sockets is *wide*: it nests in nothing. */
struct cpuset_topology {
    int32_t cpus, words, cores, cells, nodes, sockets;
    int32_t max_threads;       /* of the core that has most */
    const int32_t *id;         /* [cpus] CPU id by position */
    const int32_t *core_of;    /* [cpus] */
    const int32_t *by_id;      /* [cpus] positions in the order of their ids */
    const int32_t *core_start; /* [cores + 1] first position */
    const int32_t *core_cell;  /* [cores] */
    const int32_t *cell_core;  /* [cells + 1] first core */
    const int32_t *cell_node;  /* [cells] rank of the node */
    const int32_t *cell_socket;
    const int32_t *cell_group; /* [cells] */
    const int32_t *node_cells; /* [nodes] how many cells */
    uint64_t wide;             /* the wide nodes, by rank */
    const uint64_t *pairs;     /* first thread of every core of two threads */
};

static inline bool bit_get(const uint64_t *bits, int32_t i)
{
    return (bits[i >> 6] >> (i & 63)) & 1U;
}

static inline void bit_set(uint64_t *bits, int32_t i)
{
    bits[i >> 6] |= UINT64_C(1) << (i & 63);
}

static inline int32_t bit_count(uint64_t word)
{
    return (int32_t)__builtin_popcountll(word);
}

static inline int32_t bit_first(uint64_t word)
{
    return (int32_t)__builtin_ctzll(word);
}

/* Whether set `a` is before `b` in line 10, the sorted list of positions; both have
 * as many members, so whoever has the first position in which they differ. */
static inline bool bits_before(const uint64_t *a, const uint64_t *b, int32_t words)
{
    for (int32_t w = 0; w < words; w++)
        if (a[w] != b[w]) {
            uint64_t differ = a[w] ^ b[w];
            return a[w] & differ & (~differ + 1);
        }
    return false;
}

/* The bits of word `word` whose positions lie in [low, high). */
static inline uint64_t bits_between(int32_t word, int32_t low, int32_t high)
{
    uint64_t mask = ~UINT64_C(0);
    if (low > word * 64)
        mask &= ~UINT64_C(0) << (low - word * 64);
    if (high < word * 64 + 64)
        mask &= ~UINT64_C(0) >> (word * 64 + 64 - high);
    return mask;
}

static inline int32_t cell_low(const struct cpuset_topology *t, int32_t cell)
{
    return t->core_start[t->cell_core[cell]];
}

static inline int32_t cell_high(const struct cpuset_topology *t, int32_t cell)
{
    return t->core_start[t->cell_core[cell + 1]];
}

static inline int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Whether exclusive use of NUMA nodes speaks against `mask`, see struct cpuset_merge. */
static inline bool mask_is_forbidden(uint64_t mask, int32_t exclusive, const uint8_t *status)
{
    if (!exclusive || !status)
        return false;
    uint8_t against = mask & (mask - 1) ? CPUSET_NODE_SINGLE : CPUSET_NODE_SHARED;
    for (; mask; mask &= mask - 1)
        if (status[bit_first(mask)] == against)
            return true;
    return false;
}

static inline int cpuset_fail(struct cpuset_fault *fault, int code, int64_t value, int64_t index,
                              int64_t offset)
{
    if (fault)
        *fault = (struct cpuset_fault){value, index, offset};
    return code;
}

/* Scratch memory carved from what the caller gave. Goes on counting when there is
 * no more, so that one failed pass tells how much the whole takes. */
struct arena {
    unsigned char *base;
    size_t size, used;
};

static inline struct arena arena_of(void *work, size_t size)
{
    size_t skip = (16U - (uintptr_t)work % 16U) % 16U;
    if (!work || size < skip)
        return (struct arena){NULL, 0, 0};
    return (struct arena){(unsigned char *)work + skip, size - skip, 0};
}

static inline void *arena_take(struct arena *arena, size_t count, size_t each)
{
    size_t at = (arena->used + 15U) & ~(size_t)15U;
    arena->used = at + count * each;
    return arena->used <= arena->size ? arena->base + at : NULL;
}

static inline bool arena_short(const struct arena *arena)
{
    return arena->used > arena->size;
}

/* What to ask the caller for, with room to align whatever comes. */
static inline int arena_fail(const struct arena *arena, struct cpuset_fault *fault)
{
    return cpuset_fail(fault, CPUSET_E_MEMORY, (int64_t)arena->used + 16, -1, -1);
}

/* A request against a pool, checked and with the questions about held cores and
 * nodes answered. */
struct problem {
    const struct cpuset_topology *topology;
    const struct cpuset_request *request;
    const struct cpuset_pool *pool;
    uint64_t held_nodes;       /* ranks of nodes held at NUMANodeLevel */
    bool any_held;
    bool any_preferred;        /* preferred and available */
    int32_t greatest_references;
};

static inline bool cell_allowed(const struct problem *p, int32_t cell)
{
    return !p->request->nodes || (p->request->nodes >> p->topology->cell_node[cell] & 1U);
}

/* cpuset_core_held: whether a PCPULevel holder has a CPU of `core`. */
bool cpuset_core_held(const struct problem *problem, int32_t core);

/* cpuset_select_regular: the short way, for cores of one and two threads, nothing
 * preferred, no references and no held CPUs to weigh. Returns false when the
 * request is not of that kind, else writes `chosen`. `chosen` is clear. */
bool cpuset_select_regular(const struct problem *problem, uint64_t *chosen);

/* cpuset_select_general: any request. Exact by dynamic programming. */
int cpuset_select_general(const struct problem *problem, struct arena *arena, uint64_t *chosen,
                          struct cpuset_fault *fault);

#endif
