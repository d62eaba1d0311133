"""What is counted of bindings.

Labels have few values: classes, outcomes, reasons; nodes only for what is left of each.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from webhook.binding.ledger import Counts
from webhook.protocol import QoSClass

_PREFIX = "colocation_webhook"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
OUTCOMES = ("set", "none", "denied", "refused", "unanswered", "fault")


class BindingMetrics:
    """The books of bindings and their ledgers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Begin at zero in a registry."""
        self._bindings = Counter(
            f"{_PREFIX}_bindings_total", "Bindings reviewed, by outcome.", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_binding_duration_seconds",
            "From the whole body to the whole answer.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._allocations = Counter(
            f"{_PREFIX}_cpuset_allocations_total",
            "CPU sets given, by QoS class; again: to a pod that had one.",
            ["qos", "again"],
            registry=registry,
        )
        self._denials = Counter(
            f"{_PREFIX}_cpuset_denials_total", "Bindings denied, by reason.", ["reason"], registry=registry
        )
        self._conflicts = Counter(
            f"{_PREFIX}_cpuset_conflicts_total",
            "Ledgers that somebody else had changed when they were to be written.",
            registry=registry,
        )
        self._repairs = Counter(
            f"{_PREFIX}_cpuset_repairs_total",
            "What the reconciler did: dropped, entered, allocated, annotated; failed: what it could not.",
            ["what"],
            registry=registry,
        )
        self._held = Gauge(
            f"{_PREFIX}_cpuset_cpus",
            "CPUs held, by QoS class, over all nodes.",
            ["qos"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._free = Gauge(
            f"{_PREFIX}_cpuset_free_cpus",
            "CPUs that could be given away.",
            ["node"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._whole = Gauge(
            f"{_PREFIX}_cpuset_free_whole_cores",
            "Cores of which all CPUs are free.",
            ["node"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        for outcome in OUTCOMES:
            self._bindings.labels(outcome)
        self._children = {
            name: (self._bindings.labels(name), self._seconds.labels(name)) for name in OUTCOMES
        }
        self._nodes: set[str] = set()

    def answered(self, outcome: str, seconds: float) -> None:
        """Count an answer to a review."""
        count, duration = self._children[outcome]
        count.inc()
        duration.observe(seconds)

    def allocated(self, qos: str, *, again: bool) -> None:
        """Count a set that was given."""
        self._allocations.labels(qos, "true" if again else "false").inc()

    def denied(self, reason: str) -> None:
        """Count a denial."""
        self._denials.labels(reason).inc()

    def conflict(self) -> None:
        """Count a ledger that was not the version it was taken for."""
        self._conflicts.inc()

    def repaired(self, what: str) -> None:
        """Count something that was put right."""
        self._repairs.labels(what).inc()

    def observe(self, held: dict[str, int], nodes: Iterable[tuple[str, Counts]]) -> None:
        """Take over what all ledgers say: CPUs by class, and what is left of each node."""
        for qos in {*held, str(QoSClass.LSE), str(QoSClass.LSR)}:
            self._held.labels(qos or "none").set(held.get(qos, 0))
        seen = set()
        for node, counts in nodes:
            seen.add(node)
            self._free.labels(node).set(counts.free)
            self._whole.labels(node).set(counts.whole_cores_free)
        for node in self._nodes - seen:
            self._free.remove(node)
            self._whole.remove(node)
        self._nodes = seen
