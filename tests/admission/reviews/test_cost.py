"""What a review costs grows nearly linearly with its size, whatever is in it.

A table of fields, each filled with ``n`` entries by a pod or by a profile's patch. The cost is the least
CPU time of up to seven runs, with the collector off; it is only compared with that of a review four times as
large.
"""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.builders import (
    DEFAULTS,
    after,
    batch_profile,
    container,
    pod,
    priority_class,
    read,
    review,
    view_of,
)
from webhook.admission.decision import decide
from webhook.admission.explanation import render
from webhook.admission.review import Webhook
from webhook.protocol import (
    ANNOTATION_EXTENDED_RESOURCE_SPEC,
    ANNOTATION_PROFILES,
    ANNOTATION_PROFILES_SIGNATURE,
    Action,
)

# What is filled makes no valid pod: that is looked for, and does not end the review.
SETTINGS = replace(DEFAULTS, rules={"valid-result": Action.WARN})
SECONDS = 0.02  # of a run of the smaller review, where a field costs as much
SMALLEST, MOST = 1000, 4000  # entries of the smaller review
LIMIT = 6  # times the cost for four times the size: linear is 4, quadratic is 16


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Keep the garbage collector out of the figures."""
    gc.disable()
    yield
    gc.enable()


def named(n, **fields) -> list[dict]:
    """Return n objects with names of their own."""
    return [{"name": f"n{i}", **fields} for i in range(n)]


def keys(n, value="v") -> dict:
    """Return a map of n keys."""
    return {f"k{i}": value for i in range(n)}


def backwards(elements) -> list:
    """Return the elements, the last one first."""
    return list(reversed(elements))


def managed(entries, labels) -> list[dict]:
    """Return managedFields: each entry owns as many labels."""
    owned = {"f:metadata": {"f:labels": {f"f:k{i}": {} for i in range(labels)}}}
    return [
        {"manager": f"m{i}", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": owned}
        for i in range(entries)
    ]


def meta(spec=None, **metadata) -> dict:
    """Return a pod with more metadata."""
    made = pod(**(spec or {}))
    made["metadata"] |= metadata
    return made


def main(**fields) -> dict:
    """Return a pod of one container."""
    return pod(container(**fields))


def quantities(n) -> dict[str, str]:
    """Return n resources of one container."""
    return {f"example.com/r{i}": "1" for i in range(n)}


def requesting(n) -> list[dict]:
    """Return n containers with requests and limits."""
    asked = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}
    return [container(f"n{i}", **asked) for i in range(n)]


def level(n) -> dict:
    """Return a pod whose limit is shared out to containers, each of which requests more than the last."""
    containers = [container(f"n{i}", requests={"memory": str(1000 + i * i)}) for i in range(n)]
    total = 1000 * n + sum(i * i for i in range(n))
    return pod(*containers, resources={"limits": {"memory": str(total)}})


def signed(names) -> dict:
    """Return annotations that a user wrote to be taken for ours."""
    return {ANNOTATION_PROFILES: names, ANNOTATION_PROFILES_SIGNATURE: "x"}


SPEC = '{"containers":{%s}}'
CLAIMED = '"n%d":{"requests":{"kubernetes.io/batch-cpu":"1"}}'

PODS: dict[str, Callable[[int], dict]] = {
    "labels": lambda n: pod(labels=keys(n)),
    "annotations": lambda n: pod(annotations=keys(n)),
    "ownerReferences": lambda n: meta(ownerReferences=[{"uid": f"u{i}"} for i in range(n)]),
    "finalizers": lambda n: meta(finalizers=[f"a/n{i}" for i in range(n)]),
    "managedFields": lambda n: meta(managedFields=managed(n, 1)),
    "managedFields and labels": lambda n: meta(
        labels=keys(n), annotations=signed(""), managedFields=managed(n, 1)
    ),
    "labels of managedFields": lambda n: meta(
        labels=keys(n), annotations=signed(""), managedFields=managed(1, n)
    ),
    "names of profiles": lambda n: meta(annotations=signed("patching," * n)),
    "different names of profiles": lambda n: meta(annotations=signed(",".join(f"n{i}" for i in range(n)))),
    "extended-resource-spec": lambda n: meta(
        annotations={ANNOTATION_EXTENDED_RESOURCE_SPEC: SPEC % ",".join(CLAIMED % i for i in range(n))}
    ),
    "containers": lambda n: pod(*requesting(n)),
    "containers of one name": lambda n: pod(*[container("n0") for _ in range(n)]),
    "containers with GPUs": lambda n: pod(
        *[container(f"n{i}", requests={"koordinator.sh/gpu": "200"}) for i in range(n)]
    ),
    "init containers": lambda n: pod(initContainers=requesting(n)),
    "sidecars": lambda n: pod(initContainers=[c | {"restartPolicy": "Always"} for c in requesting(n)]),
    "pod-level resources": level,
    "resources": lambda n: main(requests=quantities(n), limits=quantities(n)),
    "huge pages of all sizes": lambda n: pod(
        *[container(f"n{i}", limits={f"hugepages-{i}Mi": "1", "cpu": "1"}) for i in range(n)],
        resources={"limits": {f"hugepages-{i}Mi": "1" for i in range(n)}},
    ),
    "env that reads resources": lambda n: main(
        env=named(n, valueFrom={"resourceFieldRef": {"resource": "limits.cpu"}}), limits={"cpu": "1"}
    ),
    "env": lambda n: main(env=named(n)),
    "env of one name": lambda n: main(env=named(1) * n),
    "env of two names": lambda n: main(env=named(2) * n),
    "ports": lambda n: main(ports=[{"containerPort": i} for i in range(n)]),
    "volumeMounts": lambda n: main(volumeMounts=[{"mountPath": f"/n{i}"} for i in range(n)]),
    "args": lambda n: main(args=[f"n{i}" for i in range(n)]),
    "volumes": lambda n: pod(volumes=named(n)),
    "tolerations": lambda n: pod(tolerations=[{"key": f"n{i}"} for i in range(n)]),
    "nodeSelector": lambda n: pod(nodeSelector=keys(n)),
    "hostAliases": lambda n: pod(hostAliases=[{"ip": f"n{i}"} for i in range(n)]),
    "imagePullSecrets": lambda n: pod(imagePullSecrets=named(n)),
    "topologySpreadConstraints": lambda n: pod(
        topologySpreadConstraints=[{"topologyKey": f"n{i}"} for i in range(n)]
    ),
}

# A profile that meets every list of the pods above, at their first elements and with what they lack.
ENDS = [{"name": "n0", "value": "1"}, {"name": "new", "value": "1"}, {"name": "last", "value": "1"}]
MEETING = {
    "metadata": {
        "finalizers": ["a/n0", "a/new"],
        "$deleteFromPrimitiveList/finalizers": ["a/n1"],
        "ownerReferences": [{"uid": "u1"}],
    },
    "spec": {
        "containers": [
            {
                "name": "main",
                "env": [*ENDS, {"name": "n1", "$patch": "delete"}],
                "ports": [{"containerPort": 1}, {"containerPort": 0}],
                "volumeMounts": [{"mountPath": "/n1"}, {"mountPath": "/n0"}],
                "resources": {"requests": {"cpu": "1"}},
            },
            {"name": "n0", "image": "other"},
        ],
        "$setElementOrder/volumes": [{"name": "n1"}, {"name": "n0"}],
        "hostAliases": [{"ip": "n1"}, {"ip": "n0"}],
        "imagePullSecrets": [{"name": "n1"}, {"name": "n0"}],
        "topologySpreadConstraints": [{"topologyKey": "n1"}, {"topologyKey": "n0"}],
        "nodeSelector": {"k0": None, "$retainKeys": ["k0", "k1"]},
        "tolerations": [{"key": "new"}],
    },
}
CLASSES = [priority_class("koord-batch", 5000)]
WITH_A_PROFILE = [*CLASSES, batch_profile("patching", patch=MEETING, labelSuffixes={"k0": "-x"})]


def patching(spec=None, metadata=None, **fields) -> list[dict]:
    """Return a cluster with one profile: a patch, and fields beside it."""
    patch = ({"spec": spec} if spec else {}) | ({"metadata": metadata} if metadata else {})
    return [*CLASSES, batch_profile("patching", patch=patch, **fields)]


def with_env(*env, **fields) -> list[dict]:
    """Return a cluster with a profile that patches the environment of the container main."""
    return patching({"containers": [{"name": "main", "env": list(env), **fields}]})


# Patches of n elements, each with the pod of n elements that it meets.
PATCHES: dict[str, Callable[[int], tuple[dict, list[dict]]]] = {
    "new env": lambda n: (main(env=named(n)), with_env(*({"name": f"new{i}"} for i in range(n)))),
    "the same env": lambda n: (main(env=named(n)), with_env(*named(n, value="1"))),
    "the same env backwards": lambda n: (main(env=named(n)), with_env(*backwards(named(n, value="1")))),
    "every second env removed": lambda n: (
        main(env=named(n)),
        with_env(*(each | {"$patch": "delete"} for each in named(n)[::2])),
    ),
    "all env replaced": lambda n: (main(env=named(n)), with_env(*named(n), {"$patch": "replace"})),
    "env in another order": lambda n: (
        main(env=named(n)),
        patching({"containers": [{"name": "main", "$setElementOrder/env": backwards(named(n))}]}),
    ),
    "containers": lambda n: (pod(*requesting(n)), patching({"containers": backwards(named(n, image="x"))})),
    "new containers": lambda n: (
        pod(*requesting(n)),
        patching({"containers": [container(f"new{i}") for i in range(n)]}),
    ),
    "volumes": lambda n: (pod(volumes=named(n)), patching({"volumes": backwards(named(n))})),
    "finalizers": lambda n: (
        meta(finalizers=[f"a/n{i}" for i in range(n)]),
        patching(metadata={"finalizers": [f"a/n{i}" for i in reversed(range(2 * n))]}),
    ),
    "finalizers removed": lambda n: (
        meta(finalizers=[f"a/n{i}" for i in range(n)]),
        patching(metadata={"$deleteFromPrimitiveList/finalizers": [f"a/n{i}" for i in range(0, n, 2)]}),
    ),
    "nodeSelector": lambda n: (pod(nodeSelector=keys(n)), patching({"nodeSelector": keys(n, "1")})),
    "nodeSelector kept": lambda n: (
        pod(nodeSelector=keys(n)),
        patching({"nodeSelector": {"$retainKeys": list(keys(n))[::2]}}),
    ),
    "labels of the patch": lambda n: (pod(labels=keys(n)), patching(metadata={"labels": keys(n, "1")})),
    "labels": lambda n: (pod(labels=keys(n)), patching(labels=keys(n, "1"))),
    "annotations": lambda n: (pod(annotations=keys(n)), patching(annotations=keys(n, "1"))),
    "mappings": lambda n: (
        pod(labels=keys(n)),
        patching(labelKeysMapping={f"k{i}": f"new{i}" for i in range(n)}),
    ),
    "suffixes": lambda n: (pod(labels=keys(n)), patching(labelSuffixes=keys(n, "-x"))),
}


def seconds(run) -> float:
    """Return the CPU time of one run."""
    began = time.thread_time()
    run()
    return time.thread_time() - began


def deciding(webhook, new, cluster, **request) -> Callable[[], None]:
    """Return a run of one review, to be explained and answered."""
    given, view = read(review(new, **request)), view_of(cluster)

    def run() -> None:
        decision = decide(webhook, given, view, SETTINGS)
        render(decision, given, view)
        decision.response()

    return run


def growth(run_of) -> float:
    """Return how many times as much a run of 4 n costs as one of n, with an n whose run takes long enough.

    Where memory that the smaller run reuses comes from the kernel in the larger one, the cost has a step.
    So what grows too much is looked at once more at four times the size: there a step is behind both runs,
    and what is quadratic grows as before.
    """
    n, small, large = SMALLEST, run_of(SMALLEST), run_of(4 * SMALLEST)
    while n < MOST and seconds(small) < SECONDS:
        n, small, large = 4 * n, large, run_of(16 * n)
    ratio = compared(small, large)
    return ratio if ratio <= LIMIT else compared(large, run_of(16 * n))


def compared(small, large) -> float:
    """Return the cost of a run as a multiple of that of a smaller one, or the first that is within the limit.

    More runs of the larger one can only lower what is within the limit already.
    """
    least, most, runs = min(seconds(small) for _ in range(3)), seconds(large), 1
    while most > LIMIT * least and runs < 7:
        least, most, runs = min(least, seconds(small)), min(most, seconds(large)), runs + 1
    return most / least


@pytest.mark.parametrize("cluster", [CLASSES, WITH_A_PROFILE], ids=["no profile", "a profile"])
@pytest.mark.parametrize("field", PODS)
def test_mutation_of_four_times_as_large_a_pod(field, cluster) -> None:
    """Admission §3.12: whatever a user fills, the mutating webhook's cost is linear in it."""
    assert growth(lambda n: deciding(Webhook.MUTATE, PODS[field](n), cluster)) <= LIMIT


@pytest.mark.parametrize("field", PATCHES)
def test_mutation_by_four_times_as_large_a_profile(field) -> None:
    """Admission §3.12: the cost of a patch is linear in the pod and the patch together."""
    assert growth(lambda n: deciding(Webhook.MUTATE, *PATCHES[field](n))) <= LIMIT


@pytest.mark.parametrize("qos", ["BE", "LSR", "LS"])
@pytest.mark.parametrize("subresource", ["", "resize"])
@pytest.mark.parametrize("field", ["labels", "containers", "init containers", "sidecars", "resources"])
def test_validation_of_four_times_as_large_an_update(field, subresource, qos) -> None:
    """Admission §3.12: the validating webhook's cost is linear in both pods of an UPDATE."""

    def run_of(n) -> Callable[[], None]:
        old, new = PODS[field](n), PODS[field](n)
        for each in (old, new):
            each["metadata"]["labels"] = (each["metadata"].get("labels") or {}) | {
                "koordinator.sh/qosClass": qos
            }
        old["spec"]["containers"][-1]["resources"] = {"requests": {"kubernetes.io/batch-cpu": "1"}}
        return deciding(Webhook.VALIDATE, new, [], old=old, subResource=subresource)

    assert growth(run_of) <= LIMIT


@pytest.mark.parametrize("field", ["env", "volumes", "tolerations"])
def test_a_second_call_for_four_times_as_large_a_pod(field) -> None:
    """Admission §3.12: the cost of a second call (Admission §3.4) is linear, too."""

    def run_of(n) -> Callable[[], None]:
        new = PODS[field](n)
        first = decide(Webhook.MUTATE, read(review(new)), view_of(WITH_A_PROFILE), SETTINGS)
        second = after(first, new)
        assert decide(Webhook.MUTATE, read(review(second)), view_of(WITH_A_PROFILE), SETTINGS).reinvoked
        return deciding(Webhook.MUTATE, second, WITH_A_PROFILE)

    assert growth(run_of) <= LIMIT
