"""The metrics of suppression."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.agent.metrics import PREFIX, gauges
from webhook.agent.plan.target import PERIOD
from webhook.agent.suppression.suppressor import Suppressor
from webhook.slo.keys import CPUSET


class SuppressionCollector(Collector):
    """What is decided, put together when somebody scrapes it; nothing while nothing is suppressed."""

    def __init__(self, suppressor: Suppressor) -> None:
        """Take what is asked; register it."""
        self._suppressor = suppressor

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        state = self._suppressor.state
        if state is None:
            return
        decision, budget = state
        rounds = CounterMetricFamily(f"{PREFIX}_suppression_rounds", "Seconds in which it was decided.")
        rounds.add_metric((), self._suppressor.rounds)
        yield rounds
        values: dict[str, tuple[str, float]] = {
            "held": ("Whether BE pods keep what they have, for want of figures.", budget is None)
        }
        if budget is not None:
            values["budget_cores"] = ("What BE pods may use, by the NodeSLO.", budget.amount / 1000)
            values["others_cores"] = ("What counts as used by others.", budget.others / 1000)
        if decision is not None and decision.policy == CPUSET:
            values["cpus"] = ("CPUs on which BE pods may run.", len(decision.cpus))
        elif decision is not None:
            values["quota_cores"] = ("The quota of all BE pods together.", decision.quota / PERIOD)
        yield from gauges({f"suppression_{name}": each for name, each in values.items()})
