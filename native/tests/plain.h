/*
 * plain.h - the order of cpuset_select a second time, as plainly as it can be
 * said: every subset is measured from the description of the machine alone and
 * compared with the best so far. Nothing here is shared with the library.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include "machine.h"

/* A machine in the order of positions. */
struct plain {
    const struct problem *problem;
    struct cpuset_cpu at[SMALL];
    int32_t count;
};

/* The socket under which a CPU stands: the first one of its NUMA node, where all of
 * the node's sockets are wholly its own. */
static inline int32_t plain_lead(const struct machine *m, struct cpuset_cpu cpu)
{
    int32_t first = cpu.socket;
    for (int32_t i = 0; i < m->count; i++) {
        if (m->cpus[i].node != cpu.node)
            continue;
        for (int32_t j = 0; j < m->count; j++)
            if (m->cpus[j].socket == m->cpus[i].socket && m->cpus[j].node != cpu.node)
                return cpu.socket;
        first = m->cpus[i].socket < first ? m->cpus[i].socket : first;
    }
    return first;
}

static inline bool plain_less(const struct machine *m, struct cpuset_cpu a, struct cpuset_cpu b)
{
    if (plain_lead(m, a) != plain_lead(m, b))
        return plain_lead(m, a) < plain_lead(m, b);
    if (a.socket != b.socket)
        return a.socket < b.socket;
    if (a.node != b.node)
        return a.node < b.node;
    return a.core != b.core ? a.core < b.core : a.cpu < b.cpu;
}

static inline struct plain plain_of(const struct machine *m, const struct problem *q)
{
    struct plain p = {.problem = q, .count = m->count};
    for (int32_t i = 0; i < m->count; i++) {
        int32_t at = i;
        for (; at > 0 && plain_less(m, m->cpus[i], p.at[at - 1]); at--)
            p.at[at] = p.at[at - 1];
        p.at[at] = m->cpus[i];
    }
    return p;
}

static inline bool same_core(struct cpuset_cpu a, struct cpuset_cpu b)
{
    return a.socket == b.socket && a.node == b.node && a.core == b.core;
}

/* The rank of a NUMA node among the ids of all. */
static inline int32_t plain_rank(const struct plain *p, int32_t node)
{
    uint64_t lower = 0;
    int32_t rank = 0;
    for (int32_t i = 0; i < p->count; i++)
        if (p->at[i].node < node && !(lower >> p->at[i].node & 1U)) {
            lower |= UINT64_C(1) << p->at[i].node;
            rank++;
        }
    return rank;
}

static inline uint64_t plain_free(const struct plain *p)
{
    const struct problem *q = p->problem;
    uint64_t free = 0;
    for (int32_t i = 0; i < p->count; i++)
        if ((q->available >> i & 1U)
            && (!q->request.nodes || q->request.nodes >> plain_rank(p, p->at[i].node) & 1U))
            free |= UINT64_C(1) << i;
    return free;
}

/* The ten lines for the set `s`; lines[0] counts what breaks a required policy. */
static inline void plain_measure(const struct plain *p, uint64_t free, uint64_t s,
                                 int32_t lines[CPUSET_LINES])
{
    const struct problem *q = p->problem;
    const struct cpuset_request *r = &q->request;
    uint64_t sockets = 0, nodes = 0;
    int32_t cores = 0;
    memset(lines, 0, CPUSET_LINES * sizeof *lines);
    for (int32_t i = 0; i < p->count; i++) {
        if (!(s >> i & 1U))
            continue;
        int32_t threads = 0, had = 0, taken = 0;
        bool core_held = false, node_held = false, first = true;
        for (int32_t j = 0; j < p->count; j++) {
            if (p->at[j].node == p->at[i].node)
                node_held |= q->pool.held_nodes && (q->held_nodes >> j & 1U);
            if (!same_core(p->at[i], p->at[j]))
                continue;
            threads++;
            had += (int32_t)(free >> j & 1U);
            taken += (int32_t)(s >> j & 1U);
            core_held |= q->pool.held_cores && (q->held_cores >> j & 1U);
            first &= !(j < i && (s >> j & 1U));
        }
        sockets |= UINT64_C(1) << p->at[i].socket;
        nodes |= UINT64_C(1) << p->at[i].node;
        lines[1] += (r->exclusive == CPUSET_EXCLUSIVE_CORE && core_held)
            || (r->exclusive == CPUSET_EXCLUSIVE_NODE && node_held);
        lines[2] += q->pool.preferred && !(q->preferred >> i & 1U);
        lines[6] += core_held + node_held;
        lines[8] += q->pool.references ? q->references[i] : 0;
        bool part = taken < threads, whole = had == threads;
        if ((r->flags & CPUSET_REQUIRED) && r->bind == CPUSET_BIND_FULL)
            lines[0] += part;
        if ((r->flags & CPUSET_REQUIRED) && r->bind == CPUSET_BIND_SPREAD)
            lines[0] += taken > 1;
        if (!first)
            continue;
        cores++;
        lines[5] += r->bind == CPUSET_BIND_FULL && part;
        if (r->bind == CPUSET_BIND_SPREAD && !(r->flags & CPUSET_KEEP_WHOLE))
            lines[7] += !whole;
        else
            lines[7] += whole && part;
    }
    lines[3] = __builtin_popcountll(sockets);
    lines[4] = __builtin_popcountll(nodes);
    if (r->bind == CPUSET_BIND_SPREAD)
        lines[5] = __builtin_popcountll(s) - cores;
    for (int32_t i = 0; i < p->count; i++)
        if ((free & ~s) >> i & nodes >> p->at[i].node & 1U)
            lines[9] += r->strategy == CPUSET_LEAST_ALLOCATED ? -1 : 1;
}

/* Whether `a` is before `b`: lines first, then the sorted lists of positions. */
static inline bool plain_before(const int32_t *a, uint64_t set_a, const int32_t *b, uint64_t set_b)
{
    for (int32_t i = 0; i < CPUSET_LINES; i++)
        if (a[i] != b[i])
            return a[i] < b[i];
    while (set_a && set_b) {
        int32_t first_a = __builtin_ctzll(set_a), first_b = __builtin_ctzll(set_b);
        if (first_a != first_b)
            return first_a < first_b;
        set_a &= set_a - 1;
        set_b &= set_b - 1;
    }
    return false;
}

/* The best set of `count` CPUs; false if there is none. */
static inline bool plain_best(const struct plain *p, int32_t count, uint64_t *best, int32_t *lines)
{
    uint64_t free = plain_free(p);
    bool found = false;
    int32_t here[CPUSET_LINES];
    /* Every subset of `free`, in the order of the standard trick. */
    uint64_t s = 0;
    do {
        if (__builtin_popcountll(s) == count) {
            plain_measure(p, free, s, here);
            if (here[0] == 0 && (!found || plain_before(here, s, lines, *best))) {
                found = true;
                *best = s;
                memcpy(lines, here, sizeof here);
            }
        }
        s = (s - free) & free;
    } while (s);
    return found;
}

/* The greatest count up to `count` that has an answer. */
static inline int32_t plain_attainable(const struct plain *p, int32_t count)
{
    uint64_t set;
    int32_t lines[CPUSET_LINES];
    while (count > 0 && !plain_best(p, count, &set, lines))
        count--;
    return count;
}

#endif
