/*
 * regular.c - the short way, for what machines and requests mostly are: cores of
 * one or two threads, every NUMA node in one socket, nothing preferred, CPUs of
 * one holder.
 *
 * A free core is then one of three kinds, and lines 5 and 7 of the best answer
 * follow from how many there are of each: `best_lines` is a formula. Line 4 comes
 * before it, so the sets of nodes are tried first, single ones before pairs: in
 * the smallest sets that hold the request every answer touches every node, which
 * fixes line 9 too. Lines 2 and 6 are 0 wherever no held CPU is left to choose,
 * and an exclusive request first tries to do without any.
 */
#include "internal.h"

enum {
    MOST_SUBSET_NODES = 8,   /* nodes of which every subset is looked at */
    LINE5 = 16384            /* weight of line 5 over line 7, both at most 8192 */
};

enum kind { SINGLE, HALF, WHOLE, KINDS };

/* Free cores of one or several nodes: one-thread cores, cores of which one thread
 * of two is free, cores of which both are. */
struct stock {
    int32_t cores[KINDS];
};

static int32_t stock_capacity(const struct stock *s)
{
    return s->cores[SINGLE] + s->cores[HALF] + 2 * s->cores[WHOLE];
}

/* Lines 5 and 7 for taking `taken` CPUs of one core. */
static int32_t core_price(const struct cpuset_request *r, enum kind kind, int32_t taken)
{
    if (taken == 0)
        return 0;
    bool part = kind == HALF || (kind == WHOLE && taken == 1);
    bool breaks = kind == WHOLE && taken == 1;
    switch (r->bind) {
    case CPUSET_BIND_FULL:
        return part * LINE5 + breaks;
    case CPUSET_BIND_SPREAD:
        return (taken - 1) * LINE5 + (r->flags & CPUSET_KEEP_WHOLE ? breaks : kind == HALF);
    default:
        return breaks;
    }
}

static int32_t best_lines_full(const struct stock *s, int32_t count, bool required)
{
    int32_t single = s->cores[SINGLE], whole = s->cores[WHOLE], left = count - single - 2 * whole;
    if (left > 0)
        return required || left > s->cores[HALF] ? -1 : left * LINE5;
    if (count % 2 == 0 || single > 0)
        return 0;
    if (required)
        return -1;
    return LINE5 + (s->cores[HALF] == 0);
}

static int32_t best_lines_spread(const struct stock *s, int32_t count, bool required, bool keep)
{
    int32_t single = s->cores[SINGLE], half = s->cores[HALF], whole = s->cores[WHOLE];
    int32_t doubled = most(0, count - single - half - whole);
    if (doubled > (required ? 0 : whole))
        return -1;
    int32_t unshared = keep ? single + half : single + whole;
    int32_t forced = most(0, count - doubled - unshared);
    return doubled * LINE5 + (keep ? forced - doubled : forced);
}

static int32_t best_lines_none(const struct stock *s, int32_t count)
{
    if (count > stock_capacity(s))
        return -1;
    return count % 2 && s->cores[SINGLE] + s->cores[HALF] == 0;
}

/* Lines 5 and 7 of the best way to take `count` CPUs of a stock, -1 for none. */
static int32_t best_lines(const struct cpuset_request *r, const struct stock *s, int32_t count)
{
    bool required = r->flags & CPUSET_REQUIRED;
    switch (r->bind) {
    case CPUSET_BIND_FULL:
        return best_lines_full(s, count, required);
    case CPUSET_BIND_SPREAD:
        return best_lines_spread(s, count, required, r->flags & CPUSET_KEEP_WHOLE);
    default:
        return best_lines_none(s, count);
    }
}

/* What may be taken, as a bitmap and as a stock for each node. */
struct offer {
    const struct problem *problem;
    uint64_t usable[CPUSET_MAX_CPUS / 64];
    struct stock stock[CPUSET_MAX_NODES];   /* by cell: each node is one */
    int32_t left[CPUSET_MAX_NODES];         /* available CPUs, for line 9 */
    int32_t cells[CPUSET_MAX_NODES];        /* those with a usable CPU */
    int32_t count;
};

/* The second thread of every core of two, for word `w`. */
static uint64_t second_threads(const struct cpuset_topology *t, int32_t w)
{
    return t->pairs[w] << 1 | (w ? t->pairs[w - 1] >> 63 : 0);
}

/* Bit i is bit i + 1 (i - 1) of the bitmap. */
static uint64_t next_threads(const struct cpuset_topology *t, const uint64_t *bits, int32_t w)
{
    return bits[w] >> 1 | (w + 1 < t->words ? bits[w + 1] << 63 : 0);
}

static uint64_t previous_threads(const uint64_t *bits, int32_t w)
{
    return bits[w] << 1 | (w ? bits[w - 1] >> 63 : 0);
}

/* The CPUs of held cores, for word `w`: the held ones and their siblings. */
static uint64_t held_cpus(const struct problem *p, int32_t w)
{
    const uint64_t *bits = p->pool->held_cores;
    if (!bits)
        return 0;
    return bits[w] | (next_threads(p->topology, bits, w) & p->topology->pairs[w])
        | (previous_threads(bits, w) & second_threads(p->topology, w));
}

/* Counts a node's usable cores by kind. */
static struct stock count_stock(const struct cpuset_topology *t, const uint64_t *usable, int32_t low,
                               int32_t high)
{
    int32_t all = 0, single = 0, whole = 0;
    for (int32_t w = low >> 6; w <= (high - 1) >> 6; w++) {
        uint64_t in = usable[w] & bits_between(w, low, high);
        all += bit_count(in);
        single += bit_count(in & ~t->pairs[w] & ~second_threads(t, w));
        whole += bit_count(in & next_threads(t, usable, w) & t->pairs[w]);
    }
    return (struct stock){{single, all - single - 2 * whole, whole}};
}

/* Fills `offer`; false if held CPUs would have to be weighed. */
static bool offer_init(const struct problem *p, struct offer *offer)
{
    const struct cpuset_topology *t = p->topology;
    const struct cpuset_request *r = p->request;
    offer->problem = p;
    offer->count = 0;
    memcpy(offer->usable, p->pool->available, (size_t)t->words * sizeof(uint64_t));
    offer->usable[t->words - 1] &= bits_between(t->words - 1, 0, t->cpus);

    for (int32_t cell = 0; cell < t->cells; cell++) {
        int32_t low = cell_low(t, cell), high = cell_high(t, cell), available = 0, usable = 0;
        bool node_held = p->held_nodes >> t->cell_node[cell] & 1U;
        bool allowed = cell_allowed(p, cell)
            && !(node_held && r->exclusive == CPUSET_EXCLUSIVE_NODE);
        for (int32_t w = low >> 6; w <= (high - 1) >> 6; w++) {
            uint64_t mask = bits_between(w, low, high), barred = 0;
            available += bit_count(offer->usable[w] & mask);
            if (!allowed)
                barred = mask;
            else if (p->any_held)
                barred = held_cpus(p, w) & mask;
            if (allowed && (offer->usable[w] & barred) && r->exclusive != CPUSET_EXCLUSIVE_CORE)
                return false;
            offer->usable[w] &= ~barred;
            usable += bit_count(offer->usable[w] & mask);
        }
        if (usable == 0)
            continue;
        if (node_held)
            return false;
        offer->left[cell] = available;
        offer->stock[cell] = count_stock(t, offer->usable, low, high);
        offer->cells[offer->count++] = cell;
    }
    return true;
}

/* Takes the CPUs of one set of nodes: core by core in the order of positions, as
 * many of each as leave the rest its best. That is line 10, for more CPUs of an
 * earlier core make a lesser list. */
static void take_from_nodes(const struct offer *offer, uint64_t cells, struct stock stock,
                            uint64_t *chosen)
{
    const struct cpuset_topology *t = offer->problem->topology;
    const struct cpuset_request *r = offer->problem->request;
    int32_t need = r->count, best = best_lines(r, &stock, need);

    for (; cells && need; cells &= cells - 1) {
        int32_t cell = offer->cells[bit_first(cells)];
        int32_t low = cell_low(t, cell), high = cell_high(t, cell);
        for (int32_t w = low >> 6; w <= (high - 1) >> 6 && need; w++) {
            uint64_t in = bits_between(w, low, high), usable = offer->usable[w] & in;
            uint64_t whole = usable & next_threads(t, offer->usable, w) & t->pairs[w];
            uint64_t half = (usable & t->pairs[w] & ~whole)
                | (usable & second_threads(t, w) & ~previous_threads(offer->usable, w));
            uint64_t heads = usable & ~(second_threads(t, w) & previous_threads(offer->usable, w));
            for (; heads && need; heads &= heads - 1) {
                uint64_t head = heads & (~heads + 1);
                enum kind kind = whole & head ? WHOLE : half & head ? HALF : SINGLE;
                stock.cores[kind]--;
                int32_t taken = least(kind == WHOLE ? 2 : 1, need);
                for (; taken > 0; taken--) {
                    int32_t rest = best_lines(r, &stock, need - taken);
                    if (rest >= 0 && core_price(r, kind, taken) + rest == best)
                        break;
                }
                best -= core_price(r, kind, taken);
                need -= taken;
                for (int32_t at = w * 64 + bit_first(head); taken > 0; taken--)
                    bit_set(chosen, at++);
            }
        }
    }
}

/* What decides between sets of nodes before line 10. */
struct rank {
    int32_t sockets, nodes, shape, left;
};

static int32_t compare_ranks(const struct rank *a, const struct rank *b)
{
    if (a->sockets != b->sockets)
        return a->sockets - b->sockets;
    if (a->nodes != b->nodes)
        return a->nodes - b->nodes;
    return a->shape != b->shape ? a->shape - b->shape : a->left - b->left;
}

/* Rank and stock of a set of nodes; false if it does not hold the request. */
static bool rank_nodes(const struct offer *offer, uint64_t cells, struct rank *rank,
                    struct stock *stock)
{
    const struct cpuset_topology *t = offer->problem->topology;
    const struct cpuset_request *r = offer->problem->request;
    int32_t last_socket = -1;
    *stock = (struct stock){{0, 0, 0}};
    *rank = (struct rank){0, 0, 0, 0};
    for (; cells; cells &= cells - 1) {
        int32_t cell = offer->cells[bit_first(cells)];
        for (int kind = 0; kind < KINDS; kind++)
            stock->cores[kind] += offer->stock[cell].cores[kind];
        rank->sockets += t->cell_socket[cell] != last_socket;
        last_socket = t->cell_socket[cell];
        rank->nodes++;
        rank->left += r->strategy == CPUSET_LEAST_ALLOCATED ? -offer->left[cell] : offer->left[cell];
    }
    rank->shape = best_lines(r, stock, r->count);
    return rank->shape >= 0;
}

/* Of several nodes, by trying every set of them. */
static bool choose_nodes(const struct offer *offer, uint64_t *chosen)
{
    struct rank rank, best = {0, 0, 0, 0};
    struct stock stock;
    bool found = false;
    if (offer->count > MOST_SUBSET_NODES)
        return false;
    uint64_t end = UINT64_C(1) << offer->count;
    for (uint64_t cells = 1; cells < end; cells++)
        if (rank_nodes(offer, cells, &rank, &stock)
            && (!found || compare_ranks(&rank, &best) < 0)) {
            best = rank;
            found = true;
        }
    if (!found)
        return false;

    int32_t words = offer->problem->topology->words;
    bool first = true;
    for (uint64_t cells = 1; cells < end; cells++) {
        uint64_t other[CPUSET_MAX_CPUS / 64];
        if (!rank_nodes(offer, cells, &rank, &stock) || compare_ranks(&rank, &best) != 0)
            continue;
        memset(other, 0, (size_t)words * sizeof *other);
        take_from_nodes(offer, cells, stock, other);
        if (first || bits_before(other, chosen, words))
            memcpy(chosen, other, (size_t)words * sizeof *other);
        first = false;
    }
    return true;
}

bool cpuset_select_regular(const struct problem *problem, uint64_t *chosen)
{
    struct offer offer;
    struct rank rank, best = {0, 0, 0, 0};
    struct stock stock, best_stock = {{0, 0, 0}};
    uint64_t best_cell = 0;

    if (problem->topology->max_threads > 2 || problem->topology->cells != problem->topology->nodes
        || problem->any_preferred || problem->greatest_references
        || (problem->request->flags & CPUSET_GENERAL_ONLY) || !offer_init(problem, &offer))
        return false;
    for (int32_t i = 0; i < offer.count; i++)
        if (rank_nodes(&offer, UINT64_C(1) << i, &rank, &stock)
            && (!best_cell || compare_ranks(&rank, &best) < 0)) {
            best = rank;
            best_stock = stock;
            best_cell = UINT64_C(1) << i;
        }
    if (!best_cell)
        return choose_nodes(&offer, chosen);
    take_from_nodes(&offer, best_cell, best_stock, chosen);
    return true;
}
