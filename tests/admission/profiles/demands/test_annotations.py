"""Annotations that mean something to the API server."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import container, mutate, pod, profile
from webhook.admission.profiles.demands.annotations import annotation_problem, has_meaning

COST = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_OF_MAIN = "container.seccomp.security.alpha.kubernetes.io/main"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/main"
DEFAULT = {"type": "RuntimeDefault"}
LOCAL = {"type": "Localhost", "localhostProfile": "a/b"}


def confined(field, value, **annotations):
    """Return a pod whose container has a profile."""
    return pod(container(securityContext={field: value}), annotations=annotations)


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
    "no such container": (
        pod(annotations={APPARMOR.replace("main", "other"): "unconfined"}),
        pod(annotations={APPARMOR: "unconfined"}),
        "",
    ),
    "another profile than the pod's": (
        pod(annotations={SECCOMP: "unconfined"}, securityContext={"seccompProfile": DEFAULT}),
        pod(annotations={SECCOMP: "docker/default"}, securityContext={"seccompProfile": DEFAULT}),
        "",
    ),
    "another profile than the container's": (
        confined("seccompProfile", LOCAL, **{SECCOMP_OF_MAIN: "localhost/a"}),
        confined("seccompProfile", LOCAL, **{SECCOMP_OF_MAIN: "localhost/a/b"}),
        "",
    ),
    "another AppArmor profile": (
        confined("appArmorProfile", DEFAULT, **{APPARMOR: "unconfined"}),
        confined("appArmorProfile", DEFAULT, **{APPARMOR: "runtime/default"}),
        "",
    ),
    "no AppArmor profile": (
        pod(annotations={APPARMOR: ""}, securityContext={"appArmorProfile": DEFAULT}),
        pod(annotations={APPARMOR: "unconfined"}, securityContext={"appArmorProfile": DEFAULT}),
        "",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)


@pytest.mark.parametrize(
    ("key", "taken", "refused"),
    [
        (COST, ["0", "-5", "2147483647"], ["", "+1", "05", "x", "2147483648"]),
        (SECCOMP, ["runtime/default", "unconfined", "localhost/a"], ["", "junk", "localhost/../a"]),
        (SECCOMP_OF_MAIN, ["docker/default"], ["localhost//a", "default"]),
        (APPARMOR, ["", "runtime/default", "localhost/../a"], ["docker/default", "junk"]),
        ("example.com/a", ["", "junk"], []),
    ],
)
def test_values(key, taken, refused) -> None:
    """Values that the API server takes, and those that it takes in no pod."""
    assert [annotation_problem(key, value) for value in taken] == [None] * len(taken)
    assert all(annotation_problem(key, value) for value in refused)
    assert has_meaning(key) is bool(refused)


def test_a_profile_that_writes_such_an_annotation() -> None:
    """Admission §3.10: its pods are looked at, whether by a field or by its patch."""
    for wrong in (
        profile("caps", annotations={COST: "many"}),
        profile("caps", patch={"metadata": {"annotations": {COST: "many"}}}),
    ):
        assert f'metadata.annotations[{COST}]: profile "caps"' in (mutate(pod(), wrong).denial or "")
    assert mutate(pod(), profile("caps", annotations={COST: "5"})).denial is None
