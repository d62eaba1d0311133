"""Pods are read as the API server sends them: what is absent, null or empty is the same."""

import pytest

from webhook.pods.pod import annotations, containers, labels, spec


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
