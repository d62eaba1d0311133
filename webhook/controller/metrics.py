"""The controller's metrics."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from webhook.capacity.estimate import Capacity, State
from webhook.process.metrics import NAMESPACE
from webhook.protocol import COLOCATION_RESOURCES


class CapacityMetrics:
    """Counters of writes, and gauges of what nodes offer in sum."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        prefix = f"{NAMESPACE}_capacity"

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{prefix}_{name}", text, labels, registry=registry)

        self.leader = gauge("publishes", "Whether this replica publishes figures.")
        self._nodes = gauge("nodes", "Nodes by the state of their figures.", "state")
        self._offered = gauge("offered", "What is offered in sum: milli-cores, bytes.", "resource")
        self.writes = Counter(f"{prefix}_writes", "Writes of the status of nodes.", registry=registry)
        self.nodeslo_writes = Counter(f"{prefix}_nodeslo_writes", "Writes of NodeSLOs.", registry=registry)
        self.refused = Counter(
            f"{prefix}_refused_writes",
            "Writes of either that were refused, by why: conflict is a field that somebody else owns.",
            ["why"],
            registry=registry,
        )

    def observe(self, found: Iterable[Capacity]) -> None:
        """Bring the gauges up to date."""
        states, sums = dict.fromkeys(State, 0), dict.fromkeys(sorted(COLOCATION_RESOURCES), 0)
        for capacity in found:
            states[capacity.state] += 1
            for name, figure in capacity.figures.items():
                sums[name] += figure.offered or 0
        for state, number in states.items():
            self._nodes.labels(state).set(number)
        for name, value in sums.items():
            self._offered.labels(name).set(value)
