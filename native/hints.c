/*
 * hints.c - which NUMA nodes a pod is best put on, without trying every mask.
 *
 * Merging: a preferred result is a mask that every resource prefers, so it is
 * found by looking each mask up in every list. Only when there is none do
 * intersections matter; then the distinct intersections are kept, of which there
 * are few, instead of the combinations that lead to them, of which there are many.
 */
#include "internal.h"

/* The rank of a result: preferred, fewest nodes, highest score, lowest mask. */
static bool affinity_is_better(const struct cpuset_affinity *a, const struct cpuset_affinity *b)
{
    if (a->preferred != b->preferred)
        return a->preferred;
    int32_t nodes_a = bit_count(a->mask), nodes_b = bit_count(b->mask);
    if (nodes_a != nodes_b)
        return nodes_a < nodes_b;
    return a->score != b->score ? a->score > b->score : a->mask < b->mask;
}

static bool mask_is_forbidden(uint64_t mask, int32_t exclusive, const uint8_t *status)
{
    if (!exclusive || !status)
        return false;
    uint8_t against = mask & (mask - 1) ? CPUSET_NODE_SINGLE : CPUSET_NODE_SHARED;
    for (; mask; mask &= mask - 1)
        if (status[bit_first(mask)] == against)
            return true;
    return false;
}

/* Whether a hint takes part at all: under SingleNUMANode only preferred hints of
 * one node, or of any, do. */
static bool hint_applies(const struct cpuset_merge *merge, const struct cpuset_hint *hint)
{
    return merge->policy != CPUSET_NUMA_SINGLE
        || (hint->preferred && !(hint->mask & (hint->mask - 1)));
}

/* Whether a list speaks of a resource that can be had nowhere, under a policy to
 * which any mask is as bad then; SingleNUMANode has nothing to merge at all. */
static bool list_is_empty(const struct cpuset_merge *merge, size_t list)
{
    return merge->start[list] == merge->start[list + 1] && merge->policy != CPUSET_NUMA_SINGLE;
}

/* What a list has for one mask. */
struct mask_hints {
    bool exact, exact_preferred, any, any_preferred, over;
    int64_t score, score_preferred;
};

static struct mask_hints lookup_mask(const struct cpuset_merge *merge, size_t list, uint64_t mask)
{
    struct mask_hints found = {0};
    if (list_is_empty(merge, list))
        found.any = found.over = true;
    for (size_t i = merge->start[list]; i < merge->start[list + 1]; i++) {
        const struct cpuset_hint *hint = &merge->hints[i];
        if (!hint_applies(merge, hint))
            continue;
        if (!hint->mask) {
            found.any = found.over = true;
            found.any_preferred |= hint->preferred != 0;
        } else if (hint->mask == mask) {
            found.score = found.exact && found.score > hint->score ? found.score : hint->score;
            found.exact = found.over = true;
            if (!hint->preferred)
                continue;
            found.score_preferred = found.exact_preferred && found.score_preferred > hint->score
                ? found.score_preferred : hint->score;
            found.exact_preferred = true;
        } else {
            found.over |= (hint->mask & mask) == mask;
        }
    }
    return found;
}

/* The best combination whose mask is `mask` because some list has just that, or
 * all say "any"; `candidate->mask` is 0 if there is none. */
static struct cpuset_affinity exact_affinity(const struct cpuset_merge *merge, uint64_t mask)
{
    struct cpuset_affinity loose = {.mask = mask}, close = {.mask = mask, .preferred = 1};
    bool is_all = mask == merge->all, named = is_all, preferred_by_name = is_all;
    for (size_t list = 0; list < merge->lists; list++) {
        struct mask_hints found = lookup_mask(merge, list, mask);
        if (!found.over)
            return (struct cpuset_affinity){0};
        named |= found.exact;
        preferred_by_name |= found.exact_preferred;
        loose.score += found.exact ? found.score : 0;
        loose.unsatisfied |= !found.exact && !found.any;
        close.score += found.exact_preferred ? found.score_preferred : 0;
        close.preferred &= found.exact_preferred || found.any_preferred;
    }
    if (!named)
        return (struct cpuset_affinity){0};
    if (!preferred_by_name || mask_is_forbidden(mask, merge->exclusive, merge->status))
        close.preferred = 0;
    return close.preferred ? close : loose;
}

/* A set of masks in an open table; 0 marks a free slot, for no mask is empty. */
struct masks {
    uint64_t *slots;
    size_t capacity, count;
};

static bool masks_add(struct masks *set, uint64_t mask)
{
    size_t at = (size_t)(mask * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (set->capacity - 1);
    while (set->slots[at]) {
        if (set->slots[at] == mask)
            return true;
        at = (at + 1) & (set->capacity - 1);
    }
    if ((set->count + 1) * 4 > set->capacity * 3)
        return false;
    set->slots[at] = mask;
    set->count++;
    return true;
}

static void masks_clear(struct masks *set)
{
    memset(set->slots, 0, set->capacity * sizeof *set->slots);
    set->count = 0;
}

/* Adds to `to` what list `list` makes of the masks in `from`. */
static bool intersect_masks(const struct cpuset_merge *merge, size_t list, const struct masks *from,
                      struct masks *to)
{
    bool empty = list_is_empty(merge, list);
    for (size_t at = 0; at < from->capacity; at++) {
        if (!from->slots[at])
            continue;
        if (empty && !masks_add(to, from->slots[at]))
            return false;
        for (size_t i = merge->start[list]; i < merge->start[list + 1]; i++) {
            const struct cpuset_hint *hint = &merge->hints[i];
            uint64_t both = from->slots[at] & (hint->mask ? hint->mask : merge->all);
            if (hint_applies(merge, hint) && both && !masks_add(to, both))
                return false;
        }
    }
    return true;
}

/* The best result that no list names itself: an intersection, of score 0. */
static int intersected_affinity(const struct cpuset_merge *merge, void *work, size_t size,
                              struct cpuset_affinity *best, struct cpuset_fault *fault)
{
    struct masks sets[2] = {{0}, {0}};
    struct arena arena = arena_of(work, size);
    size_t capacity = 16;
    while (capacity * 2 * 2 * sizeof(uint64_t) + 16 <= arena.size)
        capacity *= 2;
    for (int i = 0; i < 2; i++)
        sets[i] = (struct masks){arena_take(&arena, capacity, sizeof(uint64_t)), capacity, 0};
    if (arena_short(&arena))
        return arena_fail(&arena, fault);

    masks_clear(&sets[0]);
    (void)masks_add(&sets[0], merge->all);
    for (size_t list = 0; list < merge->lists; list++) {
        masks_clear(&sets[(list + 1) % 2]);
        if (!intersect_masks(merge, list, &sets[list % 2], &sets[(list + 1) % 2]))
            return cpuset_fail(fault, CPUSET_E_MEMORY, (int64_t)(capacity * 4 * sizeof(uint64_t)) + 64,
                               -1, -1);
    }
    const struct masks *last = &sets[merge->lists % 2];
    for (size_t at = 0; at < last->capacity; at++) {
        struct cpuset_affinity found = {.mask = last->slots[at], .unsatisfied = 1};
        if (!found.mask)
            continue;
        struct cpuset_affinity exact = exact_affinity(merge, found.mask);
        if (exact.mask)
            found = exact;
        if (affinity_is_better(&found, best))
            *best = found;
    }
    return CPUSET_OK;
}

static int check_merge(const struct cpuset_merge *merge, struct cpuset_fault *fault)
{
    if (!merge || !merge->start || !merge->all || merge->policy < CPUSET_NUMA_BEST_EFFORT
        || merge->policy > CPUSET_NUMA_SINGLE)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    if (merge->lists > CPUSET_MAX_LISTS)
        return cpuset_fail(fault, CPUSET_E_RANGE, (int64_t)CPUSET_MAX_LISTS + 1, -1, -1);
    for (size_t list = 0; list < merge->lists; list++)
        if (merge->start[list] > merge->start[list + 1])
            return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, (int64_t)list, -1);
    if (!merge->lists)
        return CPUSET_OK;
    if (!merge->hints && merge->start[0] != merge->start[merge->lists])
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    for (size_t i = merge->start[0]; i < merge->start[merge->lists]; i++) {
        if (merge->hints[i].mask & ~merge->all)
            return cpuset_fail(fault, CPUSET_E_RANGE, 0, (int64_t)i, -1);
        if (merge->hints[i].score < -CPUSET_MAX_SCORE || merge->hints[i].score > CPUSET_MAX_SCORE)
            return cpuset_fail(fault, CPUSET_E_RANGE, merge->hints[i].score, (int64_t)i, -1);
    }
    return CPUSET_OK;
}

static void apply_policy(const struct cpuset_merge *merge, struct cpuset_affinity *best)
{
    bool nowhere = false;
    for (size_t list = 0; list < merge->lists; list++)
        nowhere |= merge->start[list] == merge->start[list + 1];
    switch (merge->policy) {
    case CPUSET_NUMA_BEST_EFFORT:
        best->admit = 1;
        if (best->unsatisfied)
            *best = (struct cpuset_affinity){.mask = merge->all, .admit = 1};
        break;
    case CPUSET_NUMA_RESTRICTED:
        best->admit = best->preferred && !nowhere;
        break;
    default:
        best->admit = best->preferred && !nowhere;
        if (best->mask == merge->all)
            best->mask = 0;
    }
}

int cpuset_merge_hints(const struct cpuset_merge *merge, void *work, size_t size,
                       struct cpuset_affinity *out, struct cpuset_fault *fault)
{
    int status = check_merge(merge, fault);
    if (status || !out)
        return status ? status : cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);

    struct cpuset_affinity best = {.mask = merge->all}, found;
    found = exact_affinity(merge, merge->all);
    if (found.mask && affinity_is_better(&found, &best))
        best = found;
    size_t end = merge->lists ? merge->start[merge->lists] : 0;
    for (size_t i = merge->lists ? merge->start[0] : 0; i < end; i++) {
        if (!merge->hints[i].mask || !hint_applies(merge, &merge->hints[i]))
            continue;
        found = exact_affinity(merge, merge->hints[i].mask);
        if (found.mask && affinity_is_better(&found, &best))
            best = found;
    }
    if (!best.preferred)
        status = intersected_affinity(merge, work, size, &best, fault);
    if (status)
        return status;
    apply_policy(merge, &best);
    *out = best;
    return CPUSET_OK;
}

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
