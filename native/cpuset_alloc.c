/* cpuset_alloc.c - selection: requests checked, handed to the short or the
 * general way, and any set measured line by line. */
#include "internal.h"

bool cpuset_core_held(const struct problem *problem, int32_t core)
{
    const uint64_t *held = problem->pool->held_cores;
    if (!held)
        return false;
    for (int32_t i = problem->topology->core_start[core];
         i < problem->topology->core_start[core + 1]; i++)
        if (bit_get(held, i))
            return true;
    return false;
}

static bool bits_intersect(const struct cpuset_topology *t, const uint64_t *a, const uint64_t *b)
{
    for (int32_t w = 0; w < t->words; w++)
        if (a[w] & b[w] & bits_between(w, 0, t->cpus))
            return true;
    return false;
}

static bool any_between(const uint64_t *bits, int32_t low, int32_t high)
{
    for (int32_t w = low >> 6; w <= (high - 1) >> 6; w++)
        if (bits[w] & bits_between(w, low, high))
            return true;
    return false;
}

static int check_request(const struct cpuset_topology *t, const struct cpuset_request *request,
                         struct cpuset_fault *fault)
{
    const int32_t known = CPUSET_REQUIRED | CPUSET_KEEP_WHOLE | CPUSET_GENERAL_ONLY;
    if (request->bind < CPUSET_BIND_NONE || request->bind > CPUSET_BIND_SPREAD)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, request->bind, -1, -1);
    if (request->exclusive < CPUSET_EXCLUSIVE_NONE || request->exclusive > CPUSET_EXCLUSIVE_NODE)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, request->exclusive, -1, -1);
    if (request->strategy < CPUSET_MOST_ALLOCATED || request->strategy > CPUSET_LEAST_ALLOCATED)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, request->strategy, -1, -1);
    if (request->flags & ~known)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, request->flags, -1, -1);
    if (t->nodes < 64 && request->nodes >> t->nodes)
        return cpuset_fail(fault, CPUSET_E_RANGE, t->nodes, -1, -1);
    if (request->count < 0)
        return cpuset_fail(fault, CPUSET_E_RANGE, request->count, -1, -1);
    return CPUSET_OK;
}

/* Answers the questions that do not hang on which CPUs are taken. */
static int problem_init(const struct cpuset_topology *t, const struct cpuset_pool *pool,
                const struct cpuset_request *request, struct problem *p,
                struct cpuset_fault *fault)
{
    if (!t || !pool || !request || !pool->available)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    int status = check_request(t, request, fault);
    if (status)
        return status;
    *p = (struct problem){.topology = t, .request = request, .pool = pool};
    p->any_preferred = pool->preferred && bits_intersect(t, pool->preferred, pool->available);
    if (pool->held_nodes)
        for (int32_t cell = 0; cell < t->cells; cell++)
            if (any_between(pool->held_nodes, cell_low(t, cell), cell_high(t, cell)))
                p->held_nodes |= UINT64_C(1) << t->cell_node[cell];
    p->any_held = p->held_nodes || (pool->held_cores && any_between(pool->held_cores, 0, t->cpus));
    if (pool->references)
        for (int32_t i = 0; i < t->cpus; i++) {
            if (pool->references[i] > CPUSET_MAX_REFERENCES)
                return cpuset_fail(fault, CPUSET_E_RANGE, pool->references[i], i, -1);
            if (bit_get(pool->available, i))
                p->greatest_references = most(p->greatest_references, pool->references[i]);
        }
    return CPUSET_OK;
}

static int32_t count_between(const struct problem *p, int32_t low, int32_t high)
{
    int32_t count = 0;
    for (int32_t w = low >> 6; w <= (high - 1) >> 6; w++)
        count += bit_count(p->pool->available[w] & bits_between(w, low, high));
    return count;
}

static int32_t count_available(const struct problem *p)
{
    const struct cpuset_topology *t = p->topology;
    if (!p->request->nodes)
        return count_between(p, 0, t->cpus);
    int32_t count = 0;
    for (int32_t cell = 0; cell < t->cells; cell++)
        if (cell_allowed(p, cell))
            count += count_between(p, cell_low(t, cell), cell_high(t, cell));
    return count;
}

/* The greatest number of CPUs, up to the one asked for, that the required policy
 * lets anybody have: for FullPCPUs the sums of threads that whole cores reach. */
static int32_t attainable_count(const struct problem *p)
{
    enum { WORDS = CPUSET_MAX_CPUS / 64 + 1 };
    const struct cpuset_topology *t = p->topology;
    uint64_t reached[WORDS] = {1};
    int32_t distinct = 0, count = p->request->count;

    for (int32_t core = 0; core < t->cores; core++) {
        int32_t low = t->core_start[core], high = t->core_start[core + 1];
        int32_t had = cell_allowed(p, t->core_cell[core]) ? count_between(p, low, high) : 0;
        distinct += had > 0;
        if (had < high - low)
            continue;
        for (int32_t w = WORDS - 1; w >= had >> 6; w--) {
            int32_t from = w - (had >> 6), shift = had & 63;
            uint64_t word = reached[from] << shift;
            if (shift && from > 0)
                word |= reached[from - 1] >> (64 - shift);
            reached[w] |= word;
        }
    }
    if (p->request->bind == CPUSET_BIND_SPREAD)
        return least(distinct, count);
    count = least(count, t->cpus);
    while (!bit_get(reached, count))
        count--;
    return count;
}

static int refuse_problem(const struct problem *p, struct cpuset_fault *fault)
{
    if (p->request->bind != CPUSET_BIND_NONE && (p->request->flags & CPUSET_REQUIRED))
        return cpuset_fail(fault, CPUSET_E_POLICY, attainable_count(p), -1, -1);
    return cpuset_fail(fault, CPUSET_E_NOT_ENOUGH, count_available(p), -1, -1);
}

/* cpuset_select into a bitmap of the greatest size, left undefined on failure. */
static int select_into(const struct cpuset_topology *t, const struct cpuset_pool *pool,
                       const struct cpuset_request *request, void *work, size_t size,
                       uint64_t *result, struct cpuset_fault *fault)
{
    struct problem p;
    int status = problem_init(t, pool, request, &p, fault);
    if (status)
        return status;
    memset(result, 0, (size_t)t->words * sizeof *result);
    if (request->count == 0)
        return CPUSET_OK;
    if (request->count > count_available(&p))
        return refuse_problem(&p, fault);
    if (cpuset_select_regular(&p, result))
        return CPUSET_OK;
    struct arena arena = arena_of(work, size);
    status = cpuset_select_general(&p, &arena, result, fault);
    return status == CPUSET_E_POLICY ? refuse_problem(&p, fault) : status;
}

int cpuset_select(const struct cpuset_topology *topology, const struct cpuset_pool *pool,
                  const struct cpuset_request *request, void *work, size_t size, uint64_t *chosen,
                  struct cpuset_fault *fault)
{
    uint64_t result[CPUSET_MAX_CPUS / 64];
    if (!chosen)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    int status = select_into(topology, pool, request, work, size, result, fault);
    if (status == CPUSET_OK)
        memcpy(chosen, result, (size_t)topology->words * sizeof *chosen);
    return status;
}

int cpuset_select_ids(const struct cpuset_topology *topology, const struct cpuset_pool *pool,
                      const struct cpuset_request *request, void *work, size_t size, int32_t *ids,
                      uint64_t *nodes, struct cpuset_fault *fault)
{
    uint64_t result[CPUSET_MAX_CPUS / 64];
    if (!ids || !nodes)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    int status = select_into(topology, pool, request, work, size, result, fault);
    if (status)
        return status;
    cpuset_ids(topology, result, ids);
    *nodes = 0;
    for (int32_t cell = 0; cell < topology->cells; cell++)
        if (any_between(result, cell_low(topology, cell), cell_high(topology, cell)))
            *nodes |= UINT64_C(1) << topology->cell_node[cell];
    return CPUSET_OK;
}

/* What one core adds to lines 1, 2, 3 and 5 to 8. */
static void measure_core(const struct problem *p, const uint64_t *set, int32_t core, int64_t *out)
{
    const struct cpuset_topology *t = p->topology;
    const struct cpuset_request *request = p->request;
    int32_t threads = t->core_start[core + 1] - t->core_start[core], had = 0, taken = 0;
    for (int32_t i = t->core_start[core]; i < t->core_start[core + 1]; i++) {
        bool free = bit_get(p->pool->available, i) && cell_allowed(p, t->core_cell[core]);
        had += free;
        if (!bit_get(set, i))
            continue;
        taken++;
        out[0] += !free;
        out[2] += p->any_preferred && !bit_get(p->pool->preferred, i);
        out[8] += p->pool->references ? p->pool->references[i] : 0;
    }
    if (!taken)
        return;
    bool required = request->flags & CPUSET_REQUIRED, whole = had == threads;
    bool part = taken < threads, spread = request->bind == CPUSET_BIND_SPREAD;
    bool held_core = cpuset_core_held(p, core);
    bool held_node = p->held_nodes >> t->cell_node[t->core_cell[core]] & 1U;
    if (request->bind == CPUSET_BIND_FULL) {
        out[0] += required && part ? taken : 0;
        out[5] += part;
    } else if (spread) {
        out[0] += required ? taken - 1 : 0;
        out[5] += taken - 1;
    }
    if (request->exclusive == CPUSET_EXCLUSIVE_CORE)
        out[1] += held_core ? taken : 0;
    else if (request->exclusive == CPUSET_EXCLUSIVE_NODE)
        out[1] += held_node ? taken : 0;
    out[6] += (int64_t)taken * (held_core + held_node);
    if (spread && !(request->flags & CPUSET_KEEP_WHOLE))
        out[7] += !whole;
    else
        out[7] += whole && part;
}

int cpuset_measure(const struct cpuset_topology *topology, const struct cpuset_pool *pool,
                   const struct cpuset_request *request, const uint64_t *set,
                   int64_t out[CPUSET_LINES])
{
    struct problem p;
    int status = problem_init(topology, pool, request, &p, NULL);
    if (status || !set || !out)
        return status ? status : CPUSET_E_ARGUMENT;
    memset(out, 0, CPUSET_LINES * sizeof *out);
    for (int32_t core = 0; core < topology->cores; core++)
        measure_core(&p, set, core, out);

    int64_t left[CPUSET_MAX_NODES] = {0};
    uint64_t touched = 0;
    int32_t last_socket = -1;
    for (int32_t cell = 0; cell < topology->cells; cell++) {
        int32_t low = cell_low(topology, cell), high = cell_high(topology, cell);
        int32_t node = topology->cell_node[cell];
        left[node] += count_between(&p, low, high);
        if (!any_between(set, low, high))
            continue;
        touched |= UINT64_C(1) << node;
        out[3] += topology->cell_socket[cell] != last_socket;
        last_socket = topology->cell_socket[cell];
        for (int32_t w = low >> 6; w <= (high - 1) >> 6; w++)
            left[node] -= bit_count(set[w] & bits_between(w, low, high));
    }
    out[4] = bit_count(touched);
    for (int32_t node = 0; node < topology->nodes; node++)
        if (touched >> node & 1U)
            out[9] += request->strategy == CPUSET_LEAST_ALLOCATED ? -left[node] : left[node];
    return CPUSET_OK;
}
