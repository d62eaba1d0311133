"""Pods, nodes and ledgers, made short; and binding against a fake API server."""

import base64
import datetime as dt
import json
import threading

from tests.kube.fakeapi import FakeApi
from webhook.admission.response import Answer
from webhook.binding.binder import Binder
from webhook.binding.caches import NODES, PODS, TOPOLOGIES, Nodes, PodStore, waiting_store
from webhook.binding.endpoint import Reviews
from webhook.binding.grant import Claim
from webhook.binding.ledger import Ledger, read_ledger
from webhook.binding.ledgers import LEDGERS, Ledgers
from webhook.binding.nodetopology import NodeTopology
from webhook.binding.reconciler import Reconciler
from webhook.binding.repair import Repair
from webhook.binding.state import Cluster
from webhook.cpuset import BindPolicy, QoS, format_cpulist, parse_shape
from webhook.kube.events import EventRecorder
from webhook.kube.lease import Lease
from webhook.pods.resourcespec import CPUSetRequest, is_bound_class

EVENTS = "/api/v1/events"
NOW = dt.datetime(2026, 11, 23, 7, 0, tzinfo=dt.UTC)
STATUS = "scheduling.koordinator.sh/resource-status"


def machine(shape="1x2x4x2", **given):
    """A node of that shape, siblings half the machine apart."""
    return NodeTopology("node-1", "node-uid", parse_shape(shape, "linux"), **given)


def ledger(*entries, **given):
    """The ledger of ``machine()``."""
    return Ledger(**({"node": "node-1", "node_uid": "node-uid"} | given)).with_entries(*entries)


def claim(name="p", cpus=2, policy=BindPolicy.FULL_PCPUS, **wish):
    """A claim of a pod in namespace d; its uid is its name."""
    brought = wish.pop("brought", None)
    return Claim(name, "d", name, CPUSetRequest(wish.pop("qos", QoS.LSR), cpus, policy, **wish), brought)


def pod(name="p", cpu="2", qos="LSR", *, node="", cpuset=None, **metadata):
    """A prod pod in namespace d; ``phase`` is its status, the rest its metadata."""
    uid, phase = metadata.pop("uid", None), metadata.pop("phase", "Running")
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
        "spec": {**spec, **({"nodeName": node} if node else {})},
        "status": {"phase": phase},
    }  # fmt: skip


def node(name="node-1", uid="node-uid", labels=None, annotations=None):
    """A Node."""
    metadata = {"name": name, "uid": uid, "labels": labels or {}, "annotations": annotations or {}}
    return {"metadata": metadata}


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


def review(of, to="node-1", *, uid="same", dry_run=False, annotations=None):
    """The review of a Binding, as bytes."""
    metadata = {"name": of["metadata"]["name"], "namespace": "d"}
    metadata |= {"uid": of["metadata"]["uid"] if uid == "same" else uid} if uid else {}
    metadata |= {"annotations": annotations} if annotations is not None else {}
    request = {
        "uid": "r",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "subResource": "binding",
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
        self.cluster = Cluster(
            api,
            PodStore(lambda: None),
            waiting_store(lambda: None),
            Nodes(lambda: None),
            Ledgers(api, lambda: None, self.conflicted),
            clock=self.clock,
            now=self.clock.now,
        )
        self.conflicts = 0
        self.events = EventRecorder(api, "colocation-webhook", clock=self.clock, now=self.clock.now, salt="s")
        self.binder = Binder(self.cluster, grace=grace)
        self.reviews = Reviews(self.cluster, self.binder, self.events)
        self.repair = Repair(self.cluster, self.binder, self.events, opted_in=opted_in)
        lease = Lease(api, "d", "l", identity="me", clock=self.clock, now=self.clock.now)
        self.reconciler = Reconciler(self.cluster, self.binder, self.repair, lease)
        self.hear()

    def conflicted(self):
        """Count."""
        self.conflicts += 1

    def hear(self, *kinds):
        """Let the watches tell what is there now (all kinds, or some paths)."""
        cluster = self.cluster
        stores = {
            PODS: (cluster.pods, is_bound_class),
            "waiting": (cluster.waiting, lambda labels: not is_bound_class(labels)),
            NODES: (cluster.nodes.nodes, None),
            TOPOLOGIES: (cluster.nodes.topologies, None),
            LEDGERS: (cluster.ledgers.store, None),
        }  # fmt: skip
        for path, (store, wanted) in stores.items():
            if kinds and path not in kinds:
                continue
            store.begin()
            for raw in list(self.fake.objects.get(PODS if path == "waiting" else path, {}).values()):
                if wanted is None or wanted(raw["metadata"]["labels"]):
                    store.add(raw)
            store.commit()

    def ask(self, of, to="node-1", seconds=10.0, **given):
        """The status and the response to the review of a binding."""
        begun = self.reviews.begin(review(of, to, **given), seconds)
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
