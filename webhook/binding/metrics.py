"""The metrics of binding.

Labels have few values (classes, outcomes, reasons), but for the free CPUs of each node.
"""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from webhook.binding.grant import counts_of
from webhook.binding.nodetopology import NodeTopologyError
from webhook.binding.state import State
from webhook.process.metrics import NAMESPACE
from webhook.protocol import QoSClass

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
OUTCOMES = ("set", "none", "denied", "refused", "unanswered", "fault")


class BindingMetrics:
    """Counters of reviews, ledgers and repairs, and gauges of what ledgers hold."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Begin at zero in a registry."""
        counter = partial(Counter, namespace=NAMESPACE, registry=registry)
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
        self._nodes: set[str] = set()

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
        held = {str(QoSClass.LSE): 0, str(QoSClass.LSR): 0}
        seen = set()
        for (_, name), ledger in list(state.ledgers.store.values.items()):
            for entry in ledger.entries.values():
                held[entry.qos] = held.get(entry.qos, 0) + len(entry.cpus)
            try:
                counts = counts_of(state.nodes.topology_of(name), ledger)
            except NodeTopologyError:
                continue
            seen.add(name)
            self._free.labels(name).set(counts.free)
            self._whole.labels(name).set(counts.whole_cores_free)
        for qos, cpus in held.items():
            self._held.labels(qos or "none").set(cpus)
        for name in self._nodes - seen:
            self._free.remove(name)
            self._whole.remove(name)
        self._nodes = seen
