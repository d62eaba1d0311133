"""The metrics of raised quotas."""

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from webhook.agent.bursting.burster import Burster
from webhook.agent.metrics import gauges


class BurstCollector(Collector):
    """What is raised, put together when somebody scrapes it; nothing while no quota may be raised."""

    def __init__(self, burster: Burster) -> None:
        """Take what is asked."""
        self._burster = burster

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        state = self._burster.state
        if state is None:
            return
        values: dict[str, tuple[str, float]] = {
            "raised_quotas": ("Quotas above their limit.", sum(map(len, state.raised.values()))),
            "raised_cores": ("How far they are above it, together.", state.more / 1000),
        }
        if state.pool is not None:
            values["pool_used_cores"] = ("What is in use of the share pool.", state.pool.used / 1000)
            values["pool_cores"] = ("The share pool.", state.pool.size / 1000)
        yield from gauges({f"burst_{name}": each for name, each in values.items()})
