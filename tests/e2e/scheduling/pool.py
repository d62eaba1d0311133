"""A namespace under koord-scheduler with nodes of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import ssl
from collections.abc import Callable, Sequence

from tests.e2e.binding.pods import NOBODY, pod, template
from tests.e2e.binding.service import take_away
from tests.e2e.cluster.fakenodes import TOPOLOGY, FakeNode, make, make_bare
from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.processes import NotInTimeError, eventually
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER

SECONDS = 20.0
WHOLE = {"requiredCPUBindPolicy": "FullPCPUs"}
METRICS = "nodemetrics.slo.koordinator.sh"


def ask(port: int, pod: Object, nodes: Sequence[str]) -> Object:
    """What the webhook answers a scheduler that asks whether a pod may go to nodes."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    client = http.client.HTTPSConnection("localhost", port, timeout=10, context=anybody)
    body = json.dumps({"Pod": pod, "NodeNames": list(nodes)})
    with contextlib.closing(client):
        client.request("POST", "/scheduler/filter", body, {"Content-Type": "application/json"})
        answer: Object = json.load(client.getresponse())
    return answer


class Pool:
    """A namespace, and nodes for its pods alone."""

    def __init__(self, kubectl: Kubectl, namespace: str, port: int) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self._port = port
        self._nodes: list[FakeNode] = []

    def add(
        self, name: str, cores: int, *, topology: bool = True, used: int | None = None, reserved: str = ""
    ) -> str:
        """A node of so many cores of two threads, of which ``used`` CPUs are measured to be in use."""
        node = FakeNode(name=f"{name}-{self.namespace}", shape=(1, 1, cores, 2), reserved=reserved)
        self._nodes.append(node)
        (make if topology else make_bare)(self.kubectl, self.namespace, [node])
        if used is not None:
            metric = {"apiVersion": "slo.koordinator.sh/v1alpha1", "kind": "NodeMetric"}
            self.kubectl.create({**metric, "metadata": {"name": node.name}, "spec": {}})
            self.measure(node.name, used)
        self._until_known(node.name, "LSR", lambda why: topology == ("NodeResourceTopology" not in why))
        if used is not None and used > node.cpus // 2:
            self._until_known(node.name, "LS", lambda why: "usage" in why)
        return node.name

    def measure(self, node: str, used: int) -> None:
        """Say that so many CPUs of a node with a NodeMetric are in use."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        usage = {"resources": {"cpu": str(used), "memory": "1Gi"}}
        status = json.dumps({"status": {"updateTime": now, "nodeMetric": {"nodeUsage": usage}}})
        self.kubectl.run("patch", METRICS, node, "--subresource=status", "--type=merge", "-p", status)

    def describe(self, node: str) -> None:
        """Tell the CPUs of a node that was added without a topology."""
        (made,) = [each for each in self._nodes if each.name == node]
        self.kubectl.create(made.topology(self.kubectl.get("node", node)["metadata"]["uid"]))

    def _until_known(self, node: str, qos: str, holds: Callable[[str], bool]) -> None:
        """Wait until the webhook has heard of a node; what it does not look at, it never says."""
        name = f"probe-{qos.lower()}"
        with contextlib.suppress(RefusedError):  # it is there already
            self.send(name, qos, "2", schedulerName=NOBODY)
        probe = self.stored(name)

        def look() -> bool:
            answer = ask(self._port, probe, [node])
            return holds(answer["FailedAndUnresolvableNodes"].get(node, ""))

        with contextlib.suppress(NotInTimeError):
            eventually(look, seconds=5.0, what=f"{node} known")

    def send(self, name: str, qos: str, cpus: str, *, on: str = "", **spec: object) -> None:
        """A pod under koord-scheduler; ``on``: bound to that node by the test, past every scheduler."""
        given = {"nodeName": on} if on else {"schedulerName": KOORD_SCHEDULER}
        wish = WHOLE if qos in {"LSE", "LSR"} else None
        made = pod(name, template(qos, cpus, wish, pool=self.namespace, **{**given, **spec}))
        made["metadata"]["namespace"] = self.namespace
        self.kubectl.create(made)

    def stored(self, name: str) -> Object:
        """A pod as it is stored."""
        return self.kubectl.get("pod", name, namespace=self.namespace)

    def bound(self, name: str, seconds: float = SECONDS) -> str:
        """Wait until a pod is bound, and return its node."""
        look = lambda: self.stored(name)["spec"].get("nodeName")  # noqa: E731 — a question, asked again and again
        found: str = eventually(look, seconds=seconds, what=f"{name} bound")
        return found

    def why(self, name: str, reason: str = "Unschedulable") -> str:
        """What the scheduler says of a pod that it cannot place."""

        def look() -> str:
            conditions = self.stored(name).get("status", {}).get("conditions", [])
            return next((each["message"] for each in conditions if each.get("reason") == reason), "")

        return eventually(look, seconds=SECONDS, what=f"{name} {reason}")

    def end(self) -> None:
        """Take all of it away."""
        take_away(self.kubectl, self.namespace)
        for node in self._nodes:
            self.kubectl.delete(METRICS, node.name)
            self.kubectl.delete("node", node.name)
            self.kubectl.delete(TOPOLOGY, node.name)
