"""Pods are read as the API server sends them: what is absent, null or empty is the same."""

import pytest

from webhook.pods.pod import annotations, containers, kubelet_uid, labels, spec
from webhook.protocol import ANNOTATION_MIRROR_POD


@pytest.mark.parametrize(
    "pod",
    [{}, {"metadata": None, "spec": None}, {"metadata": {"labels": None, "annotations": None}, "spec": {}}],
)
def test_what_is_absent_is_empty(pod):
    """Labels, annotations, spec and containers of an empty pod are empty."""
    assert labels(pod) == annotations(pod) == spec(pod) == {}
    assert list(containers(pod)) == []


def test_containers_come_in_the_order_in_which_they_start():
    """Init containers, with the native sidecars among them, stand before containers."""
    pod = {
        "spec": {
            "containers": [{"name": "main", "restartPolicy": "Always"}],
            "initContainers": [{"name": "first"}, {"name": "proxy", "restartPolicy": "Always"}],
        }
    }
    assert [(c.kind, c.position, c.name, c.sidecar) for c in containers(pod)] == [
        ("initContainers", 0, "first", False),
        ("initContainers", 1, "proxy", True),
        ("containers", 0, "main", False),
    ]


@pytest.mark.parametrize("value", [{}, {"resources": None}, {"resources": {"requests": None}}])
def test_a_container_without_resources_has_no_quantities(value):
    """Requests and limits are empty, and the name is empty where the pod names none."""
    (container,) = containers({"spec": {"containers": [value]}})
    assert container.quantities("requests") == container.quantities("limits") == {}
    assert container.name == ""


def test_the_kubelet_knows_a_mirror_pod_by_its_static_pod():
    """Cgroups have the static pod's uid, which the annotation holds; other pods have their own."""
    pod = {"metadata": {"uid": "u1"}}
    assert kubelet_uid(pod) == "u1"
    assert kubelet_uid({"metadata": {"uid": "u1", "annotations": {ANNOTATION_MIRROR_POD: "h1"}}}) == "h1"
    assert kubelet_uid({}) == ""
