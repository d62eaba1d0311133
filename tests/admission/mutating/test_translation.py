"""Resources: batch and mid figures, LimitRange defaults, GPU shorthand, the annotation."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from tests.builders import (
    DEFAULTS,
    after,
    batch_profile,
    container,
    mutate,
    mutated,
    pod,
    profile,
    resources_of,
)
from webhook.admission.settings import PodLevelResources
from webhook.protocol import Action

BATCH = batch_profile()
MID = profile("mid", priorityClassName="koord-mid")
SPEC = "node.koordinator.sh/extended-resource-spec"
BATCH_CPU, BATCH_MEMORY = "kubernetes.io/batch-cpu", "kubernetes.io/batch-memory"
MID_CPU, MID_MEMORY = "kubernetes.io/mid-cpu", "kubernetes.io/mid-memory"


@pytest.mark.parametrize(
    ("cpu", "figure"),
    [
        ("1", "1000"),
        ("1500m", "1500"),
        ("0.0001", "1"),
        ("1001u", "2"),
        ("0", "0"),
        (2, "2000"),
        (0.5, "500"),
        ("1e3", "1000000"),
        ("100e-3", "100"),
        ("+1", "1000"),
        (".5", "500"),
    ],
)
def test_cpu_becomes_whole_milli_cores(cpu, figure) -> None:
    """Admission §2: cpu is counted in milli-cores, rounded up, written as an integer."""
    changed = mutated(pod(container(requests={"cpu": cpu})), BATCH)
    assert resources_of(changed)["requests"] == {BATCH_CPU: figure}


@pytest.mark.parametrize("memory", ["3456Mi", "1.5Gi", "129e6", "1181116006400m", "1G", 1073741824])
def test_memory_keeps_its_text(memory) -> None:
    """Admission §2: memory is never rounded."""
    changed = mutated(pod(container(requests={"memory": memory})), BATCH)
    assert resources_of(changed)["requests"] == {BATCH_MEMORY: str(memory)}


@pytest.mark.parametrize(
    ("labels", "priority", "word"),
    [
        ({"koordinator.sh/priority-class": "koord-batch"}, 9000, "batch"),
        ({"koordinator.sh/priority-class": "koord-mid"}, 5000, "mid"),
        ({"koordinator.sh/priority-class": "koord-prod"}, 5000, None),
        ({"koordinator.sh/priority-class": "koord-free"}, 5000, None),
        ({"koordinator.sh/priority-class": "other"}, 5000, None),
        ({"koordinator.sh/priority-class": "other", "koordinator.sh/qosClass": "BE"}, 9000, "batch"),
        ({"koordinator.sh/priority-class": ""}, 5000, None),
        ({}, 5000, "batch"),
        ({}, 5999, "batch"),
        ({}, 6000, None),
        ({}, 4999, None),
        ({}, 7000, "mid"),
        ({}, 7999, "mid"),
        ({}, 9500, None),
        ({}, 3000, None),
        ({"koordinator.sh/qosClass": "BE"}, 3999, None),
        ({"koordinator.sh/qosClass": "BE"}, 0, "batch"),
        ({"koordinator.sh/qosClass": "BE"}, None, "batch"),
        ({"koordinator.sh/qosClass": "LS"}, 0, None),
        ({}, None, None),
    ],
)
def test_which_class_decides(labels, priority, word) -> None:
    """Admission §2: the label if it is known, else (no label) the priority's range, else the QoS class."""
    new = pod(container(requests={"cpu": "1"}), labels=labels, priority=priority)
    expected = {f"kubernetes.io/{word}-cpu": "1000"} if word else {"cpu": "1"}
    assert resources_of(mutated(new, profile(labels={"a": "b"})))["requests"] == expected


def test_without_a_profile_nothing_is_translated() -> None:
    """Admission §2: a batch pod that no profile matched keeps its native resources."""
    new = pod(container(requests={"cpu": "1"}), labels={"koordinator.sh/qosClass": "BE"}, priority=5000)
    assert mutate(new).patch() == []


def test_skip_update_resources() -> None:
    """Admission §2: the annotation on an applied profile, by its presence, leaves resources alone."""
    new = pod(container(requests={"cpu": "1"}))
    for value in ("", "false", "true"):
        marks = {"config.koordinator.sh/skip-update-resources": value}
        changed = mutated(new, profile("skip", marks=marks), BATCH)
        assert resources_of(changed)["requests"] == {"cpu": "1"}
        assert changed["metadata"]["labels"]["koordinator.sh/qosClass"] == "BE"


def test_every_container_is_translated() -> None:
    """Admission §2, Admission §3.7: containers, init containers and native sidecars."""
    new = pod(
        container("main", requests={"cpu": "1"}),
        initContainers=[
            container("init", requests={"cpu": "2"}),
            container("mesh", restartPolicy="Always", requests={"cpu": "3"}),
        ],
    )
    changed = mutated(new, BATCH)
    assert resources_of(changed)["requests"] == {BATCH_CPU: "1000"}
    assert resources_of(changed, 0, "initContainers")["requests"] == {BATCH_CPU: "2000"}
    assert resources_of(changed, 1, "initContainers")["requests"] == {BATCH_CPU: "3000"}
    described = json.loads(changed["metadata"]["annotations"][SPEC])["containers"]
    assert sorted(described) == ["main", "mesh"]


def test_limits_are_copied_to_missing_requests() -> None:
    """Admission §2: a limit without a request is copied to the request, resource by resource."""
    new = pod(container(limits={"cpu": "2", "memory": "1Gi"}, requests={"cpu": "1"}))
    assert resources_of(mutated(new, BATCH)) == {
        "limits": {BATCH_CPU: "2000", BATCH_MEMORY: "1Gi"},
        "requests": {BATCH_CPU: "1000", BATCH_MEMORY: "1Gi"},
    }


def test_other_resources_stay() -> None:
    """Admission §2: only cpu and memory are translated."""
    other = {"ephemeral-storage": "1Gi", "example.com/fpga": "1"}
    new = pod(container(requests=other | {"cpu": "1"}))
    assert resources_of(mutated(new, MID))["requests"] == other | {MID_CPU: "1000"}


HUGE = {"hugepages-2Mi": "4Mi"}


@pytest.mark.parametrize("word", ["batch", "mid"])
@pytest.mark.parametrize(
    "resources", [{"limits": HUGE | {"cpu": "1"}}, {"requests": {"memory": "1Gi"}, "limits": HUGE}]
)
@pytest.mark.parametrize("kind", ["containers", "initContainers", "sidecar"])
def test_huge_pages_need_native_cpu_or_memory(word, resources, kind) -> None:
    """Admission §3.7: the API server would refuse such a block, so it is denied, with profile and remedy."""
    one = container(**deepcopy(resources)) | ({"restartPolicy": "Always"} if kind == "sidecar" else {})
    new = pod(one) if kind == "containers" else pod(initContainers=[one])
    making = profile("colocated", priorityClassName=f"koord-{word}")
    denial = mutate(new, making).denial or ""
    listed = "containers" if kind == "containers" else "initContainers"
    assert denial.startswith(
        f'spec.{listed}[main].resources: profile "colocated" (resources, as koord-{word})'
    )
    assert "skip-update-resources" in denial
    skipping = profile("skip", marks={"config.koordinator.sh/skip-update-resources": ""})
    assert mutate(new, making, skipping).denial is None
    assert mutate(new, profile("prod", priorityClassName="koord-prod")).denial is None
    warned = replace(DEFAULTS, rules={"valid-result": Action.WARN})
    assert [w.partition(":")[0] for w in mutate(new, making, settings=warned).warnings] == [
        f"spec.{listed}[main].resources"
    ]
    apart = pod(container("huge", limits=HUGE | {BATCH_CPU: "1"}), container("main", limits={"cpu": "1"}))
    assert mutate(apart, making).denial is None  # nothing is taken from the block with huge pages


def test_overhead_stays_native() -> None:
    """Admission §3.7: overhead must equal the RuntimeClass's, so it is not translated."""
    new = pod(container(requests={"cpu": "1"}), overhead={"cpu": "250m", "memory": "120Mi"})
    assert mutated(new, BATCH)["spec"]["overhead"] == {"cpu": "250m", "memory": "120Mi"}


def test_a_figure_that_is_there_wins_over_a_native_one() -> None:
    """Admission §3.5: LimitRange defaults do not overwrite what we wrote; the native entry goes."""
    new = pod(
        container(
            requests={BATCH_CPU: "1000", "cpu": "100m", "memory": "32Mi"},
            limits={BATCH_MEMORY: "1Gi", "cpu": "2", "memory": "64Mi"},
        )
    )
    assert resources_of(mutated(new, BATCH)) == {
        "requests": {BATCH_CPU: "1000", BATCH_MEMORY: "32Mi"},
        "limits": {BATCH_CPU: "2000", BATCH_MEMORY: "1Gi"},
    }


def test_a_native_default_never_makes_a_limit_below_the_request() -> None:
    """Admission §3.5: a batch figure wins over a native one that contradicts it in the other section."""
    low_limit = container(requests={BATCH_CPU: "1000"}, limits={"cpu": "200m"})
    assert resources_of(mutated(pod(low_limit), BATCH)) == {"requests": {BATCH_CPU: "1000"}, "limits": {}}
    high_request = container(requests={"memory": "2Gi"}, limits={BATCH_MEMORY: "1Gi"})
    assert resources_of(mutated(pod(high_request), BATCH)) == {
        "requests": {BATCH_MEMORY: "1Gi"},
        "limits": {BATCH_MEMORY: "1Gi"},
    }


def test_limits_that_came_after_translation_are_no_limits_of_the_pod() -> None:
    """Admission §3.5: a pod with requests only has requests only after LimitRanger's defaults, too."""
    new = pod(container(requests={"cpu": "1", "memory": "1Gi"}))
    first = after(mutate(new, BATCH), new)
    first["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "4", "memory": "64Mi"}
    assert resources_of(mutated(first, BATCH))["requests"] == {BATCH_CPU: "1000", BATCH_MEMORY: "1Gi"}
    assert not resources_of(mutated(first, BATCH)).get("limits")


def test_cpus_beyond_what_a_quantity_holds_are_refused() -> None:
    """Bad input: the milli-cores must be a quantity, too; the message names the native field."""
    denial = mutate(pod(container(requests={"cpu": "7Ei"})), BATCH).denial
    assert denial is not None
    assert "spec.containers[0].resources.requests[cpu]: '7Ei'" in denial


def test_a_namespace_with_limit_range_defaults() -> None:
    """Admission §3.5: the whole course: first call, LimitRanger's defaults, second call."""
    new = pod(container(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1", "memory": "1Gi"}))
    first = after(mutate(new, BATCH), new)
    first["spec"]["containers"][0]["resources"]["requests"] |= {"cpu": "100m", "memory": "32Mi"}
    first["spec"]["containers"][0]["resources"]["limits"] |= {"cpu": "200m", "memory": "64Mi"}
    figures = {BATCH_CPU: "1000", BATCH_MEMORY: "1Gi"}
    assert resources_of(mutated(first, BATCH)) == {"requests": figures, "limits": figures}


def _limit_range(name, **bounds):
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": name, "namespace": "spark-demo"},
        "spec": {"limits": [{"type": "Container"} | bounds]},
    }


def _quota(hard, **spec):
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team-quota", "namespace": "spark-demo"},
        "spec": {"hard": hard} | spec,
    }


def _of_class(operator, *values):
    expression = {"scopeName": "PriorityClass", "operator": operator} | (
        {"values": [*values]} if values else {}
    )
    return {"matchExpressions": [expression]}


@pytest.mark.parametrize(
    ("obstacle", "named"),
    [
        (_limit_range("bounds", min={"cpu": "10m"}), 'LimitRange "bounds"'),
        (_limit_range("bounds", max={"memory": "1Gi"}), 'LimitRange "bounds"'),
        (_quota({"requests.cpu": "10"}), 'ResourceQuota "team-quota"'),
        (_quota({"limits.memory": "10Gi"}), 'ResourceQuota "team-quota"'),
        (_quota({"cpu": "10"}), 'ResourceQuota "team-quota"'),
        (_limit_range("defaults", default={"cpu": "1"}, defaultRequest={"cpu": "1"}), None),
        (_limit_range("volumes", type="PersistentVolumeClaim", min={"storage": "1Gi"}), None),
        (_quota({"pods": "10"}), None),
        (_quota({"cpu": "10"}, scopes=["NotBestEffort"]), None),
        (_quota({"cpu": "10"}, scopes=["Terminating"]), None),
        (_quota({"cpu": "10"}, scopes=["NotTerminating"]), 'ResourceQuota "team-quota"'),
        (_quota({"pods": "10"}, scopes=["BestEffort"]), 'ResourceQuota "team-quota" counts BestEffort pods'),
        (_quota({"cpu": "10"}, scopes=["PriorityClass"]), 'ResourceQuota "team-quota"'),
        (_quota({"cpu": "1"}, scopeSelector=_of_class("In", "koord-prod")), None),
        (_quota({"cpu": "1"}, scopeSelector=_of_class("In", "koord-batch")), 'ResourceQuota "team-quota"'),
        (_quota({"cpu": "1"}, scopeSelector=_of_class("NotIn", "koord-prod")), 'ResourceQuota "team-quota"'),
        (_quota({"cpu": "1"}, scopeSelector=_of_class("NotIn", "koord-batch")), None),
        (_quota({"cpu": "1"}, scopeSelector=_of_class("DoesNotExist")), None),
    ],
)
def test_what_refuses_such_pods_is_named(obstacle, named) -> None:
    """Admission §3.5: a LimitRange with min or max, or a quota that selects the pod as it is afterwards."""
    warnings = mutate(pod(container(requests={"cpu": "1"})), BATCH, obstacle).warnings
    assert [named in warning for warning in warnings] == ([True] if named else [])


def test_obstacles_of_other_namespaces_or_other_pods_are_not_told() -> None:
    """Admission §3.5: no warning where the pod is not translated, or lives elsewhere."""
    obstacle = _limit_range("bounds", min={"cpu": "10m"})
    new = pod(container(requests={"cpu": "1"}))
    assert mutate(new, profile(labels={"a": "b"}), obstacle).warnings == ()
    assert mutate(new, BATCH, obstacle, namespace="web").warnings == ()


def test_a_quota_asks_nothing_of_containers_under_pod_level_resources() -> None:
    """Admission §3.5: what is kept at the pod's level is counted, so no container is asked for its own."""
    new = pod(container(requests={"cpu": "1"}), resources={"requests": {"cpu": "2", "memory": "1Gi"}})
    keep = replace(DEFAULTS, pod_level_resources=PodLevelResources.KEEP)
    quota = _quota({"cpu": "10"})
    assert mutate(new, BATCH, quota, settings=keep).warnings == ()
    assert any("team-quota" in warning for warning in mutate(new, BATCH, quota).warnings)
