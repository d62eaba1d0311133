"""Bodies of schedulers' calls, and an extender that has been told of a cluster by hand."""

import json
from pathlib import Path

from prometheus_client import CollectorRegistry

from tests.binding.builders import Clock, Replica, pod
from webhook.admission.response import Answer
from webhook.kube.cache.reflector import KindStatus
from webhook.scheduling.endpoint import Extender
from webhook.scheduling.metrics import SchedulingMetrics
from webhook.scheduling.service import Scheduling
from webhook.scheduling.settings import SchedulingSettings

SAMPLES = Path(__file__).parents[1] / "data" / "scheduler-extender"


def sample(name: str) -> dict:
    """A recorded call of a real kube-scheduler, and the answer that it took."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def args(of: dict, *names: str, **more) -> bytes:
    """``ExtenderArgs`` of a pod and nodes' names."""
    return json.dumps({"Pod": of, "Nodes": None, "NodeNames": list(names), **more}).encode()


def evictions(of: dict, **victims: list[str]) -> bytes:
    """``ExtenderPreemptionArgs``: the uids of victims by node, with ``_`` for ``-``."""
    by_node = {
        name.replace("_", "-"): {"Pods": [{"UID": uid} for uid in uids], "NumPDBViolations": 0}
        for name, uids in victims.items()
    }
    return json.dumps({"Pod": of, "NodeNameToVictims": None, "NodeNameToMetaVictims": by_node}).encode()


def waiting(name: str = "p", cpu: str = "2", qos: str = "LSR", **given) -> dict:
    """A pod that waits for a node, as a scheduler sends it."""
    return pod(name, cpu, qos, phase="Pending", **given)


def loaded(name, cpu="16"):
    """A Node as load awareness knows it."""
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "64Gi"}}}


class Told:
    """An extender beside binding, both of which know what ``hear`` told them."""

    def __init__(self, fake, settings: SchedulingSettings | None = None, *, opted_in=lambda _: True):
        self.replica = Replica(fake, opted_in=opted_in)
        self.clock: Clock = self.replica.clock
        self.scheduling = Scheduling(
            self.replica.state.api,
            settings or SchedulingSettings(),
            self.replica.state,
            opted_in,
            CollectorRegistry(),
            clock=self.clock,
            wall=lambda: self.clock.now().timestamp(),
        )
        self.cluster = self.scheduling.cluster
        self.loads = self.cluster.loads
        self.extender = Extender(self.cluster, lambda: "", SchedulingMetrics(CollectorRegistry()))

    def tell(self, *, nodes=(), metrics=(), pods=()):
        """Have the watches of load bring these objects, and no others."""
        for store, objects in (
            (self.loads.nodes, nodes),
            (self.loads.metrics, metrics),
            (self.loads.pods, pods),
        ):
            store.replace(store.listed(each) for each in objects)

    def filter(self, of, *names):
        """The names that pass, and the reasons of the others."""
        found = self.extender.filter(args(of, *names))
        return found["NodeNames"], {**found["FailedAndUnresolvableNodes"], **found["FailedNodes"]}

    def scores(self, of, *names):
        """Scores by node."""
        return {each["Host"]: each["Score"] for each in self.extender.prioritize(args(of, *names))}

    def preempt(self, of, **victims):
        """The nodes that are kept."""
        return list(self.extender.preempt(evictions(of, **victims))["NodeNameToMetaVictims"])


def synced(told):
    """The extender, once all kinds have been listed."""
    for reflector in told.scheduling._reflectors.values():
        reflector.contact = KindStatus(synced=True)
    return told


def call(told, verb, body):
    """Status and body of a call over the endpoint."""
    endpoint = told.scheduling.endpoints[f"/scheduler/{verb}"]
    begun = endpoint.begin(body, 5.0)
    return begun if isinstance(begun, Answer) else begun.result(5)
