"""Pods for a real node: in its own network, of images that it has."""

from __future__ import annotations

import json
from typing import Final

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine.images import BURNER
from tests.e2e.node.machine.node import NAME

BATCH_CPU: Final = "kubernetes.io/batch-cpu"
BATCH_MEMORY: Final = "kubernetes.io/batch-memory"
DRIVER: Final = {"spark-role": "driver"}
"""The labels by which the chart's example profiles take a pod for a Spark driver, of class BE."""


def burner(
    namespace: str,
    name: str,
    *arguments: str,
    figures: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
) -> Object:
    """A pod that uses what `machine/images/burner.c` is told to; ``figures``: its requests and its limits."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels or {}},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": BURNER,
                    "imagePullPolicy": "Never",
                    "args": list(arguments),
                    "resources": {"requests": figures, "limits": figures} if figures else {},
                }
            ],
        },
    }


def batch(namespace: str, name: str, *arguments: str, cpu: str, memory: str = "0") -> Object:
    """A burner of class BE with batch resources, as the webhook makes it."""
    labels = {"koordinator.sh/qosClass": "BE", "koordinator.sh/priority-class": "koord-batch"}
    figures = {BATCH_CPU: cpu, BATCH_MEMORY: memory}
    return burner(namespace, name, *arguments, figures=figures, labels=labels)


def online(namespace: str, name: str, *arguments: str, cpu: str = "50m") -> Object:
    """A burner of class LS that requests little and may use all."""
    pod = burner(namespace, name, *arguments, labels={"koordinator.sh/qosClass": "LS"})
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return pod


def running(kubectl: Kubectl, namespace: str, name: str, *, seconds: float = 60) -> Object:
    """Wait until a pod is Ready, so long at most, and return it."""

    def ready() -> Object | None:
        stored = kubectl.get("pod", name, namespace=namespace)
        phase = stored["status"]["phase"]
        conditions = {each["type"]: each["status"] for each in stored["status"].get("conditions", [])}
        return stored if phase == "Running" and conditions.get("Ready") == "True" else None

    return eventually(ready, seconds=seconds, what=f"pod {name} Ready")  # type: ignore[return-value]


def container(stored: Object) -> str:
    """The id of a pod's one container, as its cgroup is called."""
    (status,) = stored["status"]["containerStatuses"]
    found: str = status["containerID"].removeprefix("containerd://")
    return found


def offer(kubectl: Kubectl, figures: dict[str, str | None]) -> None:
    """Write figures into the node's status, as somebody who publishes resources does; None takes one off."""
    patch = json.dumps({"status": {"capacity": figures, "allocatable": figures}})
    kubectl.run("patch", "node", NAME, "--subresource=status", "--type=merge", "-p", patch)


def wait_for_room(kubectl: Kubectl, cpu: int) -> None:
    """Wait until the node offers so many milli-cores of batch CPU."""
    eventually(lambda: offered(kubectl) >= cpu, seconds=120, what="room for batch pods")


def offered(kubectl: Kubectl) -> int:
    """Milli-cores of batch CPU that the node offers."""
    figure: str = kubectl.get("node", NAME)["status"]["allocatable"][BATCH_CPU]
    return int(figure.replace("k", "000"))
