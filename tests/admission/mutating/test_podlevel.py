"""Pod-level resources of a pod that is translated."""

from dataclasses import replace

import pytest

from tests.builders import DEFAULTS, batch_profile, container, mutate, mutated, pod, profile, resources_of
from tests.pods.quantity_model import value_of
from webhook.admission.settings import PodLevelResources

BATCH = batch_profile()
CPU, MEMORY = "kubernetes.io/batch-cpu", "kubernetes.io/batch-memory"


def dissolved(*containers, section="requests", **level):
    """Return the batch-cpu of each container in a section after dissolving ``level``."""
    new = pod(*containers, resources={section: level})
    changed = mutated(new, BATCH)
    assert "resources" not in changed["spec"]
    return [resources_of(changed, i).get(section, {}).get(CPU) for i in range(len(containers))]


@pytest.mark.parametrize(
    ("own", "total", "expected"),
    [
        ([None, None], "2", ["1000", "1000"]),
        ([None, None, None], "1", ["334", "333", "333"]),
        (["500m", None], "2", ["500", "1500"]),
        (["500m", None, None], "1500m", ["500", "500", "500"]),
        (["500m", "500m"], "2", ["1500", "500"]),
        (["1", "1"], "2", ["1000", "1000"]),
        (["1", None], "1", ["1000", None]),
        (["1", None], "500m", ["1000", None]),
    ],
)
@pytest.mark.parametrize("section", ["requests", "limits"])
def test_what_is_beyond_the_sum_goes_to_the_containers(own, total, expected, section) -> None:
    """Admission §3.7: in equal parts that keep the sum to those without a figure, else to the first."""
    containers = [container(f"c{i}", **({section: {"cpu": cpu}} if cpu else {})) for i, cpu in enumerate(own)]
    assert dissolved(*containers, section=section, cpu=total) == expected


def test_native_sidecars_count_in_the_sum() -> None:
    """Admission §3.7: what a sidecar asks for is not given to the containers again."""
    mesh = container("mesh", restartPolicy="Always", requests={"cpu": "500m"})
    new = pod(container(), initContainers=[mesh], resources={"requests": {"cpu": "2"}})
    assert resources_of(mutated(new, BATCH))["requests"] == {CPU: "1500"}


def test_hugepages_at_the_pod() -> None:
    """Admission §3.7: the API server refuses them without native cpu or memory, so the pod is denied."""
    level = {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi"}
    new = pod(container(), resources={"requests": level, "limits": dict(level)})
    denial = mutate(new, BATCH).denial or ""
    assert denial.startswith('spec.resources: profile "batch" (pod-level resources')
    assert "leaves huge pages without native cpu or memory" in denial
    kept = replace(DEFAULTS, pod_level_resources=PodLevelResources.KEEP)
    assert mutated(new, BATCH, settings=kept)["spec"]["resources"] == new["spec"]["resources"]


def test_a_warning_says_so() -> None:
    """Admission §3.7: the user is told."""
    warnings = mutate(pod(container(), resources={"limits": {"memory": "1Gi"}}), BATCH).warnings
    assert [warning.startswith("spec.resources") for warning in warnings] == [True]


def test_other_pods_keep_theirs() -> None:
    """Admission §3.7: a pod that is not translated keeps its pod-level resources."""
    new = pod(container(), resources={"requests": {"cpu": "1"}})
    assert mutated(new, profile(labels={"a": "b"}))["spec"]["resources"] == {"requests": {"cpu": "1"}}


@pytest.mark.parametrize(
    ("containers", "level"),
    [
        (
            [{"requests": {"cpu": "500m"}, "limits": {"cpu": "500m"}}] * 2,
            {"requests": {"cpu": "2"}},
        ),
        (
            [{"requests": {"cpu": "3"}}, {}],
            {"requests": {"cpu": "4"}, "limits": {"cpu": "4"}},
        ),
        (
            [{"requests": {"memory": "512Mi"}}, {}],
            {"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        ),
    ],
)
def test_no_request_above_a_limit(containers, level) -> None:
    """Admission §3.7: what the API server accepts decides: it refuses a request above the limit."""
    new = pod(*(container(f"c{i}", **c) for i, c in enumerate(containers)), resources=level)
    changed = mutated(new, BATCH)
    for i in range(len(containers)):
        resources = resources_of(changed, i)
        for name, limit in resources.get("limits", {}).items():
            assert value_of(resources["requests"][name]) <= value_of(limit)


def test_keep() -> None:
    """Admission §3.7: the setting ``keep`` leaves pod-level resources alone."""
    settings = replace(DEFAULTS, pod_level_resources=PodLevelResources.KEEP)
    new = pod(container(requests={"cpu": "1"}), resources={"requests": {"cpu": "2"}})
    changed = mutated(new, BATCH, settings=settings)
    assert changed["spec"]["resources"] == {"requests": {"cpu": "2"}}
    assert resources_of(changed)["requests"] == {CPU: "1000"}


def test_deny() -> None:
    """Admission §3.7: the setting ``deny`` refuses, naming field and remedy."""
    settings = replace(DEFAULTS, pod_level_resources=PodLevelResources.DENY)
    denial = mutate(pod(resources={"limits": {"memory": "1Gi"}}), BATCH, settings=settings).denial
    assert denial is not None
    assert denial.startswith("spec.resources.limits[memory]")
    assert (
        mutate(pod(resources={"limits": {"hugepages-2Mi": "4Mi"}}), BATCH, settings=settings).denial is None
    )
