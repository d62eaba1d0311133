"""A namespace with nodes of its own for each test of CPU sets, and what is done and seen there."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

from tests.cpusetchecker.facts import STATUS
from tests.cpusetchecker.rules import at_rest
from tests.e2e.binding.looker import OPTED_IN, Looker
from tests.e2e.binding.pods import NOBODY, binding, pod, template
from tests.e2e.binding.service import GRACE_SECONDS, IN, ledger, nodes, take_away
from tests.e2e.cluster.apiclient import NOW, ApiClient, message
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually

SECONDS = GRACE_SECONDS + 45.0


class Place:
    """A namespace and nodes of 16 CPUs: the one of the seed, and two with two NUMA nodes each.

    Attributes:
        pair: siblings are side by side; one core is reserved.
        wide: siblings are 8 CPUs apart.
    """

    def __init__(self, kubectl: Kubectl, calls: ApiClient, namespace: str) -> None:
        # New names: what was promised on a node is kept in mind for a while, also when the node goes.
        self.seed = FakeNode(name=f"seed-{namespace}", shape=(1, 1, 8, 2), linux=True)
        self.pair = FakeNode(name=f"pair-{namespace}", shape=(1, 2, 4, 2), reserved="0-1")
        self.wide = FakeNode(name=f"wide-{namespace}", shape=(1, 2, 4, 2), linux=True)
        self.nodes = (self.seed, self.pair, self.wide)
        self.kubectl = kubectl
        self.namespace = namespace
        self._calls = calls
        self._pool = namespace

    def elsewhere(self, namespace: str) -> Place:
        """The same nodes, and another namespace."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def pod(
        self,
        name: str,
        cpus: str,
        resource_spec: dict[str, str] | None = None,
        qos: str = "LSR",
        *,
        status: str = "",
        **spec: Any,
    ) -> Object:
        """Make a pod that no scheduler takes; ``status``: the set that somebody else has given to it."""
        made = template(qos, cpus, resource_spec, pool=self._pool, **{"schedulerName": NOBODY, **spec})
        code, stored = self.call("POST", "", pod(name, made))
        assert code == 201, stored
        if status:  # by an update, as schedulers write it: a new pod may not bring it
            self.kubectl.run("-n", self.namespace, "annotate", "pod", name, f"{STATUS}={status}")
        return stored

    def opt_out(self) -> None:
        """Take the namespace's label away, and wait until bindings are no longer asked about."""
        self.kubectl.run("label", "namespace", self.namespace, f"{OPTED_IN}-")
        self._until_bindings_say(201)

    def opt_in(self) -> None:
        """Label the namespace, and wait until bindings are asked about."""
        self.kubectl.run("label", "namespace", self.namespace, f"{OPTED_IN}={IN[OPTED_IN]}")
        self._until_bindings_say(403)

    def _until_bindings_say(self, code: int) -> None:
        """Wait for an answer to a pod that fits nowhere: the API server sees labels of namespaces late."""
        self.pod("too-large", str(self.seed.cpus + 1))

        def look() -> bool:
            return self.bind("too-large", self.seed, "?dryRun=All")[0] == code

        eventually(look, seconds=SECONDS, what=f"bindings answered with {code}")
        self.gone("too-large")

    def send(
        self, name: str, cpus: str = "2", resource_spec: dict[str, str] | None = None, qos: str = "LSR"
    ) -> Object:
        """Make a pod that kube-scheduler takes to the wide node."""
        on = {"kubernetes.io/hostname": self.wide.name}
        return self.pod(name, cpus, resource_spec, qos, schedulerName="default-scheduler", nodeSelector=on)

    def bound(self, name: str) -> Object:
        """Wait until a pod is bound, and return it."""

        def look() -> Object | None:
            stored = self.kubectl.get("pod", name, namespace=self.namespace)
            return stored if stored["spec"].get("nodeName") else None

        return eventually(look, seconds=SECONDS, what=f"{name} bound")

    def bind(self, name: str, node: FakeNode, query: str = "", **metadata: str) -> tuple[int, str]:
        """Post a Binding; its status, and what was said."""
        code, said = self.call("POST", f"/{name}/binding{query}", binding(name, node.name, **metadata))
        return code, message(json.dumps(said))

    def bind_by_older_path(self, name: str, node: FakeNode) -> tuple[int, str]:
        """Post a Binding to the namespace's ``bindings``."""
        path = f"/api/v1/namespaces/{self.namespace}/bindings"
        code, text = self._calls.call("POST", path, binding(name, node.name))
        return code, message(text)

    def forge(self, port: int, name: str, node: FakeNode) -> Object:
        """Send the webhook at a port a review of a Binding that nobody has posted; the response."""
        request = {
            "uid": "forged",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "subResource": "binding",
            "operation": "CREATE",
            "namespace": self.namespace,
            "name": name,
            "object": binding(name, node.name),
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection("localhost", port, timeout=10, context=anybody)
        with contextlib.closing(client):
            client.request("POST", "/bind", json.dumps(review), {"Content-Type": "application/json"})
            response: Object = json.load(client.getresponse())["response"]
        return response

    def cpus(self, name: str) -> str:
        """The CPU list on a pod, "" where it has none."""
        stored = self.kubectl.get("pod", name, namespace=self.namespace)
        text = stored["metadata"].get("annotations", {}).get(STATUS, "{}")
        return str(json.loads(text).get("cpuset", ""))

    def holders(self, node: FakeNode) -> dict[str, str]:
        """The names and CPU lists in a node's ledger."""
        return {entry["name"]: entry["cpuset"] for entry in ledger(self.kubectl, node.name)}

    def gone(self, name: str) -> None:
        """Delete a pod at once."""
        self.call("DELETE", f"/{name}", NOW)

    def call(self, method: str, path: str, body: Object, **more: str) -> tuple[int, Object]:
        """A call below the namespace's pods."""
        path = f"/api/v1/namespaces/{self.namespace}/pods{path}"
        code, text = self._calls.call(method, path, body, **more)
        return code, json.loads(text)

    def events(self, name: str) -> list[Object]:
        """What the webhook told about a pod."""
        told = self.kubectl.items("events", namespace=self.namespace)
        ours = [each for each in told if "colocation-webhook" in each.get("source", {}).get("component", "")]
        return [each for each in ours if each["involvedObject"]["name"] == name]

    def assert_rest(self) -> None:
        """The checker has nothing to say, as soon as everything is at rest."""
        looker = Looker(self._calls, self.kubectl, self.nodes, fail_closed=False)

        def resting() -> bool:
            assert at_rest(looker.look_at_rest()) == []
            return True

        eventually(resting, seconds=SECONDS, what="everything at rest")


@contextlib.contextmanager
def placed(control_plane: ControlPlane, namespace: str) -> Iterator[Place]:
    """The namespace's nodes, which go afterwards, as its pods do."""
    kubectl = control_plane.kubectl
    with contextlib.closing(ApiClient(control_plane)) as calls:
        here = Place(kubectl, calls, namespace)
        try:
            with nodes(kubectl, namespace, here.nodes):
                yield here
        finally:
            take_away(kubectl, namespace)
