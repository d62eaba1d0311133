"""Objects of a small cluster, as an API server gives them."""

import datetime as dt
import json
from typing import Any

from webhook.capacity.estimate import Capacity
from webhook.capacity.inventory import Inventory, inventory_of

NOW = dt.datetime(2026, 1, 31, 8, 0, 42, tzinfo=dt.UTC)
MEASURED = "2026-01-31T08:00:00Z"
GI = 2**30


def node(cpu: str = "32", memory: str = "128Gi", **more: Any) -> dict[str, Any]:
    """Return a Node named ``node-1``; ``more`` are labels, annotations and allocatable."""
    return {
        "kind": "Node",
        "metadata": {
            "name": "node-1",
            "labels": more.get("labels", {}),
            "annotations": more.get("annotations", {}),
        },
        "status": {
            "capacity": {"cpu": cpu, "memory": memory},
            "allocatable": more.get("allocatable", {"cpu": cpu, "memory": memory}),
        },
    }


def resources(cpu: str, memory: str) -> dict[str, Any]:
    """Return a ResourceMap."""
    return {"resources": {"cpu": cpu, "memory": memory}}


def metric(
    *pods: tuple[str, str, str], system: tuple[str, str] = ("0", "0"), at: str = MEASURED, **more: Any
) -> dict[str, Any]:
    """Return the NodeMetric of ``node-1``; pods are namespace/name, cpu and memory, of class prod."""
    return {
        "kind": "NodeMetric",
        "metadata": {"name": "node-1"},
        "status": {
            "updateTime": at,
            "nodeMetric": {"nodeUsage": resources("1", "1Gi"), "systemUsage": resources(*system)},
            "podsMetric": [
                {
                    "namespace": name.partition("/")[0],
                    "name": name.partition("/")[2],
                    "priority": more.get("priority", "koord-prod"),
                    "podUsage": resources(cpu, memory),
                }
                for name, cpu, memory in pods
            ],
            **more.get("status", {}),
        },
    }


def pod(name: str, requests: dict[str, str], qos: str = "LS", **more: Any) -> dict[str, Any]:
    """Return a Pod on ``node-1``; its class follows from its QoS class, or is ``priority``."""
    namespace, _, short = name.partition("/")
    priority = more.get("priority", "koord-batch" if qos == "BE" else "koord-prod")
    return {
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": short,
            "labels": {"koordinator.sh/qosClass": qos, "koordinator.sh/priority-class": priority},
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "main", "image": "i", "resources": {"requests": requests}}],
        },
        "status": {
            "phase": more.get("phase", "Running"),
            "startTime": more.get("started", "2026-01-30T00:00:00Z"),
        },
    }


def batch_pod(name: str, cpu: str, memory: str = "0") -> dict[str, Any]:
    """Return a batch pod on ``node-1``."""
    return pod(name, {"kubernetes.io/batch-cpu": cpu, "kubernetes.io/batch-memory": memory}, "BE")


def config(**fields: Any) -> dict[str, Any]:
    """Return the ConfigMap with colocation enabled."""
    text = json.dumps({"enable": True, **fields})
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "slo-controller-config"},
        "data": {"colocation-config": text},
    }


def ours(**settings: Any) -> dict[str, Any]:
    """Return the extension with our own settings."""
    return {"extensions": {"colocation-webhook.io": settings}}


def inventory(*objects: dict[str, Any]) -> Inventory:
    """Return objects, sorted."""
    return inventory_of(objects)


def capacity(*objects: dict[str, Any], now: dt.datetime = NOW) -> Capacity:
    """Return what ``node-1`` offers."""
    return inventory(*objects).capacity("node-1", now)


def offered(found: Capacity) -> tuple[int | None, int | None]:
    """Return batch-cpu and batch-memory."""
    return (
        found.figures["kubernetes.io/batch-cpu"].offered,
        found.figures["kubernetes.io/batch-memory"].offered,
    )
