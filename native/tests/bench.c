/* bench.c - ns per cpuset_select on machines of 2 sockets x 2 NUMA nodes and two
 * threads a core, half of the CPUs free at random. Prints one line a case:
 * CPUs, count, policy, way, ns. */
#include "check.h"

#include <time.h>

enum { LARGEST = 512, POOLS = 64 };

static double now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static const struct cpuset_topology *machine(int32_t count)
{
    struct cpuset_cpu cpus[LARGEST];
    for (int32_t i = 0; i < count; i++)
        cpus[i] = (struct cpuset_cpu){i, i / 2, i * 4 / count, i * 2 / count};
    return make_topology(cpus, count);
}

static void measure(int32_t cpus, int32_t count, int32_t bind, int32_t flags)
{
    static const char *const names[] = {"none", "FullPCPUs", "SpreadByPCPUs"};
    static uint64_t work[1 << 18];
    uint64_t available[POOLS][LARGEST / 64], chosen[LARGEST / 64], seed = 99;
    struct cpuset_fault fault;
    const struct cpuset_topology *t = machine(cpus);
    for (int32_t p = 0; p < POOLS; p++) {
        memset(available[p], 0, sizeof available[p]);
        for (int32_t i = 0; i < cpus; i++)
            available[p][i / 64] |= (uint64_t)chance(&seed, 50) << (i % 64);
    }
    struct cpuset_request request = {.count = count, .bind = bind, .flags = flags};
    double best = 1e18;
    for (int32_t round = 0; round < 15; round++) {
        int32_t calls = flags ? 10 : 100;
        double start = now();
        for (int32_t i = 0; i < calls * POOLS; i++) {
            struct cpuset_pool pool = {.available = available[i % POOLS]};
            (void)cpuset_select(t, &pool, &request, work, sizeof work, chosen, &fault);
        }
        double each = (now() - start) / calls / POOLS;
        best = each < best ? each : best;
    }
    printf("%d %d %s %s %.0f\n", cpus, count, names[bind], flags ? "general" : "short", best);
    free((void *)(uintptr_t)t);
}

int main(void)
{
    for (int32_t cpus = 16; cpus <= LARGEST; cpus *= 2)
        for (int32_t count = 4; count <= 16; count *= 4)
            for (int32_t bind = CPUSET_BIND_NONE; bind <= CPUSET_BIND_SPREAD; bind++)
                for (int32_t flags = 0; flags <= CPUSET_GENERAL_ONLY; flags += CPUSET_GENERAL_ONLY)
                    measure(cpus, count, bind, flags);
    return 0;
}
