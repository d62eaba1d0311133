"""What the API server demands of metadata and of references."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import container, pod
from webhook.admission.profiles.validity import faults

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "u", "controller": True}


def described(**metadata):
    """Return a pod with metadata."""
    found = pod()
    return found | {"metadata": found["metadata"] | metadata}


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
    "finalizers that exclude each other": (
        described(finalizers=["orphan", "foregroundDeletion"]),
        described(finalizers=["orphan", "example.com/a"]),
        "metadata.finalizers",
    ),
    "two controllers": (
        described(ownerReferences=[OWNER, OWNER | {"uid": "w"}]),
        described(ownerReferences=[OWNER, OWNER | {"uid": "w", "controller": False}]),
        "metadata.ownerReferences",
    ),
    "an Event that owns": (
        described(ownerReferences=[OWNER | {"apiVersion": "v1", "kind": "Event"}]),
        described(ownerReferences=[OWNER | {"apiVersion": "v1", "kind": "Node"}]),
        "metadata.ownerReferences[u]",
    ),
    "variables of two ConfigMaps": (
        pod(container(envFrom=[{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}])),
        pod(container(envFrom=[{"configMapRef": {"name": "a"}}])),
        "spec.containers[main].envFrom[0]",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)


def test_a_flaw_that_was_there_hides_no_other() -> None:
    """Admission §3.10: what is wrong is told apart by what it concerns."""
    wrong = pod(container(requests={"cpu": "2"}, limits={"cpu": "1"}))
    worse = pod(container(requests={"cpu": "3", "memory": "2"}, limits={"cpu": "1", "memory": "1"}))
    assert ["memory" in fault.problem for fault in faults(wrong, worse)] == [True]


def test_a_flaw_that_was_there_may_move() -> None:
    """Admission §3.10: a container that a profile puts before others changes nothing of theirs."""
    windows = container("b", securityContext={"privileged": False})
    wrong, more = pod(windows, os={"name": "windows"}), pod(container("a"), windows, os={"name": "windows"})
    assert list(faults(wrong, more)) == []
