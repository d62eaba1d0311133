"""Objects that tests create, made short."""

from __future__ import annotations

from typing import Any

from tests.e2e.cluster.kubectl import Object

BE_FIGURES = {"kubernetes.io/batch-cpu": "1k", "kubernetes.io/batch-memory": "1Gi"}
"""What a container of `pod` has after translation, as the API server writes it."""


def pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """A pod with one container of 1 CPU and 1Gi; labels make it a Spark driver unless they are given."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"spark-role": "driver"} if labels is None else labels},
        "spec": {"containers": [container()], **spec},
    }


def container(name: str = "main", cpu: str = "1", memory: str = "1Gi") -> Object:
    """A container whose requests are its limits."""
    figures = {"cpu": cpu, "memory": memory}
    return {"name": name, "image": "none", "resources": {"requests": figures, "limits": dict(figures)}}


def profile(name: str, **spec: Any) -> Object:
    """A ClusterColocationProfile."""
    return {
        "apiVersion": "config.koordinator.sh/v1alpha1",
        "kind": "ClusterColocationProfile",
        "metadata": {"name": name},
        "spec": spec,
    }


def resources(stored: Object, index: int = 0) -> Object:
    """Requests and limits of a container of a stored pod."""
    found: Object = stored["spec"]["containers"][index].get("resources", {})
    return found


def is_be(stored: Object) -> bool:
    """Whether a batch profile was applied to a stored pod, cheaply: for thousands of them."""
    labels = stored["metadata"].get("labels", {})
    return labels.get("koordinator.sh/qosClass") == "BE" and "cpu" not in resources(stored).get(
        "requests", {}
    )


def assert_be(
    stored: Object, figures: dict[str, str] | None = None, *, scheduler: str = "default-scheduler"
) -> None:
    """The pod is what the chart's profiles make of it: QoS BE, koord-batch, batch resources and no others."""
    assert stored["metadata"]["labels"]["koordinator.sh/qosClass"] == "BE"
    assert stored["spec"]["priorityClassName"] == "koord-batch"
    assert stored["spec"]["priority"] == 5000
    assert stored["spec"]["schedulerName"] == scheduler
    wanted = figures or BE_FIGURES
    assert resources(stored) == {"requests": wanted, "limits": wanted}
