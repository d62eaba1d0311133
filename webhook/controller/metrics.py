"""The controller's metrics."""

from collections import Counter as Count
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webhook.capacity.estimate import Capacity, State
from webhook.process.metrics import NAMESPACE
from webhook.protocol import COLOCATION_RESOURCES

_PREFIX = f"{NAMESPACE}_capacity"


class CapacityMetrics:
    """Counters of writes, and whether this replica makes them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        publishes = "Whether this replica publishes figures."
        self.leader = Gauge(f"{_PREFIX}_publishes", publishes, registry=registry)
        self.writes = Counter(f"{_PREFIX}_writes", "Writes of the status of nodes.", registry=registry)
        self.nodeslo_writes = Counter(f"{_PREFIX}_nodeslo_writes", "Writes of NodeSLOs.", registry=registry)
        self.refused = Counter(
            f"{_PREFIX}_refused_writes",
            "Writes of either that were refused, by why: conflict is a field that somebody else owns.",
            ["why"],
            registry=registry,
        )


class OfferedCollector(Collector):
    """What nodes offer in sum, added up when somebody asks."""

    def __init__(self, capacities: Callable[[], Iterable[Capacity]]) -> None:
        """Take what returns the capacities of all nodes; it is called from another thread."""
        self._capacities = capacities

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield nodes by state, and sums by resource."""
        states, sums = dict.fromkeys(State, 0), dict.fromkeys(sorted(COLOCATION_RESOURCES), 0)
        for capacity in self._capacities():
            states[capacity.state] += 1
            for name, figure in capacity.figures.items():
                sums[name] += figure.offered or 0
        nodes = GaugeMetricFamily(
            f"{_PREFIX}_nodes", "Nodes by the state of their figures.", labels=["state"]
        )
        offered = GaugeMetricFamily(
            f"{_PREFIX}_offered", "What is offered in sum: milli-cores, bytes.", labels=["resource"]
        )
        for state, number in states.items():
            nodes.add_metric([state], number)
        for name, value in sums.items():
            offered.add_metric([name], value)
        yield from (nodes, offered)


class EvictionMetrics:
    """Counters of evictions, and how many nodes ask."""

    STATES: Final = ("served", "waiting", "unmet", "invalid")
    """What became of what nodes ask for: enough goes; figures after an eviction are awaited; see the log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register them."""
        prefix = f"{NAMESPACE}_eviction"
        self.leader = Gauge(f"{prefix}_acts", "Whether this replica evicts pods.", registry=registry)
        self.evictions = Counter(
            f"{NAMESPACE}_evictions",
            "Evictions that were tried, by form and outcome: evicted; protected by a budget; gone; refused.",
            ["form", "outcome"],
            registry=registry,
        )
        self._requests = Gauge(
            f"{prefix}_requests", "Nodes that ask, by what becomes of it.", ["state"], registry=registry
        )
        self.observe(())

    def observe(self, states: Iterable[str]) -> None:
        """Bring the gauge up to date."""
        found = Count(states)
        for state in self.STATES:
            self._requests.labels(state).set(found[state])
