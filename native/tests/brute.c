/* brute.c - cpuset_select against every subset, on random small machines. */
#include "plain.h"

static void show(const struct machine *m, const struct problem *q)
{
    const struct cpuset_request *r = &q->request;
    for (int32_t i = 0; i < m->count; i++)
        fprintf(stderr, "  cpu %d core %d node %d socket %d\n", m->cpus[i].cpu, m->cpus[i].core,
                m->cpus[i].node, m->cpus[i].socket);
    fprintf(stderr, "  available %llx preferred %llx%s held cores %llx%s nodes %llx%s references%s\n",
            (unsigned long long)q->available, (unsigned long long)q->preferred,
            q->pool.preferred ? "" : "(no)", (unsigned long long)q->held_cores,
            q->pool.held_cores ? "" : "(no)", (unsigned long long)q->held_nodes,
            q->pool.held_nodes ? "" : "(no)", q->pool.references ? "" : "(no)");
    fprintf(stderr, "  count %d bind %d exclusive %d strategy %d flags %d nodes %llx\n", r->count,
            r->bind, r->exclusive, r->strategy, r->flags, (unsigned long long)r->nodes);
}

static void check_failure(const struct plain *p, int status, const struct cpuset_fault *fault)
{
    const struct cpuset_request *r = &p->problem->request;
    bool required = r->bind != CPUSET_BIND_NONE && (r->flags & CPUSET_REQUIRED);
    CHECK(status == (required ? CPUSET_E_POLICY : CPUSET_E_NOT_ENOUGH), "status %d", status);
    CHECK(fault->value == plain_attainable(p, r->count), "could give %lld, not %d",
          (long long)fault->value, plain_attainable(p, r->count));
}

static void one_case(uint64_t *seed, int64_t number, int64_t *refused)
{
    struct machine m;
    struct problem q;
    struct cpuset_fault fault = {0, 0, 0};
    uint64_t best = 0, chosen = 0;
    int32_t lines[CPUSET_LINES];
    int64_t measured[CPUSET_LINES];

    random_machine(seed, &m);
    const struct cpuset_topology *t = make_topology(m.cpus, m.count);
    random_problem(seed, t, &q);
    struct plain p = plain_of(&m, &q);
    int status = select_with_memory(t, &q.pool, &q.request, &chosen, &fault);
    if (!plain_best(&p, q.request.count, &best, lines)) {
        check_failure(&p, status, &fault);
        ++*refused;
    } else {
        if (status || chosen != best)
            show(&m, &q);
        CHECK(status == CPUSET_OK, "case %lld: status %d", (long long)number, status);
        CHECK(chosen == best, "case %lld: got %llx, best is %llx", (long long)number,
              (unsigned long long)chosen, (unsigned long long)best);
        CHECK(cpuset_measure(t, &q.pool, &q.request, &chosen, measured) == CPUSET_OK, "measure");
        for (int32_t i = 0; i < CPUSET_LINES; i++)
            CHECK(measured[i] == lines[i] || (i == 2 && !(q.preferred & q.available)),
                  "case %lld: line %d is %lld, not %d", (long long)number, i,
                  (long long)measured[i], lines[i]);
    }
    free((void *)(uintptr_t)t);
}

int main(int argc, char **argv)
{
    int64_t cases = argc > 1 ? atoll(argv[1]) : 2000, refused = 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 20260101;
    for (int64_t i = 0; i < cases; i++)
        one_case(&seed, i, &refused);
    printf("selection: %lld of %lld cases equal to the best of all subsets (%lld refused rightly)\n",
           (long long)cases, (long long)cases, (long long)refused);
    return 0;
}
