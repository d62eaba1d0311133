/*
 * best_nodes.c - which NUMA nodes hold a pod's amounts, the fewest first.
 *
 * A search of all sets of one size, without those that cannot reach the amounts and
 * without those that differ only in nodes that are alike. It ends after a number of
 * steps, so that the first sets looked at are those that most likely hold everything.
 */
#include "internal.h"

/* A search for the best set of a given number of nodes. */
struct search {
    const struct cpuset_amount *amounts;
    size_t resources;
    int32_t strategy, exclusive;
    const uint8_t *status;
    int32_t nodes;                    /* that have some of every resource */
    int32_t order[CPUSET_MAX_NODES];  /* them: most of the first resource first */
    uint64_t before[CPUSET_MAX_NODES]; /* by place in `order`: the last node just like it, or 0 */
    int64_t left;                     /* steps that may still be taken */
    int64_t best_score;
    uint64_t best;
};

static int64_t free_on(const struct cpuset_amount *amount, uint64_t mask)
{
    int64_t sum = 0;
    for (; mask; mask &= mask - 1)
        sum += amount->free[bit_first(mask)];
    return sum;
}

static int64_t score_of(const struct search *s, uint64_t mask)
{
    int64_t sum = 0;
    for (size_t r = 0; r < s->resources; r++) {
        int64_t capacity = 0;
        for (uint64_t rest = mask; rest; rest &= rest - 1)
            capacity += s->amounts[r].capacity[bit_first(rest)];
        int64_t kept = free_on(&s->amounts[r], mask) - s->amounts[r].want;
        int64_t counted = s->strategy == CPUSET_LEAST_ALLOCATED ? kept : capacity - kept;
        sum += capacity > 0 ? counted * 100 / capacity : 0;
    }
    return sum;
}

/* Adds to the sums in `reached`, up to `most`, those with another `size`. */
static void add_piece(uint64_t *reached, int64_t most, int64_t size)
{
    int64_t words = size >> 6, shift = size & 63;
    for (int64_t w = most >> 6; w >= words; w--) {
        reached[w] |= reached[w - words] << shift;
        if (shift && w > words)
            reached[w] |= reached[w - words - 1] >> (64 - shift);
    }
}

/* Whether some of the pieces on the nodes of `mask` make the amount. */
static bool pieces_make(const struct cpuset_amount *amount, uint64_t mask)
{
    uint64_t reached[CPUSET_MAX_CPUS / 64 + 1];
    const int64_t want = amount->want;
    if (want > CPUSET_MAX_CPUS)
        return false;
    memset(reached, 0, ((size_t)(want >> 6) + 1) * sizeof *reached);
    reached[0] = 1;
    for (int32_t k = 0; k < amount->kinds; k++) {
        int64_t count = 0;
        for (uint64_t rest = mask; rest; rest &= rest - 1)
            count += amount->pieces[bit_first(rest) * amount->kinds + k];
        count = count < want / amount->piece[k] ? count : want / amount->piece[k];
        /* 1, 2, 4 and so on of them, and what is left: every number up to `count`. */
        for (int64_t some = 1; count > 0; count -= some, some *= 2) {
            some = some < count ? some : count;
            add_piece(reached, want, some * amount->piece[k]);
        }
    }
    return bit_get(reached, (int32_t)want);
}

/* Whether the nodes of `mask` hold every amount. */
static bool mask_holds(const struct search *s, uint64_t mask)
{
    for (size_t r = 0; r < s->resources; r++)
        if (free_on(&s->amounts[r], mask) < s->amounts[r].want
            || (s->amounts[r].kinds && !pieces_make(&s->amounts[r], mask)))
            return false;
    return true;
}

static bool node_has_all(const struct search *s, int32_t node)
{
    for (size_t r = 0; r < s->resources; r++)
        if (s->amounts[r].want > 0 && s->amounts[r].capacity[node] <= 0)
            return false;
    return true;
}

/* Whether one of two nodes is as good as the other in every set. */
static bool nodes_alike(const struct search *s, int32_t a, int32_t b)
{
    if (s->exclusive && s->status && s->status[a] != s->status[b])
        return false;
    for (size_t r = 0; r < s->resources; r++) {
        const struct cpuset_amount *amount = &s->amounts[r];
        if (amount->free[a] != amount->free[b] || amount->capacity[a] != amount->capacity[b])
            return false;
        for (int32_t k = 0; k < amount->kinds; k++)
            if (amount->pieces[a * amount->kinds + k] != amount->pieces[b * amount->kinds + k])
                return false;
    }
    return true;
}

/* Fills `order` and `before` from `nodes` nodes. */
static void order_nodes(struct search *s, int32_t nodes)
{
    s->nodes = 0;
    for (int32_t node = 0; node < nodes; node++) {
        if (!node_has_all(s, node))
            continue;
        int32_t at = s->nodes++;
        for (; at > 0 && s->resources
               && s->amounts[0].free[s->order[at - 1]] < s->amounts[0].free[node]; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = node;
    }
    for (int32_t at = 0; at < s->nodes; at++) {
        s->before[at] = 0;
        for (int32_t i = 0; i < at; i++)
            if (nodes_alike(s, s->order[i], s->order[at]))
                s->before[at] = UINT64_C(1) << s->order[i];
    }
}

/* Whether `more` nodes from `at` on could bring `mask` up to every amount. */
static bool amounts_in_reach(const struct search *s, uint64_t mask, int32_t at, int32_t more)
{
    for (size_t r = 0; r < s->resources; r++) {
        int64_t greatest = 0;
        for (int32_t i = at; i < s->nodes; i++)
            if (s->amounts[r].free[s->order[i]] > greatest)
                greatest = s->amounts[r].free[s->order[i]];
        if (free_on(&s->amounts[r], mask) + greatest * more < s->amounts[r].want)
            return false;
    }
    return true;
}

static void consider_mask(struct search *s, uint64_t mask)
{
    if (mask_is_forbidden(mask, s->exclusive, s->status) || !mask_holds(s, mask))
        return;
    int64_t score = score_of(s, mask);
    if (!s->best || score > s->best_score || (score == s->best_score && mask < s->best)) {
        s->best = mask;
        s->best_score = score;
    }
}

/* Looks at the sets that add `more` nodes from place `at` on to `mask`, leaving out
 * those that cannot reach the amounts, and of nodes just alike all but the first ones:
 * a set with others has the same score and a higher mask. As deep as there are nodes. */
static void extend_mask(struct search *s, uint64_t mask, int32_t at, int32_t more)
{
    if (more == 0) {
        consider_mask(s, mask);
        return;
    }
    for (; at <= s->nodes - more && s->left > 0; at++) {
        uint64_t with = mask | UINT64_C(1) << s->order[at];
        if ((s->before[at] & mask) != s->before[at])
            continue;
        s->left--;
        if (amounts_in_reach(s, with, at + 1, more - 1))
            extend_mask(s, with, at + 1, more - 1);
    }
}

static int check_pieces(const struct cpuset_amount *amount, int32_t nodes, int64_t index,
                        struct cpuset_fault *fault)
{
    if (amount->kinds < 0 || amount->kinds > CPUSET_MAX_CPUS
        || (amount->kinds && (!amount->piece || !amount->pieces)))
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, amount->kinds, index, -1);
    for (int32_t k = 0; k < amount->kinds; k++) {
        if (amount->piece[k] < 1)
            return cpuset_fail(fault, CPUSET_E_RANGE, amount->piece[k], index, -1);
        for (int32_t i = 0; i < nodes; i++)
            if (amount->pieces[i * amount->kinds + k] < 0
                || amount->pieces[i * amount->kinds + k] > CPUSET_MAX_CPUS)
                return cpuset_fail(fault, CPUSET_E_RANGE, amount->pieces[i * amount->kinds + k],
                                   index, -1);
    }
    return CPUSET_OK;
}

static int check_amounts(const struct cpuset_amount *amounts, size_t resources, int32_t nodes,
                         struct cpuset_fault *fault)
{
    const int64_t greatest = INT64_C(1) << 50;   /* so that 100 times all nodes' fits */
    for (size_t r = 0; r < resources; r++) {
        if (!amounts[r].free || !amounts[r].capacity)
            return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, (int64_t)r, -1);
        if (amounts[r].want < 0 || amounts[r].want > greatest)
            return cpuset_fail(fault, CPUSET_E_RANGE, amounts[r].want, (int64_t)r, -1);
        for (int32_t i = 0; i < nodes; i++) {
            if (amounts[r].free[i] < 0 || amounts[r].free[i] > greatest)
                return cpuset_fail(fault, CPUSET_E_RANGE, amounts[r].free[i], (int64_t)r, -1);
            if (amounts[r].capacity[i] < 0 || amounts[r].capacity[i] > greatest)
                return cpuset_fail(fault, CPUSET_E_RANGE, amounts[r].capacity[i], (int64_t)r, -1);
        }
        int status = check_pieces(&amounts[r], nodes, (int64_t)r, fault);
        if (status)
            return status;
    }
    return CPUSET_OK;
}

int cpuset_best_nodes(const struct cpuset_amount *amounts, size_t resources, int32_t nodes,
                      int32_t most, int32_t strategy, int32_t exclusive, const uint8_t *status,
                      int64_t limit, uint64_t *mask, int64_t *score, struct cpuset_fault *fault)
{
    if ((!amounts && resources) || !mask || !score || nodes < 1 || nodes > CPUSET_MAX_NODES
        || limit < 1 || strategy < CPUSET_MOST_ALLOCATED || strategy > CPUSET_LEAST_ALLOCATED)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    int result = check_amounts(amounts, resources, nodes, fault);
    if (result)
        return result;
    struct search search = {.amounts = amounts, .resources = resources, .strategy = strategy,
                            .exclusive = exclusive, .status = status};
    uint64_t everything = 0;
    order_nodes(&search, nodes);
    for (int32_t i = 0; i < search.nodes; i++)
        everything |= UINT64_C(1) << search.order[i];
    /* What all nodes together do not hold, no set of them does. */
    if (mask_holds(&search, everything))
        for (int32_t size = 1; size <= least(most, search.nodes) && !search.best; size++) {
            search.left = limit;
            extend_mask(&search, 0, 0, size);
        }
    *mask = search.best;
    *score = search.best_score;
    return CPUSET_OK;
}
