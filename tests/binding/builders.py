"""Pods, nodes and ledgers, made short; and binding against a fake API server."""

import base64
import copy
import datetime as dt
import json
import threading

from prometheus_client import CollectorRegistry

from tests.kube.fakeapi import FakeApi
from webhook.admission.response import Answer
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.grant import Claim
from webhook.binding.ledger import Ledger, read_ledger
from webhook.binding.ledgers import LEDGERS
from webhook.binding.service import Bindings, BindingSettings
from webhook.cpuset.allocation import BindPolicy
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.qos import QoS
from webhook.kube.lease import Lease
from webhook.kube.paths import NODES, PODS
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.resourcespec import BOUND_CLASSES, CPUSetRequest

EVENTS = "/api/v1/events"
NOW = dt.datetime(2026, 11, 23, 7, 0, tzinfo=dt.UTC)
STATUS = "scheduling.koordinator.sh/resource-status"


def node_topology(shape="1x2x4x2", **given):
    """A node of that shape, siblings half the machine apart."""
    return NodeTopology("node-1", "node-uid", parse_shape(shape, "linux"), **given)


def ledger(*entries, **given):
    """The ledger of ``node_topology()``."""
    return Ledger(**({"node": "node-1", "node_uid": "node-uid"} | given)).with_entries(*entries)


def claim(name="p", cpus=2, policy=BindPolicy.FULL_PCPUS, **request):
    """A claim of a pod in namespace d; its uid is its name."""
    carried = request.pop("carried", None)
    qos = request.pop("qos", QoS.LSR)
    return Claim(name, "d", name, CPUSetRequest(qos, cpus, policy, **request), carried)


def pod(name="p", cpu="2", qos="LSR", *, node="", cpuset=None, **metadata):
    """A prod pod in namespace d; ``phase`` is status, ``placement`` spec, the rest metadata."""
    uid, phase = metadata.pop("uid", None), metadata.pop("phase", "Running")
    placement = metadata.pop("placement", {})
    labels = {"koordinator.sh/priority-class": "koord-prod"}
    if qos:
        labels["koordinator.sh/qosClass"] = qos
    annotations = metadata.pop("annotations", {})
    if cpuset is not None:
        annotations = {**annotations, STATUS: json.dumps({"cpuset": cpuset})}
    spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}
    return {
        "metadata": {
            "namespace": "d", "name": name, "uid": uid or name, "resourceVersion": "1",
            "labels": labels, "annotations": annotations, **metadata,
        },
        "spec": {**spec, **({"nodeName": node} if node else {}), **placement},
        "status": {"phase": phase},
    }  # fmt: skip


def node(name="node-1", uid="node-uid", labels=None, annotations=None, **spec):
    """A Node."""
    metadata = {"name": name, "uid": uid, "labels": labels or {}, "annotations": annotations or {}}
    return {"metadata": metadata, "spec": spec}


def nrt(shape="1x2x4x2", name="node-1", annotations=None, policies=()):
    """A NodeResourceTopology as koordlet writes it."""
    detail = [
        {"id": place.cpu, "core": place.core, "socket": place.socket, "node": place.node}
        for place in parse_shape(shape, "linux").places
    ]
    text = json.dumps({"detail": detail})
    return {
        "metadata": {
            "name": name,
            "annotations": {"node.koordinator.sh/cpu-topology": text, **(annotations or {})},
        },
        "topologyPolicies": list(policies),
    }


def review(of, to="node-1", *, uid="same", dry_run=False, annotations=None, path="pods/binding"):
    """The review of a Binding, as bytes; ``path`` is that by which it was posted."""
    resource, _, subresource = path.partition("/")
    metadata = {"name": of["metadata"]["name"], "namespace": "d"}
    metadata |= {"uid": of["metadata"]["uid"] if uid == "same" else uid} if uid else {}
    metadata |= {"annotations": annotations} if annotations is not None else {}
    request = {
        "uid": "r",
        "resource": {"group": "", "version": "v1", "resource": resource},
        "subResource": subresource,
        "operation": "CREATE",
        "namespace": "d",
        "name": of["metadata"]["name"],
        "object": {"metadata": metadata, "target": {"kind": "Node", "name": to}},
        "dryRun": dry_run,
    }
    body = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(body).encode()


class Clock:
    """Two clocks that move together, by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        """Seconds."""
        return self.seconds

    def now(self):
        """The time of day."""
        return NOW + dt.timedelta(seconds=self.seconds - 1000)


class Replica:
    """One replica: what it has been told by watches is what ``hear`` gave it."""

    def __init__(self, fake, *, opted_in=lambda _: True, grace=60.0, clock=None):
        self.fake = fake
        self.clock = clock or Clock()
        api = fake.api()
        lease = Lease(api, "d", "l", identity="me", clock=self.clock, now=self.clock.now)
        self.registry = CollectorRegistry()
        bindings = Bindings(
            api,
            lease,
            opted_in,
            self.registry,
            BindingSettings(grace=grace),
            clock=self.clock,
            now=self.clock.now,
        )
        self.state = bindings.state
        self.events = bindings.events
        self.binder = bindings.binder
        self.promises = bindings.promises
        self.endpoint = bindings.endpoint
        self.repair = bindings.repair
        self.resizes = bindings.resizes
        self.reconciler = bindings.reconciler
        self.hear()

    def metric(self, name, **labels):
        """A sample of the replica's metrics; None: there is none."""
        return self.registry.get_sample_value(f"colocation_webhook_{name}", labels)

    def hear(self, *kinds):
        """Let the watches tell what is there now (all kinds, or some paths)."""
        state = self.state

        def bound(labels):
            return labels.get("koordinator.sh/qosClass") in BOUND_CLASSES

        stores = {
            PODS: (state.pods, bound),
            "waiting": (state.waiting, lambda labels: not bound(labels)),
            NODES: (state.nodes.nodes, None),
            TOPOLOGIES: (state.nodes.topologies, None),
            LEDGERS: (state.ledgers.store, None),
        }  # fmt: skip
        for path, (store, wanted) in stores.items():
            if kinds and path not in kinds:
                continue
            there = list(self.fake.objects.get(PODS if path == "waiting" else path, {}).values())
            store.replace(
                store.listed(raw) for raw in there if wanted is None or wanted(raw["metadata"]["labels"])
            )

    def ask(self, of, to="node-1", seconds=10.0, **given):
        """The status and the response to the review of a binding."""
        begun = self.endpoint.begin(review(of, to, **given), seconds)
        status, body = begun if isinstance(begun, Answer) else begun.result(10)
        answer = json.loads(body)
        return status, answer.get("response", answer)

    def cpuset(self, of, to="node-1", **given):
        """The CPU set that a binding is given; None: none."""
        status, response = self.ask(of, to, **given)
        assert status == 200, response
        assert response["allowed"], response
        if "patch" not in response:
            return None
        (operation,) = json.loads(base64.b64decode(response["patch"]))
        value = operation["value"]
        return json.loads(value[STATUS] if isinstance(value, dict) else value)["cpuset"]

    def round(self):
        """One round of the reconciler, and its Events."""
        self.reconciler.round(threading.Event())


def server():
    """A fake API server with one node of 16 CPUs."""
    fake = FakeApi()
    for path in (PODS, NODES, TOPOLOGIES, LEDGERS, EVENTS):
        fake.objects[path] = {}
    store(fake, NODES, node())
    store(fake, TOPOLOGIES, nrt())
    return fake


def store(fake, path, raw):
    """Put an object there."""
    fake.store(path, (raw["metadata"].get("namespace", ""), raw["metadata"]["name"]), raw)
    return raw


def held(fake, name="node-1"):
    """A ledger's pods and their CPU sets."""
    found = fake.objects[LEDGERS].get(("", name))
    entries = read_ledger(found).entries.values() if found else ()
    return {entry.name: format_cpulist(entry.cpus) for entry in entries} if found else None


def known(replica, made):
    """A pod that exists and is known."""
    store(replica.fake, PODS, made)
    replica.hear()
    return made


def bind(replica, made, cpuset=None, name="node-1"):
    """Give a pod CPUs and bind it, as the API server does; returns the set."""
    store(replica.fake, PODS, made)
    replica.hear(PODS)
    cpuset = cpuset or replica.cpuset(made, to=name)
    key = ("d", made["metadata"]["name"])
    metadata = {**made["metadata"], "annotations": {STATUS: json.dumps({"cpuset": cpuset})}}
    bound = {**made, "metadata": metadata, "spec": {**made["spec"], "nodeName": name}}
    replica.fake.store(PODS, key, bound)
    replica.hear(PODS)
    return cpuset


def resized(fake, replica, cpu, name="p"):
    """Change what a stored pod requests, as ``pods/resize`` does."""
    made = copy.deepcopy(fake.objects[PODS]["d", name])
    made["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    fake.store(PODS, ("d", name), made)
    replica.hear(PODS)


def ready(fake):
    """The condition Ready of the ledger."""
    (found,) = fake.objects[LEDGERS]["", "node-1"]["status"]["conditions"]
    return found["status"], found["reason"], found["message"]


def annotation(fake, name="p"):
    """The CPU set that a stored pod names."""
    text = fake.objects[PODS]["d", name]["metadata"]["annotations"].get(STATUS)
    return json.loads(text)["cpuset"] if text else None


def settle(replica, rounds=3):
    """A few rounds, the watches telling in between."""
    for _ in range(rounds):
        replica.round()
        replica.hear()
        replica.clock.seconds += 1


def recorded(replica):
    """Reasons and messages of the Events, after those that wait have been written."""
    while not replica.events._waiting.empty():
        replica.events._step(0.0)
    return [(e["reason"], e["message"]) for e in replica.fake.objects[EVENTS].values()]
