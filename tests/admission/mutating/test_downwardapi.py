"""References of the downward API to limits and requests that were translated."""

import pytest

from tests.builders import batch_profile, container, mutate, pod, profile

BATCH = batch_profile()


def reading(resource, name=None):
    """Return the holder of a reference to a figure of a container."""
    return {"resourceFieldRef": {"resource": resource} | ({"containerName": name} if name else {})}


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ("limits.memory", "limits.memory is the node's memory"),
        ("limits.cpu", "limits.cpu is the node's cpu"),
        ("requests.memory", "requests.memory is 0"),
        ("requests.cpu", "requests.cpu is 0"),
        ("limits.ephemeral-storage", None),
        ("requests.hugepages-2Mi", None),
    ],
)
@pytest.mark.parametrize("place", ["containers", "initContainers", "downwardAPI", "projected"])
def test_references_to_translated_figures(resource, said, place) -> None:
    """Admission §3.7: a resourceFieldRef that now reads something else gets a warning, wherever it stands."""
    limits = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
    env = {"env": [{"name": "A", "value": "x"}, {"name": "B", "valueFrom": reading(resource)}]}
    items = {"items": [reading(resource, "main") | {"path": "size"}]}
    new = {
        "containers": pod(container(limits=limits, **env)),
        "initContainers": pod(initContainers=[container("init", limits=limits, **env)]),
        "downwardAPI": pod(container(limits=limits), volumes=[{"name": "v", "downwardAPI": items}]),
        "projected": pod(
            container(limits=limits),
            volumes=[{"name": "v", "projected": {"sources": [{"downwardAPI": items}]}}],
        ),
    }[place]
    at = f"spec.{place}[0].env[B]" if place.endswith("ontainers") else "spec.volumes[v].size"
    expected = (f"{at}: {said} once colocated: write the figure",) if said else ()
    assert mutate(new, BATCH).warnings == expected
    assert mutate(new, profile("prod", priorityClassName="koord-prod")).warnings == ()


@pytest.mark.parametrize(
    "junk", [1, "x", [1], {"a": 1}, [{"valueFrom": 1}], [{"name": "v", "projected": {"sources": 1}}]]
)
def test_references_in_malformed_fields(junk) -> None:
    """Admission §3.11: fields of a wrong type are the API server's to refuse."""
    new = pod(container(limits={"cpu": "1"}, env=junk), volumes=junk)
    assert mutate(new, BATCH).warnings == ()


def test_many_references() -> None:
    """Admission §3.7: a pod with any number of them gets a bounded number of warnings."""
    env = [{"name": f"A{i}", "valueFrom": reading("limits.cpu")} for i in range(500)]
    warnings = mutate(pod(container(limits={"cpu": "1"}, env=env)), BATCH).warnings
    assert len(warnings) == 11
    assert warnings[-1] == "490 more references to translated limits or requests"


def test_references_to_what_stays_native() -> None:
    """Admission §3.7: of another container, whose limit was not translated, and of none."""
    env = [
        {"name": "A", "valueFrom": reading("limits.cpu", "other")},
        {"name": "B", "valueFrom": reading("limits.cpu", "ghost")},
    ]
    assert mutate(pod(container(limits={"cpu": "1"}, env=env), container("other")), BATCH).warnings == ()
