/*
 * hints.c - hints about NUMA nodes merged, without trying every combination.
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
