"""Why a node offers what it does: the sum of each figure, pod by pod, and what would change it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from webhook.capacity.amounts import UNIT, Step, Term, total
from webhook.capacity.demand import Share, shares
from webhook.capacity.estimate import FLOOR, Capacity, Figure, State
from webhook.capacity.extension import BY_THRESHOLD, Policy
from webhook.capacity.peak import Source, peak_shares, source_of
from webhook.capacity.policies import MAX_USAGE_REQUEST, REQUEST
from webhook.capacity.situation import Situation
from webhook.capacity.zones import Zones, zone_figures
from webhook.protocol import BATCH, CPU, MEMORY, MID, NATIVE_RESOURCES, TRANSLATION

PODS: Final = frozenset({"pods", "online"})
"""The terms that are sums over pods."""

_BOUNDS: Final = frozenset({Step.AT_MOST, Step.AT_LEAST})
_REMEDIES: Final = {
    State.OFF: "set enable in colocation-config, for the cluster and for this node",
    State.HELD: "a newer NodeMetric: look at the agent or koordlet on the node",
    State.WITHDRAWN: "a NodeMetric of this node: look at the agent or koordlet on it",
}

_UNPREDICTED: Final = (
    "a prodPeakMetric in the NodeMetric, which an agent with each pod's history writes, is more exact than "
    "the node's percentiles"
)


@dataclass(frozen=True, slots=True)
class PodShare:
    """One pod's part of the term for pods; ``amount`` in milli-cores or bytes."""

    namespace: str
    name: str
    qos: str
    amount: float
    why: str


@dataclass(frozen=True, slots=True)
class Sum:
    """One resource.

    Attributes:
        resource: such as ``kubernetes.io/batch-cpu``.
        offered: milli-cores or bytes; None: taken off the node.
        requested: by bound pods, likewise.
        used: by batch pods, likewise; 0 for mid.
        terms: step, name, amount and why of each, amounts in milli-cores or bytes; without bounds that
            change nothing.
        pods: the parts of the term that is a sum over pods, the greatest first.
    """

    resource: str
    offered: int | None
    requested: int
    used: float
    terms: tuple[tuple[str, str, float, str], ...]
    pods: tuple[PodShare, ...]


@dataclass(frozen=True, slots=True)
class ZoneSum:
    """One resource of a NUMA zone; fields as of `Sum`."""

    zone: str
    resource: str
    offered: int
    terms: tuple[tuple[str, str, float, str], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A node's figures, with everything that led to them; those of zones are published nowhere."""

    node: str
    state: str
    why: str
    policy: str
    strategy: tuple[str, ...]
    metric_age_seconds: float | None
    sums: tuple[Sum, ...]
    zones: tuple[ZoneSum, ...]
    changes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "node": self.node,
            "state": self.state,
            "why": self.why,
            "policy": self.policy,
            "strategy": list(self.strategy),
            "metricAgeSeconds": self.metric_age_seconds,
            "resources": [
                {
                    "resource": each.resource,
                    "offered": each.offered,
                    "requested": each.requested,
                    "used": each.used,
                    "terms": _json(each.terms),
                    "pods": [
                        {field: getattr(pod, field) for field in PodShare.__slots__} for pod in each.pods
                    ],
                }
                for each in self.sums
            ],
            "zones": [
                {
                    "zone": each.zone,
                    "resource": each.resource,
                    "offered": each.offered,
                    "terms": _json(each.terms),
                }
                for each in self.zones
            ],
            "changes": list(self.changes),
            "warnings": list(self.warnings),
        }


def explained(at: Situation, capacity: Capacity, topology: Zones) -> Explanation:
    """Return the explanation of an estimate, from what the estimate was made of."""
    applied = capacity.state is State.APPLIED
    figures = zone_figures(at, topology.zones) if applied else ()
    demand = at.demand
    sums = []
    for of in (BATCH, MID):
        for resource in NATIVE_RESOURCES:
            name = TRANSLATION[of][resource]
            figure, unit = capacity.figures[name], UNIT[resource]
            kept = list(_kept(at, resource)) if _sums_pods(figure) else []
            sums.append(
                Sum(
                    name,
                    figure.offered,
                    demand.floor.get(name, 0),
                    _number(demand.batch_used.of(resource), unit) if of == BATCH else 0,
                    _shown(figure.terms, unit),
                    tuple(kept),
                )
            )
    return Explanation(
        at.node.name,
        capacity.state,
        capacity.why,
        capacity.policy,
        at.strategy.source,
        None if capacity.age is None else round(capacity.age.total_seconds(), 3),
        tuple(sums),
        tuple(
            ZoneSum(each.zone, each.resource, each.offered, _shown(each.terms, UNIT[native]))
            for each in figures
            for native in NATIVE_RESOURCES
            if each.resource == TRANSLATION[BATCH][native]
        ),
        tuple(_changes(at, capacity)),
        (*capacity.warnings, *(f"NodeResourceTopology: {each}" for each in topology.findings)),
    )


def _shown(terms: tuple[Term, ...], unit: int) -> tuple[tuple[str, str, float, str], ...]:
    """Return terms in milli-cores or bytes, without bounds that change nothing."""
    return tuple((term.step, term.name, _amount(term, unit), term.why) for term in _effective(terms))


def _json(terms: tuple[tuple[str, str, float, str], ...]) -> list[dict[str, Any]]:
    return [dict(zip(("step", "name", "amount", "why"), term, strict=True)) for term in terms]


def _sums_pods(figure: Figure) -> bool:
    return any(term.name in PODS for term in figure.terms)


def _kept(at: Situation, resource: str) -> Iterator[PodShare]:
    """Yield what is kept for each pod, by the policy of the resource."""
    of = at.strategy.of(resource).calculate_policy
    policy = at.strategy.extension.policy
    koordinator = policy is Policy.KOORDINATOR
    found: list[Share]
    if policy is Policy.PEAK:
        found = list(peak_shares(at, resource))
    elif koordinator and of == REQUEST and resource == MEMORY:
        found = [Share(pod.key, pod.qos, pod.request, "requests it") for pod in at.pods if pod.kept]
    else:
        greater = koordinator and of == MAX_USAGE_REQUEST
        found = [most if greater else used for used, most in shares(at.pods, at.metric)]
    for each in sorted(found, key=lambda each: (-each.amounts.of(resource), each.key)):
        namespace, name = each.key
        amount = _number(each.amounts.of(resource), UNIT[resource])
        yield PodShare(namespace, name, each.qos, amount, each.why)


def _changes(at: Situation, capacity: Capacity) -> Iterator[str]:
    """Yield what would change the figures of batch resources, the nearest cause first."""
    if remedy := _REMEDIES.get(capacity.state):
        yield remedy
        return
    for resource in NATIVE_RESOURCES:
        figure = capacity.figures[TRANSLATION[BATCH][resource]]
        label = TRANSLATION[BATCH][resource].partition("/")[2]
        for term in _effective(figure.terms):
            if term.name == FLOOR and term.step is Step.AT_LEAST:
                yield f"{label}: is at its floor: fewer batch pods on the node would let it fall"
            elif term.step is Step.AT_MOST:
                yield f"{label}: is limited by {term.name}: {term.why}"
        policy = at.strategy.extension.policy
        if policy is Policy.PEAK and source_of(at, resource) is not Source.PREDICTION:
            yield f"{label}: {_UNPREDICTED}"
        if policy in BY_THRESHOLD:
            ten = at.node.capacity.of(resource) // 10 // UNIT[resource]
            shown = f"{ten} milli-cores" if resource == CPU else f"{ten / 2**30:.1f}Gi"
            yield f"{label}: ten points of {resource}ReclaimThresholdPercent are {shown}"


def _effective(terms: tuple[Term, ...]) -> Iterator[Term]:
    """Yield the terms of a sum without the bounds that change nothing."""
    for i, term in enumerate(terms):
        if term.step not in _BOUNDS or total(terms[:i]) != total(terms[: i + 1]):
            yield term


def _amount(term: Term, unit: int) -> float:
    return term.amount / 10**9 if term.step is Step.TIMES else _number(term.amount, unit)


def _number(amount: int, unit: int) -> float:
    """Return an amount in its unit: a whole number where it is one."""
    return amount // unit if amount % unit == 0 else amount / unit
