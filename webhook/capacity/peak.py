"""The policy peak: what online pods are predicted to need at most is kept from batch work at once.

A prediction of the node's agent (prodPeakMetric) is taken where there is one. Else the greater of
two estimates from the node's own history: N-sigma and the highest percentile that was seen, both as
a rise above what pods use. A pod counts with its limit, which is the greater of use and request,
while it is younger than two hours, and so does every pod where there is no history at all.

Source: "Take it to the limit" (EuroSys 2021), whose predictor *max* is the greater of N-sigma and the
sum of each pod's percentiles. A NodeMetric has percentiles of the node only; the node's stand for it.
"""

import datetime as dt
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from webhook.capacity.amounts import Amounts, Step, Term
from webhook.capacity.demand import Share, counted, share_of
from webhook.capacity.situation import Situation, before_pods, bounds
from webhook.protocol import MID

SIGMAS: Final = 5
COLD: Final = dt.timedelta(hours=2)
"""A pod that is younger has too few samples: it counts with its limit."""

_NORMAL: Final = {"p90": 12_816, "p95": 16_449, "p99": 23_263}
"""Standard deviations above the mean of each percentile of a normal distribution, times 10,000."""

_COLD_WHY: Final = "younger than two hours: use or request, whichever is more"
_NO_HISTORY: Final = "no history: use or request, whichever is more"


class Source(Enum):
    """Where a peak is taken from."""

    PREDICTION = auto()
    HISTORY = auto()
    NOTHING = auto()


class _Part(NamedTuple):
    """What is kept for one pod, and whether a rise above it is foreseen by the source."""

    key: tuple[str, str]
    qos: str
    amount: int
    most: int
    settled: bool
    why: str


def peak_terms(at: Situation, resource: str) -> list[Term]:
    """Return the sum of what batch work may have of ``cpu`` or ``memory``."""
    of = at.strategy.of(resource)
    parts = list(_parts(at, resource))
    rise, why = _rise(at, resource, parts)
    return [
        *before_pods(at, resource, of),
        Term(Step.MINUS, "pods", sum(part.amount for part in parts), "used by prod and mid pods"),
        Term(Step.MINUS, "peak", rise, why),
        *bounds(at, resource, of),
    ]


def peak_shares(at: Situation, resource: str) -> Iterator[Share]:
    """Yield what is kept for each pod, without the rise to the peak of all together."""
    for part in _parts(at, resource):
        yield Share(part.key, part.qos, Amounts(**{resource: part.amount}), part.why)


def source_of(at: Situation, resource: str) -> Source:
    """Return where the peak of ``cpu`` or ``memory`` is taken from."""
    if at.metric.prod_peak.of(resource):
        return Source.PREDICTION
    return Source.HISTORY if _above_average(at, resource) else Source.NOTHING


def _above_average(at: Situation, resource: str) -> dict[str, int]:
    """Return how far each percentile of the node's use was above its mean; nothing without a history."""
    history = at.metric.history
    average = history.usage.get("avg", {}).get(resource) if history else None
    if history is None or average is None:
        return {}
    known = {name: history.usage.get(name, {}).get(resource) for name in _NORMAL}
    return {name: max(0, value - average) for name, value in known.items() if value is not None}


def _parts(at: Situation, resource: str) -> Iterator[_Part]:
    source = source_of(at, resource)
    for pod, key, measured in counted(at.pods, at.metric):
        if pod is None:
            amount = measured.usage.of(resource) if measured else 0
            settled = source is Source.PREDICTION and measured is not None and measured.priority_class != MID
            yield _Part(key, "", amount, amount, settled, "gone, until the next metric")
        elif pod.kept:
            used, most, why = share_of(pod, measured, at.metric.update_time)
            amount, greatest = used.of(resource), most.of(resource)
            settled = measured is not None
            if source is Source.PREDICTION:
                settled = settled and pod.priority_class != MID
            elif settled:
                cold = pod.started is None or at.now - pod.started < COLD
                if cold or source is Source.NOTHING:
                    amount, settled, why = greatest, False, _COLD_WHY if cold else _NO_HISTORY
            yield _Part(key, pod.qos, amount, greatest, settled, why)


def _rise(at: Situation, resource: str, parts: list[_Part]) -> tuple[int, str]:
    """Return how far the peak is above what pods use, and from where that is known."""
    source, metric = source_of(at, resource), at.metric
    used = sum(part.amount for part in parts if part.settled)
    if source is Source.PREDICTION:
        # The prediction is of prod pods and the system, and has its margin of 10 % in it.
        predicted = metric.prod_peak.of(resource) - metric.system_usage.of(resource)
        return max(0, predicted - used), "prodPeakMetric, above what they use"
    history = metric.history
    if source is Source.NOTHING or history is None:
        return 0, "no prodPeakMetric and no history"
    above = _above_average(at, resource)
    sigmas = max(SIGMAS * rise * 10_000 // _NORMAL[name] for name, rise in above.items())
    # What pods request bounds a guess, not what was seen.
    sigmas = min(sigmas, sum(part.most for part in parts if part.settled) - used)
    name, seen = max(above.items(), key=lambda each: each[1])
    over = f"of {history.minutes:g} min, no prodPeakMetric"
    if not any(part.settled for part in parts):
        return 0, f"no pod is old enough {over}"
    return (sigmas, f"{SIGMAS} sigma {over}") if sigmas > seen else (seen, f"{name} {over}")
