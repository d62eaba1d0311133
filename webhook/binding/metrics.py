"""The metrics of binding.

Labels have few values (classes, outcomes, reasons), but for the free CPUs of each node.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, Histogram

from webhook.binding.grant import counts_of
from webhook.binding.ledger import Ledger
from webhook.binding.state import State
from webhook.pods.nodes.nodetopology import NodeTopology, NodeTopologyError
from webhook.process.metrics import NAMESPACE
from webhook.protocol import QoSClass

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
OUTCOMES = ("set", "none", "denied", "refused", "unanswered", "fault")


class BindingMetrics:
    """Counters of reviews, ledgers and repairs, and gauges of what ledgers hold."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Begin at zero in a registry."""
        counter = partial(prometheus_client.Counter, namespace=NAMESPACE, registry=registry)
        newest = partial(Gauge, namespace=NAMESPACE, registry=registry, multiprocess_mode="livemostrecent")
        self.denials = counter("cpuset_denials_total", "Bindings denied, by reason.", ["reason"])
        self.conflicts = counter(
            "cpuset_conflicts_total", "Writes of ledgers that had been changed meanwhile."
        )
        self._allocations = counter(
            "cpuset_allocations_total",
            "CPU sets given, by QoS class; again: whether the pod had it already.",
            ["qos", "again"],
        )
        self.repairs = counter(
            "cpuset_repairs_total",
            "Repairs of the reconciler: dropped, entered, allocated, annotated, resized, moved, or failed.",
            ["what"],
        )
        self._held = newest("cpuset_cpus", "CPUs held, by QoS class, over all nodes.", ["qos"])
        self._free = newest("cpuset_free_cpus", "CPUs that can be given to pods.", ["node"])
        self._whole = newest("cpuset_free_whole_cores", "Cores of which all CPUs are free.", ["node"])
        bindings = counter("bindings_total", "Bindings reviewed, by outcome.", ["outcome"])
        duration = Histogram(
            "binding_duration_seconds",
            "From the whole body to the whole answer.",
            ["outcome"],
            namespace=NAMESPACE,
            buckets=_BUCKETS,
            registry=registry,
        )
        self._children = {name: (bindings.labels(name), duration.labels(name)) for name in OUTCOMES}
        self._nodes: dict[str, _Node] = {}

    def answered(self, outcome: str, seconds: float) -> None:
        """Count an answer to a review."""
        count, duration = self._children[outcome]
        count.inc()
        duration.observe(seconds)

    def allocated(self, qos: str, *, existing: bool) -> None:
        """Count a set that was given; ``existing``: the pod had it already."""
        self._allocations.labels(qos, "true" if existing else "false").inc()

    def observe(self, state: State) -> None:
        """Set the gauges from all ledgers: CPUs held by class, and what is free on each node."""
        held = Counter({str(QoSClass.LSE): 0, str(QoSClass.LSR): 0})
        before, self._nodes = self._nodes, {}
        for (_, name), ledger in list(state.ledgers.store.values.items()):
            try:
                topology = state.nodes.topology_of(name)
            except NodeTopologyError:
                topology = None
            node = before.pop(name, None)
            if node is None or node.ledger is not ledger or node.topology is not topology:
                node = _Node(ledger, topology, _held(ledger))
                if topology is not None:
                    counts = counts_of(topology, ledger)
                    self._free.labels(name).set(counts.free)
                    self._whole.labels(name).set(counts.whole_cores_free)
                else:
                    self._forget(name)
            self._nodes[name] = node
            for qos, cpus in node.held.items():
                held[qos] += cpus
        for qos, cpus in held.items():
            self._held.labels(qos or "none").set(cpus)
        for name in before:
            self._forget(name)

    def _forget(self, name: str) -> None:
        for gauge in (self._free, self._whole):
            with suppress(KeyError):
                gauge.remove(name)


class _Node(NamedTuple):
    """What the gauges of a node were set from, and the CPUs that are held there by class."""

    ledger: Ledger
    topology: NodeTopology | None
    held: Mapping[str, int]


def _held(ledger: Ledger) -> Mapping[str, int]:
    cpus: Counter[str] = Counter()
    for entry in ledger.entries.values():
        cpus[entry.qos] += len(entry.cpus)
    return cpus
