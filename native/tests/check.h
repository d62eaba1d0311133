/* check.h - the few things the native tests share. */
#ifndef CHECK_H
#define CHECK_H

#include "../cpuset_alloc.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition, ...)                                                                     \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: %s\n  ", __FILE__, __LINE__, #condition);                     \
            fprintf(stderr, __VA_ARGS__);                                                         \
            fputc('\n', stderr);                                                                  \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

/* xorshift64*: small, and the same numbers everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* A number in [0, below). */
static inline int32_t draw(uint64_t *state, int32_t below)
{
    return (int32_t)(next_random(state) >> 33) % below;
}

static inline bool chance(uint64_t *state, int32_t percent)
{
    return draw(state, 100) < percent;
}

/* A topology in memory of exactly its size, so that a sanitizer sees any step
 * beyond it. Freed by the caller, as is `cpus`. */
static inline const struct cpuset_topology *make_topology(const struct cpuset_cpu *cpus,
                                                          int32_t count)
{
    size_t size = cpuset_topology_size((size_t)count);
    const struct cpuset_topology *topology = NULL;
    void *memory = malloc(size);
    struct cpuset_fault fault = {0, 0, 0};
    int status = cpuset_topology_init(memory, size, cpus, (size_t)count, &topology, &fault);
    CHECK(status == CPUSET_OK, "status %d, value %lld", status, (long long)fault.value);
    CHECK((const void *)topology == memory, "a topology begins its memory");
    return topology;
}

/* cpuset_select, given just the scratch memory it asks for. */
static inline int select_with_memory(const struct cpuset_topology *topology,
                                     const struct cpuset_pool *pool,
                                     const struct cpuset_request *request, uint64_t *chosen,
                                     struct cpuset_fault *fault)
{
    int status = cpuset_select(topology, pool, request, NULL, 0, chosen, fault);
    void *work = NULL;
    for (int tries = 0; status == CPUSET_E_MEMORY && tries < 4; tries++) {
        size_t size = (size_t)fault->value;
        free(work);
        work = malloc(size);
        status = cpuset_select(topology, pool, request, work, size, chosen, fault);
    }
    free(work);
    return status;
}

#endif
