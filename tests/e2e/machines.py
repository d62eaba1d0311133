"""Fake nodes with a CPU topology, and pods that ask for CPUs of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.e2e.kubectl import Kubectl, Object
from webhook.cpuset import parse_shape

RESOURCE_STATUS = "scheduling.koordinator.sh/resource-status"


def make_node(kubectl: Kubectl, name: str, shape: str, **labels: str) -> None:
    """A Node that is ready, with a NodeResourceTopology as koordlet writes it; labels are the node's."""
    topology = parse_shape(shape, "linux")
    kubectl.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    capacity = {"cpu": str(topology.size), "memory": "256Gi", "pods": "500"}
    ready = {"type": "Ready", "status": "True", "reason": "ForTheTest", "message": ""}
    status = {"status": {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}}
    kubectl.run("patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    kubectl.run("taint", "node", name, "node.kubernetes.io/not-ready-")
    detail = [
        {"id": place.cpu, "core": place.core, "socket": place.socket, "node": place.node}
        for place in sorted(topology.places)
    ]
    kubectl.create(
        {
            "apiVersion": "topology.node.k8s.io/v1alpha1",
            "kind": "NodeResourceTopology",
            "metadata": {
                "name": name,
                "annotations": {"node.koordinator.sh/cpu-topology": json.dumps({"detail": detail})},
            },
            "topologyPolicies": ["None"],
            "zones": [{"name": f"node-{node}", "type": "Node"} for node in topology.nodes],
        }
    )


def bound_pod(name: str, cpu: str = "2", qos: str = "LSR", **wish: str) -> Object:
    """A prod pod of class ``qos``; ``wish`` is its resource-spec, ``node`` where it has to go."""
    node = wish.pop("node", None)
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {"koordinator.sh/qosClass": qos, "koordinator.sh/priority-class": "koord-prod"},
    }
    if wish:
        metadata["annotations"] = {"scheduling.koordinator.sh/resource-spec": json.dumps(wish)}
    amounts = {"cpu": cpu, "memory": "1Gi"}
    container = {"name": "main", "image": "none", "resources": {"requests": amounts, "limits": dict(amounts)}}
    spec: dict[str, Any] = {"containers": [container]}
    if node:
        spec["nodeSelector"] = {"machine": node}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def cpuset_of(pod: Object) -> str | None:
    """The CPU set that a pod's annotation names."""
    text = pod["metadata"].get("annotations", {}).get(RESOURCE_STATUS)
    return json.loads(text)["cpuset"] if text else None


def allocations(kubectl: Kubectl, node: str) -> dict[str, str]:
    """A node's ledger: pods' names and their CPU sets."""
    return {entry["name"]: entry["cpuset"] for entry in entries(kubectl, node)}


def entries(kubectl: Kubectl, node: str) -> Iterable[Object]:
    """The entries of a node's ledger, none where there is no ledger."""
    found = [item for item in kubectl.items("nca") if item["metadata"]["name"] == node]
    return found[0]["spec"].get("allocations", []) if found else []
