"""The annotation that tells koordlet the batch resources of each container."""

import json

import pytest

from tests.builders import after, batch_profile, container, mutate, mutated, pod, profile

BATCH = batch_profile()
MID = profile("mid", priorityClassName="koord-mid")
SPEC = "node.koordinator.sh/extended-resource-spec"
BATCH_CPU, BATCH_MEMORY = "kubernetes.io/batch-cpu", "kubernetes.io/batch-memory"


def annotation(changed):
    """Return the annotation, read."""
    return json.loads(changed["metadata"]["annotations"][SPEC])


def test_the_annotation_describes_batch_resources() -> None:
    """Admission §2: batch resources of the containers, by name and section, as the pod has them."""
    new = pod(container(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "2Gi"}), container("idle"))
    assert annotation(mutated(new, BATCH)) == {
        "containers": {
            "main": {
                "requests": {BATCH_CPU: "1000", BATCH_MEMORY: "1Gi"},
                "limits": {BATCH_MEMORY: "2Gi"},
            }
        }
    }


def test_mid_resources_are_not_described() -> None:
    """The annotation holds batch resources only."""
    changed = mutated(pod(container(requests={"cpu": "1"})), MID)
    assert SPEC not in changed["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    "stale",
    ['{"containers":{"gone":{"requests":{"kubernetes.io/batch-cpu":"1"}}}}', '{"containers":{}}', "{}"],
)
def test_a_stale_annotation_is_removed(stale) -> None:
    """Admission §3.11: what describes nothing any more is removed, profile or not, without a warning."""
    decision = mutate(new := pod(annotations={SPEC: stale, "a": "b"}))
    assert after(decision, new)["metadata"]["annotations"] == {"a": "b"}
    assert decision.warnings == ()


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "{",
        "[]",
        "7",
        '{"containers":[]}',
        '{"containers":{"main":7}}',
        '{"containers":{"main":{"requests":{"kubernetes.io/batch-cpu":"1K"}}}}',
        "NaN",
        "{bad",
    ],
)
@pytest.mark.parametrize("figures", [{}, {BATCH_CPU: "1000"}])
def test_a_malformed_annotation_is_replaced(malformed, figures) -> None:
    """Admission §3.11: replaced, or removed where nothing is left to say, with a warning."""
    new = pod(container(requests=figures), annotations={SPEC: malformed})
    decision = mutate(new)
    changed = after(decision, new)
    if figures:
        assert annotation(changed) == {"containers": {"main": {"requests": figures}}}
    else:
        assert SPEC not in changed["metadata"].get("annotations", {})
    assert [SPEC in warning for warning in decision.warnings] == [True]


def test_an_annotation_that_is_right_is_left_alone() -> None:
    """Admission §2: the same quantities in another notation need no patch."""
    spec = {"containers": {"main": {"requests": {BATCH_CPU: "1k"}}}}
    new = pod(container(requests={BATCH_CPU: "1000"}), annotations={SPEC: json.dumps(spec, indent=1)})
    assert mutate(new).patch() == []
