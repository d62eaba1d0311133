"""Koordinator's GPU shorthand, written out."""

import pytest

from tests.builders import container, mutate, mutated, pod, resources_of

G = "koordinator.sh/gpu"


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({G: "50"}, {G: "50"}, {f"{G}-core": "50", f"{G}-memory-ratio": "50", f"{G}.shared": "1"}),
        ({G: "100"}, {G: "100"}, {f"{G}-core": "100", f"{G}-memory-ratio": "100", f"{G}.shared": "1"}),
        ({G: "200"}, {G: "200"}, {f"{G}-core": "200", f"{G}-memory-ratio": "200", f"{G}.shared": "2"}),
        ({G: "250"}, {}, {f"{G}-core": "250", f"{G}-memory-ratio": "250", f"{G}.shared": "1"}),
        ({G: "400"}, None, {f"{G}-core": "400", f"{G}-memory-ratio": "400", f"{G}.shared": "4"}),
        ({f"{G}-core": "300"}, {f"{G}-core": "300"}, {f"{G}-core": "300", f"{G}.shared": "3"}),
        (
            {f"{G}-memory-ratio": "50", f"{G}.shared": "1"},
            {f"{G}-memory-ratio": "50", f"{G}.shared": "1"},
            {f"{G}-memory-ratio": "50", f"{G}.shared": "1"},
        ),
    ],
)
def test_the_gpu_shorthand(requests, limits, expected) -> None:
    """Admission §2: written out in requests and limits, with the number of GPUs, also without limits."""
    sections = {"requests": requests} | ({} if limits is None else {"limits": limits})
    changed = resources_of(mutated(pod(container(**sections))))
    assert changed["requests"] == expected
    wanted = {} if f"{G}.shared" in requests else expected
    assert wanted.items() <= changed.get("limits", {}).items() or changed["limits"] == expected


def test_gpus_of_init_containers_stay() -> None:
    """Admission §2: the shorthand concerns containers."""
    assert mutate(pod(initContainers=[container("i", requests={G: "100"}, limits={G: "100"})])).patch() == []


def test_gpus_without_requests_do_not_fail() -> None:
    """Admission §2: limits alone, or no limits at all, are no reason to fail."""
    changed = resources_of(mutated(pod(container(limits={f"{G}-core": "100"}))))
    assert changed["limits"] == {f"{G}-core": "100", f"{G}.shared": "1"}
