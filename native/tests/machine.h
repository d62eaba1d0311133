/* machine.h - random machines and requests of every kind, small enough to try all
 * answers. */
#ifndef MACHINE_H
#define MACHINE_H

#include "check.h"

enum { SMALL = 16 };

struct machine {
    struct cpuset_cpu cpus[SMALL];
    int32_t count;
};

/* Hybrid cores, offline threads, uneven nodes, holes in the numbering, numbers in
 * any order, and now and then NUMA nodes that lie in several sockets: with other nodes
 * in these, or as on virtual machines of one socket a CPU. */
static inline void random_machine(uint64_t *seed, struct machine *m)
{
    int32_t sockets = 1 + draw(seed, 3), per_socket = 1 + draw(seed, 3), threads = 1 + draw(seed, 4);
    bool regular = chance(seed, 30), wide = chance(seed, 12), narrow = chance(seed, 50);
    bool small_sockets = chance(seed, 15);
    int32_t ids[SMALL], id = 0, core_number = 0;
    m->count = 0;
    if (narrow)
        threads = 1 + draw(seed, 2);
    if (small_sockets) {
        sockets = 2 + draw(seed, 7);
        per_socket = 1;
    }
    int32_t many = 1 + draw(seed, 3);
    bool apart = chance(seed, 50);
    for (int32_t i = 0; i < SMALL; i++, id++) {
        id += chance(seed, 15) ? draw(seed, 5) : 0;
        ids[i] = id;
    }
    if (chance(seed, 60))
        for (int32_t i = SMALL - 1; i > 0; i--) {
            int32_t j = draw(seed, i + 1), kept = ids[i];
            ids[i] = ids[j];
            ids[j] = kept;
        }
    int32_t size = SMALL - draw(seed, chance(seed, 50) ? 3 : SMALL - 3), cores = 1 + draw(seed, 4);
    for (int32_t s = 0; s < sockets; s++)
        for (int32_t n = 0; n < per_socket; n++) {
            int32_t node = small_sockets ? apart ? s % many : s / many
                : wide ? draw(seed, 3) : s * per_socket + n;
            int32_t here = regular ? cores : 1 + draw(seed, small_sockets ? 3 : 7);
            for (int32_t c = 0; c < here; c++, core_number++)
                for (int32_t t = 0; t < threads && m->count < size; t++)
                    if (t == 0 || regular || chance(seed, 80)) {
                        m->cpus[m->count] =
                            (struct cpuset_cpu){ids[m->count], core_number, node, s};
                        m->count++;
                    }
        }
}

struct problem {
    uint64_t available, preferred, held_cores, held_nodes;
    uint16_t references[SMALL];
    struct cpuset_pool pool;
    struct cpuset_request request;
};

static inline uint64_t random_bits(uint64_t *seed, int32_t percent)
{
    uint64_t bits = 0;
    for (int32_t i = 0; i < SMALL; i++)
        bits |= (uint64_t)chance(seed, percent) << i;
    return bits;
}

static inline void random_problem(uint64_t *seed, const struct cpuset_topology *t,
                                   struct problem *q)
{
    uint64_t all = (UINT64_C(1) << cpuset_cpus(t)) - 1;
    bool shared = chance(seed, 25);
    memset(q, 0, sizeof *q);
    q->available = all & random_bits(seed, 30 + draw(seed, 71));
    q->preferred = random_bits(seed, 40);
    q->held_cores = random_bits(seed, 15) & (shared ? all : ~q->available);
    q->held_nodes = random_bits(seed, 10) & (shared ? all : ~q->available);
    for (int32_t i = 0; i < SMALL; i++)
        q->references[i] = (uint16_t)(draw(seed, 4) * chance(seed, 60));
    q->pool = (struct cpuset_pool){
        .available = &q->available,
        .preferred = chance(seed, 25) ? &q->preferred : NULL,
        .held_cores = chance(seed, 45) ? &q->held_cores : NULL,
        .held_nodes = chance(seed, 45) ? &q->held_nodes : NULL,
        .references = shared ? q->references : NULL,
    };
    int32_t free = __builtin_popcountll(q->available);
    q->request = (struct cpuset_request){
        .count = chance(seed, 95) ? draw(seed, free + 1) : free + 1 + draw(seed, 3),
        .bind = draw(seed, 3),
        .exclusive = draw(seed, 3),
        .strategy = draw(seed, 2),
        .flags = (chance(seed, 40) ? CPUSET_REQUIRED : 0)
            | (chance(seed, 30) ? CPUSET_KEEP_WHOLE : 0)
            | (chance(seed, 20) ? CPUSET_GENERAL_ONLY : 0),
        .nodes = chance(seed, 20)
            ? 1 + (uint64_t)draw(seed, (1 << cpuset_nodes(t)) - 1) : 0,
    };
}

#endif
