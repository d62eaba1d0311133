/*
 * cpuset_alloc.h - which CPUs a pod gets: one exact, deterministic answer.
 *
 * Everything works on *positions*: the CPUs of a machine sorted by (socket,
 * NUMA node, core, CPU id) and numbered from 0; sockets that are wholly one NUMA
 * node's are sorted as neighbours, where its first one is. A core's CPUs are
 * neighbours in that order, and so are a NUMA node's and a socket's, so a set of
 * CPUs is a bitmap in which cores and nodes are runs of bits. The answer therefore does
 * not hang on how a machine numbers its CPUs.
 *
 * Rules that hold for every function:
 *   - no global state and no allocation: results and scratch memory come from
 *     the caller, so every function may run in any number of threads at once as
 *     long as they do not share the memory they write to;
 *   - a bitmap has cpuset_words() words of 64 bits, bit i%64 of word i/64 stands
 *     for position i; bits beyond the last position are ignored on input and 0
 *     on output;
 *   - a function that can fail returns CPUSET_OK or one of the negative codes
 *     below, and says in `struct cpuset_fault` (may be NULL) what was wrong;
 *   - on failure nothing the caller gave was changed but the fault and scratch.
 */
#ifndef CPUSET_ALLOC_H
#define CPUSET_ALLOC_H

#include <stddef.h>
#include <stdint.h>

enum {
    CPUSET_MAX_CPUS = 8192,        /* logical CPUs of one machine */
    CPUSET_MAX_ID = 65535,         /* greatest CPU id; ids may have holes */
    CPUSET_MAX_NODES = 64,         /* NUMA nodes: one bit each in a mask */
    CPUSET_MAX_WIDE_NODES = 8,     /* NUMA nodes in several sockets that others share */
    CPUSET_MAX_REFERENCES = 4095,  /* holders of one CPU */
    CPUSET_MAX_SCORE = 1 << 30,    /* of a hint; with so many lists no sum of scores */
    CPUSET_MAX_LISTS = 1 << 20,    /* of hints in a merge overflows */
    CPUSET_LINES = 10              /* entries of a measure, see cpuset_measure */
};

enum {
    CPUSET_OK = 0,
    CPUSET_E_ARGUMENT = -1,   /* a NULL, a size or an enumerator that cannot be */
    CPUSET_E_MEMORY = -2,     /* memory too small; fault.value = bytes needed */
    CPUSET_E_RANGE = -3,      /* fault.value is out of its range */
    CPUSET_E_DUPLICATE = -4,  /* fault.value (a CPU id) was given twice */
    CPUSET_E_SYNTAX = -5,     /* fault.offset: where the text stops making sense */
    CPUSET_E_REVERSED = -6,   /* a range runs backwards at fault.offset */
    CPUSET_E_NOT_ENOUGH = -7, /* fault.value = how many CPUs could be had */
    CPUSET_E_POLICY = -8,     /* the required policy forbids; fault.value = how many could be had */
    CPUSET_E_WIDE = -9        /* above CPUSET_MAX_WIDE_NODES; fault.value = how many */
};

/* What was wrong with an input. `index` is the position of the bad entry in the
 * array that was given, `offset` the byte in the text, -1 where neither applies. */
struct cpuset_fault {
    int64_t value;
    int64_t index;
    int64_t offset;
};

/* ------------------------------------------------------------- topology --- */

/* One logical CPU as a machine describes itself. Core numbers need be unique
 * only within a (socket, node). */
struct cpuset_cpu {
    int32_t cpu;
    int32_t core;
    int32_t node;
    int32_t socket;
};

/* A machine, immutable once made. Lives in memory of the caller's. */
struct cpuset_topology;

/* cpuset_topology_size: bytes of memory a topology of `count` CPUs needs; 0 if
 * `count` is 0 or above CPUSET_MAX_CPUS. */
size_t cpuset_topology_size(size_t count);

/* cpuset_topology_init: makes a topology of `count` CPUs, in any order, inside
 * `memory` (aligned for uint64_t, `size` bytes) and returns it in *out; it lives
 * as long as that memory. `cpus` is not kept.
 * Fails with E_ARGUMENT, E_MEMORY, E_RANGE (a negative number, an id above
 * CPUSET_MAX_ID, no CPU or too many), E_DUPLICATE, E_WIDE. More than
 * CPUSET_MAX_NODES NUMA nodes are E_RANGE with index -1. */
int cpuset_topology_init(void *memory, size_t size, const struct cpuset_cpu *cpus, size_t count,
                         const struct cpuset_topology **out, struct cpuset_fault *fault);

/* cpuset_cpus, cpuset_words, cpuset_cores, cpuset_nodes, cpuset_sockets: how many
 * positions, bitmap words, cores, NUMA nodes and sockets a topology has. */
int32_t cpuset_cpus(const struct cpuset_topology *topology);
int32_t cpuset_words(const struct cpuset_topology *topology);
int32_t cpuset_cores(const struct cpuset_topology *topology);
int32_t cpuset_nodes(const struct cpuset_topology *topology);
int32_t cpuset_sockets(const struct cpuset_topology *topology);

/* One position described by ranks: `core`, `node` and `socket` count from 0 in
 * the order of positions (node: ascending NUMA id), `thread` is the rank of the
 * CPU among the ids of its core, `threads` how many that core has. */
struct cpuset_place {
    int32_t cpu;
    int32_t core;
    int32_t node;
    int32_t socket;
    int32_t thread;
    int32_t threads;
};

/* cpuset_place_of: describes `position`; E_RANGE if there is no such position. */
int cpuset_place_of(const struct cpuset_topology *topology, int32_t position,
                    struct cpuset_place *place);

/* cpuset_ids: writes the CPU ids of `set` to `out`, ascending, and returns how
 * many there are. `out` has room for as many as the set has members. */
int32_t cpuset_ids(const struct cpuset_topology *topology, const uint64_t *set, int32_t *out);

/* ------------------------------------------------------------ selection --- */

enum { CPUSET_BIND_NONE, CPUSET_BIND_FULL, CPUSET_BIND_SPREAD };
enum { CPUSET_EXCLUSIVE_NONE, CPUSET_EXCLUSIVE_CORE, CPUSET_EXCLUSIVE_NODE };
enum { CPUSET_MOST_ALLOCATED, CPUSET_LEAST_ALLOCATED };
enum {
    CPUSET_REQUIRED = 1,       /* the bind policy is required, not preferred */
    CPUSET_KEEP_WHOLE = 2,     /* SpreadByPCPUs: spare whole cores instead of shared ones */
    CPUSET_GENERAL_ONLY = 4    /* never use the short way (for tests and benchmarks) */
};

/* What there is to choose from. `preferred`, `held_cores`, `held_nodes` and
 * `references` may be NULL, which stands for nothing preferred, nobody exclusive
 * and CPUs of one holder each. `held_cores` are the CPUs of pods that hold their
 * cores (PCPULevel), `held_nodes` of pods that hold their NUMA nodes
 * (NUMANodeLevel); references[position] counts holders, at most
 * CPUSET_MAX_REFERENCES. */
struct cpuset_pool {
    const uint64_t *available;
    const uint64_t *preferred;
    const uint64_t *held_cores;
    const uint64_t *held_nodes;
    const uint16_t *references;
};

/* What is asked. `nodes` restricts the choice to NUMA nodes by rank (bit 0 is
 * the lowest NUMA id); 0 means anywhere. */
struct cpuset_request {
    int32_t count;
    int32_t bind;
    int32_t exclusive;
    int32_t strategy;
    int32_t flags;
    uint64_t nodes;
};

/* cpuset_select: writes to `chosen` the `request->count` CPUs of the pool that
 * come first in this order, each line a count of which less is better:
 *   1  a required policy is never broken: FullPCPUs takes whole cores only (all
 *      threads available, all taken), SpreadByPCPUs one thread of a core at most;
 *   2  exclusive request: CPUs on cores (nodes) held at the same level;
 *   3  CPUs that are not preferred, where some are;
 *   4  sockets spanned, then NUMA nodes spanned;
 *   5  FullPCPUs: cores taken in part; SpreadByPCPUs: count - cores taken;
 *   6  CPUs on cores held at PCPULevel plus CPUs on nodes held at NUMANodeLevel;
 *   7  SpreadByPCPUs: cores touched that are not whole; otherwise, and with
 *      CPUSET_KEEP_WHOLE: whole cores taken in part;
 *   8  the sum of references;
 *   9  available CPUs left in the NUMA nodes touched (LeastAllocated: most first);
 *  10  the sorted list of positions, lexicographically.
 * `work` (aligned for uint64_t) is scratch memory of `size` bytes; common
 * requests need none. E_MEMORY tells how much this one needs; it can come twice, for
 * what the second half needs is known after the first. E_NOT_ENOUGH and
 * E_POLICY tell the greatest number up to the one asked for that could be had.
 * A count of 0 gives the empty set, a negative one E_RANGE. */
int cpuset_select(const struct cpuset_topology *topology, const struct cpuset_pool *pool,
                  const struct cpuset_request *request, void *work, size_t size, uint64_t *chosen,
                  struct cpuset_fault *fault);

/* cpuset_select_ids: cpuset_select, with the ids of the chosen CPUs written to
 * `ids` in ascending order (room for `request->count`) and the ranks of their
 * NUMA nodes to *nodes as a mask. For callers to whom a call is dear. */
int cpuset_select_ids(const struct cpuset_topology *topology, const struct cpuset_pool *pool,
                      const struct cpuset_request *request, void *work, size_t size, int32_t *ids,
                      uint64_t *nodes, struct cpuset_fault *fault);

/* cpuset_measure: the lines of the order above for a given set, for comparing two
 * sets: out[0] CPUs that break line 1 (also those not available), out[1] line 2,
 * out[2] line 3, out[3] sockets, out[4] NUMA nodes, out[5] to out[8] lines 5 to 8,
 * out[9] line 9 (negative for LeastAllocated). Less is better, compared from
 * out[0] on; line 10 is the caller's. `request->count` is not looked at. */
int cpuset_measure(const struct cpuset_topology *topology, const struct cpuset_pool *pool,
                   const struct cpuset_request *request, const uint64_t *set,
                   int64_t out[CPUSET_LINES]);

/* ---------------------------------------------------------- NUMA hints --- */

enum { CPUSET_NUMA_BEST_EFFORT, CPUSET_NUMA_RESTRICTED, CPUSET_NUMA_SINGLE };
enum { CPUSET_NODE_IDLE, CPUSET_NODE_SINGLE, CPUSET_NODE_SHARED };

/* One resource's word on a set of NUMA nodes. A mask of 0 means "any"; a score is at
 * most CPUSET_MAX_SCORE, and at least that below 0. */
struct cpuset_hint {
    uint64_t mask;
    int64_t score;
    int32_t preferred;
};

/* What a merge starts from. `hints` holds the lists of `lists` resources one
 * after another, list i being hints[start[i]] to hints[start[i+1]-1]; an empty
 * list means that the resource can be had nowhere. `all` is the mask of the
 * machine's nodes. Where `exclusive` is not 0, a mask that spans several nodes one of which is
 * CPUSET_NODE_SINGLE, or a single node that is CPUSET_NODE_SHARED, is not
 * preferred; status[i] belongs to bit i (NULL: all idle). */
struct cpuset_merge {
    const struct cpuset_hint *hints;
    const size_t *start;
    size_t lists;
    uint64_t all;
    int32_t policy;
    int32_t exclusive;
    const uint8_t *status;
};

struct cpuset_affinity {
    uint64_t mask;       /* 0: no affinity, the pod may run on any node */
    int64_t score;
    int32_t preferred;
    int32_t unsatisfied; /* some resource would need more nodes than the mask has */
    int32_t admit;
};

/* cpuset_merge_hints: the best of all combinations of one hint from each list, by
 * (preferred, fewest nodes, highest score, lowest mask), and whether the policy
 * admits it. A combination's mask is the intersection of its hints, its score the
 * sum of the scores of hints equal to that mask; it is preferred when all its
 * hints are and are equal. The combinations are not enumerated: `work` holds the
 * distinct masks met, E_MEMORY tells how much that takes, and can come several times.
 * E_RANGE: a mask outside `all`, a score out of its bounds (fault.index is the hint's),
 * or more than CPUSET_MAX_LISTS lists. */
int cpuset_merge_hints(const struct cpuset_merge *merge, void *work, size_t size,
                       struct cpuset_affinity *out, struct cpuset_fault *fault);

/* One resource that a pod wants from NUMA nodes: `want` in all, free[i] of
 * capacity[i] on node i. Where `kinds` is not 0 the resource comes in whole pieces
 * only, as CPUs on whole cores: piece[k] is the size of a piece of kind k, and
 * pieces[i * kinds + k] how many of that kind are free on node i. */
struct cpuset_amount {
    int64_t want;
    const int64_t *free;
    const int64_t *capacity;
    int32_t kinds;
    const int32_t *piece;
    const int32_t *pieces;
};

/* cpuset_best_nodes: the set of at most `most` NUMA nodes that a pod's resources are
 * best taken from: the fewest nodes that together hold every amount (of one in pieces,
 * those of which some make just that amount), each of them having some of every
 * resource; among those that `exclusive` and `status` (as in cpuset_merge) do not
 * forbid, the highest score, then the lowest mask. Score: 0 to 100 for each resource,
 * the share of capacity in use after the pod (MostAllocated) or left free
 * (LeastAllocated), summed over the resources. 0 in *mask: none.
 * `limit` bounds the steps of the search for each number of nodes. If it is reached, the
 * answer is the best of the sets looked at, those with much of the first resource first.
 * More than CPUSET_MAX_CPUS in pieces are held nowhere. E_RANGE: amounts below 0 or above
 * 2^50, a piece below 1, a number of pieces outside of 0 to CPUSET_MAX_CPUS. */
int cpuset_best_nodes(const struct cpuset_amount *amounts, size_t resources, int32_t nodes,
                      int32_t most, int32_t strategy, int32_t exclusive, const uint8_t *status,
                      int64_t limit, uint64_t *mask, int64_t *score, struct cpuset_fault *fault);

/* ------------------------------------------------------- BE suppression --- */

/* What best-effort work may get: `candidates` (nothing of LSE pods, reserved,
 * exclusive system or kubelet-pinned CPUs), the part of them that LSR pods hold,
 * the set in force now. */
struct cpuset_be {
    int32_t want;
    const uint64_t *candidates;
    const uint64_t *lsr;
    const uint64_t *old;
};

/* cpuset_select_be: writes to `chosen` min(want, candidates) CPUs, of them as many
 * LSR ones as is their share of the candidates rounded down, least in: cores
 * taken in part; greatest minus least count over the NUMA nodes; CPUs not in
 * `old`. Exact, but that on machines on which few cores in part and even NUMA nodes
 * are so much at odds that the search would take seconds the NUMA nodes are not
 * looked at. A `want` below 1 gives the empty set. `work` as in cpuset_select;
 * E_MEMORY may come again with more. E_RANGE: over a thousand CPUs of one NUMA
 * node (of the machine, where cores have more than two threads) lie on cores that
 * LSR pods hold in part. */
int cpuset_select_be(const struct cpuset_topology *topology, const struct cpuset_be *be, void *work,
                     size_t size, uint64_t *chosen, struct cpuset_fault *fault);

/* cpuset_measure_be: {LSR CPUs away from their share, cores in part, greatest
 * minus least per NUMA node, CPUs not in `old`} of a set, less is better. */
int cpuset_measure_be(const struct cpuset_topology *topology, const struct cpuset_be *be,
                      const uint64_t *set, int64_t out[4]);

/* ------------------------------------------------------------- cpulists --- */

/* cpuset_list_parse: reads a cpulist as the kernel prints it ("0-3,8", with
 * "0-31:2/4" = the first 2 of every 4, white space at both ends) and sets the
 * bits of its CPU *ids* in `bits`, which the caller has cleared. `text` needs no
 * terminating 0. The empty text is the empty set. E_SYNTAX, E_REVERSED, or
 * E_RANGE for an id that does not fit `words` words. */
int cpuset_list_parse(const char *text, size_t length, uint64_t *bits, size_t words,
                      struct cpuset_fault *fault);

/* cpuset_list_format: writes the ids of `bits` as a cpulist to `out`, ended by a
 * 0 and cut at `size` bytes; returns the full length without the 0. */
size_t cpuset_list_format(const uint64_t *bits, size_t words, char *out, size_t size);

#endif
