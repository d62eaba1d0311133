/* topology.c - a machine's CPUs put in the order of positions. */
#include "internal.h"

/* The NUMA nodes of a machine, ascending, and what its order of positions needs. */
struct nodes {
    int32_t count;
    int32_t id[CPUSET_MAX_NODES + 1];
    int32_t first_socket[CPUSET_MAX_NODES];
    uint64_t several;   /* nodes with CPUs in several sockets */
    uint64_t shares;    /* nodes with a socket in which another node has CPUs */
};

static int32_t node_rank(const struct nodes *nodes, int32_t id)
{
    int32_t low = 0;
    for (int32_t high = nodes->count; high - low > 1;) {
        int32_t middle = low + (high - low) / 2;
        if (nodes->id[middle] <= id)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Nodes of several sockets that are wholly theirs. */
static uint64_t nodes_of_sockets(const struct nodes *nodes)
{
    return nodes->several & ~nodes->shares;
}

/* The socket by which a CPU is sorted: the first one of such a node, so that all its
 * sockets are neighbours. */
static int32_t group_socket(const struct nodes *nodes, const struct cpuset_cpu *cpu)
{
    if (!nodes_of_sockets(nodes))
        return cpu->socket;
    int32_t rank = node_rank(nodes, cpu->node);
    return nodes_of_sockets(nodes) >> rank & 1U ? nodes->first_socket[rank] : cpu->socket;
}

static bool place_less(const struct nodes *nodes, const struct cpuset_cpu *a,
                       const struct cpuset_cpu *b)
{
    int32_t group_a = group_socket(nodes, a), group_b = group_socket(nodes, b);
    if (group_a != group_b)
        return group_a < group_b;
    if (a->socket != b->socket)
        return a->socket < b->socket;
    if (a->node != b->node)
        return a->node < b->node;
    if (a->core != b->core)
        return a->core < b->core;
    return a->cpu < b->cpu;
}

static bool id_less(const struct nodes *nodes, const struct cpuset_cpu *a,
                    const struct cpuset_cpu *b)
{
    (void)nodes;
    return a->cpu < b->cpu;
}

typedef bool less_fn(const struct nodes *, const struct cpuset_cpu *, const struct cpuset_cpu *);

static void sift_heap(struct cpuset_cpu *heap, size_t root, size_t count, less_fn *less,
                 const struct nodes *nodes)
{
    struct cpuset_cpu moved = heap[root];
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && less(nodes, &heap[child], &heap[child + 1]))
            child++;
        if (!less(nodes, &moved, &heap[child]))
            break;
        heap[root] = heap[child];
    }
    heap[root] = moved;
}

/* Heapsort: no memory of its own, which qsort does not promise. */
static void sort_cpus(struct cpuset_cpu *cpus, size_t count, less_fn *less,
                      const struct nodes *nodes)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_heap(cpus, i, count, less, nodes);
    for (size_t last = count - 1; last > 0; last--) {
        struct cpuset_cpu top = cpus[0];
        cpus[0] = cpus[last];
        cpus[last] = top;
        sift_heap(cpus, 0, last, less, nodes);
    }
}

static size_t take_bytes(size_t *used, size_t bytes)
{
    size_t at = *used;
    *used += (bytes + 7U) & ~(size_t)7U;
    return at;
}

/* Where each array lies behind the struct; all are sized for the worst case. */
struct layout {
    size_t sorted, id, core_of, by_id, core_start, core_cell, cell_core, cell_node, cell_socket,
        cell_group, node_cells, pairs, total;
};

static struct layout layout_of(size_t count)
{
    size_t used = (sizeof(struct cpuset_topology) + 7U) & ~(size_t)7U;
    struct layout at;
    at.sorted = take_bytes(&used, count * sizeof(struct cpuset_cpu));
    at.id = take_bytes(&used, count * sizeof(int32_t));
    at.core_of = take_bytes(&used, count * sizeof(int32_t));
    at.by_id = take_bytes(&used, count * sizeof(int32_t));
    at.core_start = take_bytes(&used, (count + 1) * sizeof(int32_t));
    at.core_cell = take_bytes(&used, count * sizeof(int32_t));
    at.cell_core = take_bytes(&used, (count + 1) * sizeof(int32_t));
    at.cell_node = take_bytes(&used, count * sizeof(int32_t));
    at.cell_socket = take_bytes(&used, count * sizeof(int32_t));
    at.cell_group = take_bytes(&used, count * sizeof(int32_t));
    at.node_cells = take_bytes(&used, CPUSET_MAX_NODES * sizeof(int32_t));
    at.pairs = take_bytes(&used, (count + 63) / 64 * sizeof(uint64_t));
    at.total = used;
    return at;
}

size_t cpuset_topology_size(size_t count)
{
    return count == 0 || count > CPUSET_MAX_CPUS ? 0 : layout_of(count).total;
}

static int check_cpus(const struct cpuset_cpu *cpus, size_t count, struct cpuset_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        const int32_t fields[] = {cpus[i].cpu, cpus[i].core, cpus[i].node, cpus[i].socket};
        for (size_t f = 0; f < 4; f++)
            if (fields[f] < 0)
                return cpuset_fail(fault, CPUSET_E_RANGE, fields[f], (int64_t)i, -1);
        if (cpus[i].cpu > CPUSET_MAX_ID)
            return cpuset_fail(fault, CPUSET_E_RANGE, cpus[i].cpu, (int64_t)i, -1);
    }
    return CPUSET_OK;
}

/* Lists the distinct nodes, stopping one above the most. */
static void find_nodes(const struct cpuset_cpu *cpus, size_t count, struct nodes *nodes)
{
    *nodes = (struct nodes){0};
    for (size_t i = 0; i < count && nodes->count <= CPUSET_MAX_NODES; i++) {
        int32_t at = nodes->count, *id = nodes->id;
        while (at > 0 && id[at - 1] >= cpus[i].node)
            at--;
        if (at < nodes->count && id[at] == cpus[i].node)
            continue;
        if (nodes->count < CPUSET_MAX_NODES) {
            memmove(id + at + 1, id + at, (size_t)(nodes->count - at) * sizeof *id);
            id[at] = cpus[i].node;
        }
        nodes->count++;
    }
}

/* Sorts CPUs in the order of positions: by socket first, which shows how the nodes lie
 * in them, and once more if there are nodes of several sockets. */
static void sort_places(struct cpuset_cpu *cpus, size_t count, struct nodes *nodes)
{
    uint64_t met = 0, here = 0;
    sort_cpus(cpus, count, place_less, nodes);
    for (size_t i = 0; i < count; i++) {
        int32_t rank = node_rank(nodes, cpus[i].node);
        uint64_t node = UINT64_C(1) << rank;
        if (i && cpus[i].socket != cpus[i - 1].socket)
            here = 0;
        if (!(met & node))
            nodes->first_socket[rank] = cpus[i].socket;
        else if (!(here & node))
            nodes->several |= node;
        met |= node;
        here |= node;
        if (here & (here - 1))
            nodes->shares |= here;
    }
    if (nodes_of_sockets(nodes))
        sort_cpus(cpus, count, place_less, nodes);
}

int cpuset_topology_init(void *memory, size_t size, const struct cpuset_cpu *cpus, size_t count,
                         const struct cpuset_topology **out, struct cpuset_fault *fault)
{
    struct nodes nodes;

    if (!memory || !cpus || !out || (uintptr_t)memory % sizeof(uint64_t))
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    if (count == 0 || count > CPUSET_MAX_CPUS)
        return cpuset_fail(fault, CPUSET_E_RANGE, (int64_t)count, -1, -1);
    const struct layout at = layout_of(count);
    if (size < at.total)
        return cpuset_fail(fault, CPUSET_E_MEMORY, (int64_t)at.total, -1, -1);
    int status = check_cpus(cpus, count, fault);
    if (status)
        return status;
    find_nodes(cpus, count, &nodes);
    if (nodes.count > CPUSET_MAX_NODES)
        return cpuset_fail(fault, CPUSET_E_RANGE, nodes.count, -1, -1);

    unsigned char *base = memory;
    memset(base, 0, at.total);
    struct cpuset_topology *t = memory;
    struct cpuset_cpu *sorted = (void *)(base + at.sorted);
    int32_t *id = (void *)(base + at.id), *core_of = (void *)(base + at.core_of);
    int32_t *by_id = (void *)(base + at.by_id), *core_start = (void *)(base + at.core_start);
    int32_t *core_cell = (void *)(base + at.core_cell), *cell_core = (void *)(base + at.cell_core);
    int32_t *cell_node = (void *)(base + at.cell_node);
    int32_t *cell_socket = (void *)(base + at.cell_socket);
    int32_t *cell_group = (void *)(base + at.cell_group);
    int32_t *node_cells = (void *)(base + at.node_cells);
    uint64_t *pairs = (void *)(base + at.pairs);

    memcpy(sorted, cpus, count * sizeof *sorted);
    sort_places(sorted, count, &nodes);
    const uint64_t whole = nodes_of_sockets(&nodes), wide = nodes.several & nodes.shares;
    if (bit_count(wide) > CPUSET_MAX_WIDE_NODES)
        return cpuset_fail(fault, CPUSET_E_WIDE, bit_count(wide), -1, -1);
    int32_t cores = 0, cells = 0, sockets = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cpuset_cpu *cpu = &sorted[i], *before = i ? &sorted[i - 1] : NULL;
        bool new_socket = !before || before->socket != cpu->socket;
        bool new_cell = new_socket || before->node != cpu->node;
        if (new_cell || before->core != cpu->core) {
            if (new_cell) {
                bool new_node = !before || before->node != cpu->node;
                cell_node[cells] = node_rank(&nodes, cpu->node);
                bool new_group = new_socket && (new_node || !(whole >> cell_node[cells] & 1U));
                cell_group[cells] = (cells ? cell_group[cells - 1] : 0) + (cells && new_group);
                sockets += new_socket;
                cell_socket[cells] = sockets - 1;
                node_cells[cell_node[cells]]++;
                cell_core[cells++] = cores;
            }
            core_cell[cores] = cells - 1;
            core_start[cores++] = (int32_t)i;
        }
        id[i] = cpu->cpu;
        core_of[i] = cores - 1;
    }
    core_start[cores] = (int32_t)count;
    cell_core[cells] = cores;

    int32_t max_threads = 0;
    for (int32_t core = 0; core < cores; core++) {
        int32_t threads = core_start[core + 1] - core_start[core];
        max_threads = most(max_threads, threads);
        if (threads == 2)
            bit_set(pairs, core_start[core]);
    }

    /* The copy has done its work in the order of positions; sorted again by id,
     * with the position in a field no longer needed, it gives by_id. */
    for (size_t i = 0; i < count; i++)
        sorted[i].core = (int32_t)i;
    sort_cpus(sorted, count, id_less, &nodes);
    for (size_t i = 0; i < count; i++) {
        if (i && sorted[i].cpu == sorted[i - 1].cpu)
            return cpuset_fail(fault, CPUSET_E_DUPLICATE, sorted[i].cpu, -1, -1);
        by_id[i] = sorted[i].core;
    }
    *t = (struct cpuset_topology){
        .cpus = (int32_t)count, .words = (int32_t)((count + 63) / 64), .cores = cores,
        .cells = cells, .nodes = nodes.count, .sockets = sockets, .max_threads = max_threads,
        .wide = wide, .id = id, .core_of = core_of, .by_id = by_id,
        .core_start = core_start, .core_cell = core_cell, .cell_core = cell_core,
        .cell_node = cell_node, .cell_socket = cell_socket, .cell_group = cell_group,
        .node_cells = node_cells, .pairs = pairs,
    };
    *out = t;
    return CPUSET_OK;
}

int32_t cpuset_cpus(const struct cpuset_topology *topology) { return topology->cpus; }
int32_t cpuset_words(const struct cpuset_topology *topology) { return topology->words; }
int32_t cpuset_cores(const struct cpuset_topology *topology) { return topology->cores; }
int32_t cpuset_nodes(const struct cpuset_topology *topology) { return topology->nodes; }
int32_t cpuset_sockets(const struct cpuset_topology *topology) { return topology->sockets; }

int cpuset_place_of(const struct cpuset_topology *topology, int32_t position,
                    struct cpuset_place *place)
{
    if (!topology || !place)
        return CPUSET_E_ARGUMENT;
    if (position < 0 || position >= topology->cpus)
        return CPUSET_E_RANGE;
    int32_t core = topology->core_of[position], cell = topology->core_cell[core];
    *place = (struct cpuset_place){
        .cpu = topology->id[position],
        .core = core,
        .node = topology->cell_node[cell],
        .socket = topology->cell_socket[cell],
        .thread = position - topology->core_start[core],
        .threads = topology->core_start[core + 1] - topology->core_start[core],
    };
    return CPUSET_OK;
}

int32_t cpuset_ids(const struct cpuset_topology *topology, const uint64_t *set, int32_t *out)
{
    enum { FEW = 64 };
    int32_t count = 0;
    for (int32_t w = 0; w < topology->words; w++)
        count += bit_count(set[w] & bits_between(w, 0, topology->cpus));
    if (count > FEW) {
        count = 0;
        for (int32_t i = 0; i < topology->cpus; i++)
            if (bit_get(set, topology->by_id[i]))
                out[count++] = topology->id[topology->by_id[i]];
        return count;
    }
    count = 0;
    for (int32_t w = 0; w < topology->words; w++)
        for (uint64_t word = set[w] & bits_between(w, 0, topology->cpus); word; word &= word - 1) {
            int32_t id = topology->id[w * 64 + bit_first(word)], at = count++;
            for (; at > 0 && out[at - 1] > id; at--)
                out[at] = out[at - 1];
            out[at] = id;
        }
    return count;
}
