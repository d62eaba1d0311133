"""Nodes without machines: always Ready, with the CPUs, shapes and reservations that a test gives them.

No kubelet runs, and the controller manager runs without the controller that looks for one. What koordlet
would write stands in a NodeResourceTopology of the node's name, in Koordinator's protocol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.cluster.kubectl import Kubectl, Object

TOPOLOGY = "noderesourcetopologies.topology.node.k8s.io"
POOL = "pool"
"""The label by which pods select the nodes of a test."""


@dataclass(frozen=True, kw_only=True)
class FakeNode:
    """A node to be made.

    Attributes:
        name: of the Node and its NodeResourceTopology.
        shape: sockets, NUMA nodes per socket, cores per NUMA node, threads per core.
        linux: siblings are numbered far apart (0 and 8 of 16), else side by side (0 and 1).
        repeated: each socket numbers its cores from 0.
        reserved: CPU list of the node's reservation.
        kubelet: the value of Koordinator's annotation about the kubelet's CPU manager.
        system: CPU list of SYSTEM pods alone.
        pinned: CPU list that the kubelet has given to a pod of its own.
        bind_policy: the label of that name.
        amplification: how many times its CPUs the node advertises.
    """

    name: str
    shape: tuple[int, int, int, int]
    linux: bool = False
    repeated: bool = False
    reserved: str = ""
    kubelet: dict[str, Any] = field(default_factory=dict)
    system: str = ""
    pinned: str = ""
    bind_policy: str = ""
    amplification: float = 1.0

    @property
    def cpus(self) -> int:
        """How many logical CPUs it has."""
        sockets, nodes, cores, threads = self.shape
        return sockets * nodes * cores * threads

    def places(self) -> Iterator[dict[str, int]]:
        """Yield the entries of ``cpu-topology``, by CPU."""
        sockets, nodes, cores, threads = self.shape
        total = sockets * nodes * cores
        for cpu in range(self.cpus):
            core = cpu % total if self.linux else cpu // threads
            socket = core // (nodes * cores)
            shown = core % (nodes * cores) if self.repeated else core
            yield {"id": cpu, "core": shown, "socket": socket, "node": core // cores}

    def node(self, pool: str) -> Object:
        """Return the Node, without its status."""
        labels = {"kubernetes.io/hostname": self.name, POOL: pool}
        if self.bind_policy:
            labels["node.koordinator.sh/cpu-bind-policy"] = self.bind_policy
        annotations = self._shared_annotations()
        if self.amplification != 1.0:
            annotations["node.koordinator.sh/resource-amplification-ratio"] = _json(
                {"cpu": self.amplification}
            )
            annotations["node.koordinator.sh/raw-allocatable"] = _json({"cpu": str(self.cpus)})
        metadata = {"name": self.name, "labels": labels, "annotations": annotations}
        return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}

    def status(self) -> Object:
        """Return the status that a kubelet and Koordinator's node controller would keep."""
        figures = {"cpu": str(int(self.cpus * self.amplification)), "memory": "4Ti", "pods": "1000"}
        figures |= {"kubernetes.io/batch-cpu": f"{self.cpus}k", "kubernetes.io/batch-memory": "1Ti"}
        ready = {"type": "Ready", "status": "True", "reason": "ForTheTest", "message": ""}
        return {"capacity": figures, "allocatable": figures, "conditions": [ready]}

    def topology(self, uid: str) -> Object:
        """Return the NodeResourceTopology; ``uid`` is the Node's."""
        annotations = self._shared_annotations()
        annotations["node.koordinator.sh/cpu-topology"] = _json({"detail": list(self.places())})
        allocations = [
            {"namespace": "d", "name": "p", "uid": f"pinned-{self.name}", "cpuset": self.pinned}
            | {"managedByKubelet": True}
        ]
        annotations["node.koordinator.sh/pod-cpu-allocs"] = _json(allocations if self.pinned else None)
        if self.kubelet:
            annotations["kubelet.koordinator.sh/cpu-manager-policy"] = _json(self.kubelet)
        owner = {"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": uid}
        return {
            "apiVersion": "topology.node.k8s.io/v1alpha1",
            "kind": "NodeResourceTopology",
            "metadata": {
                "name": self.name,
                "labels": {"app.kubernetes.io/managed-by": "Koordinator"},
                "annotations": annotations,
                "ownerReferences": [owner],
            },
            "topologyPolicies": ["None"],
            "zones": [self._zone(number) for number in range(self.shape[0] * self.shape[1])],
        }

    def _zone(self, number: int) -> Object:
        cpus = str(self.shape[2] * self.shape[3])
        resource = {"name": "cpu", "capacity": cpus, "allocatable": cpus, "available": cpus}
        return {"name": f"node-{number}", "type": "Node", "resources": [resource]}

    def _shared_annotations(self) -> dict[str, str]:
        """What stands on the Node and is copied to its NodeResourceTopology."""
        annotations = {}
        if self.reserved:
            value = {"reservedCPUs": self.reserved, "applyPolicy": "ReservedCPUsOnly"}
            annotations["node.koordinator.sh/reservation"] = _json(value)
        if self.system:
            annotations["node.koordinator.sh/system-qos-resource"] = _json({"cpuset": self.system})
        return annotations


STATIC = {"policy": "static", "reservedCPUs": "0-1"}
ZOO = (
    FakeNode(name="n16", shape=(1, 1, 8, 2), linux=True),
    FakeNode(name="n16-reserved", shape=(1, 2, 4, 2), reserved="0-1"),
    FakeNode(name="n32-static", shape=(2, 1, 8, 2), linux=True, kubelet=STATIC),
    FakeNode(name="n48-no-smt", shape=(2, 2, 12, 1), system="46-47"),
    FakeNode(
        name="n64-whole", shape=(2, 1, 16, 2), kubelet={**STATIC, "options": {"full-pcpus-only": "true"}}
    ),
    FakeNode(name="n72-spread", shape=(2, 1, 18, 2), linux=True, bind_policy="SpreadByPCPUs"),
    FakeNode(name="n128-amplified", shape=(2, 2, 16, 2), linux=True, repeated=True, amplification=1.5),
    FakeNode(name="n256-pinned", shape=(2, 4, 16, 2), linux=True, pinned="4-5,132-133"),
)
"""Eight nodes, no two alike."""


def make_bare(kubectl: Kubectl, pool: str, nodes: Sequence[FakeNode]) -> None:
    """Make nodes, ready for pods; ``pool`` labels them."""
    kubectl.create(*(node.node(pool) for node in nodes))
    for node in nodes:
        status = json.dumps({"status": node.status()})
        kubectl.run("patch", "node", node.name, "--subresource=status", "--type=merge", "-p", status)
    # Given to every new node until somebody finds it ready; here nobody looks.
    names = [node.name for node in nodes]
    kubectl.run("taint", "node", *names, "node.kubernetes.io/not-ready-")


def make(kubectl: Kubectl, pool: str, nodes: Sequence[FakeNode]) -> None:
    """Make nodes with their topologies."""
    make_bare(kubectl, pool, nodes)
    made = {each["metadata"]["name"]: each["metadata"]["uid"] for each in kubectl.items("nodes")}
    kubectl.create(*(node.topology(made[node.name]) for node in nodes))


def unmake(kubectl: Kubectl, nodes: Sequence[FakeNode]) -> None:
    """Take nodes and topologies away."""
    names = [node.name for node in nodes]
    kubectl.delete("node", *names)
    kubectl.delete(TOPOLOGY, *names)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
