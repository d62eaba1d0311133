"""A NodeMetric, as load awareness reads it: the usage of node, system and pods, and recorded percentiles.

What cannot be read is not there. Amounts are vectors as in ``podload``.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from webhook.pods.moments import read_moment
from webhook.pods.pod import mapping, mappings
from webhook.pods.quantities import QuantityError, milli, text_of, units
from webhook.protocol import CPU, PROD
from webhook.scheduling.loadaware.loadsettings import AGGREGATIONS, Aggregation, aggregation
from webhook.scheduling.loadaware.podload import Vector

_REPORT_SECONDS: Final = 60


PodUsage = tuple[Vector, bool]
"""What a pod used, and whether it was measured as one of class prod.

A plain tuple of plain values: Python's garbage collector does not look at such again, and there are many.
"""


class NodeUsage(NamedTuple):
    """What was measured on a node.

    Attributes:
        update_time: when, in seconds since the epoch; 0: never.
        interval: seconds between two reports.
        measured: whether there is a measurement of the node at all.
        mean: what the node used; None: it does not say.
        system: what is no pod.
        recorded: usages by type and duration.
        pods: by namespace and name; without those for which there is no figure.
    """

    update_time: float
    interval: float
    measured: bool
    mean: Vector | None
    system: Vector
    recorded: Mapping[Aggregation, Vector]
    pods: Mapping[tuple[str, str], PodUsage]

    def usage(self, wanted: Aggregation | None) -> Vector | None:
        """Return the mean usage, or a recorded one.

        Over duration 0 the longest of the type, or the mean where there is none. One that was not recorded
        over exactly this duration is not known.
        """
        if wanted is None:
            return self.mean
        if wanted.duration:
            return self.recorded.get(wanted)
        longest = max((each for each in self.recorded if each.type == wanted.type), default=None)
        return self.mean if longest is None else self.recorded[longest]


def read_usage(obj: Mapping[str, Any], resources: tuple[str, ...]) -> NodeUsage:
    """Read a NodeMetric, of these resources."""
    status, spec = mapping(obj.get("status")), mapping(obj.get("spec"))
    node = status.get("nodeMetric")
    interval = mapping(spec.get("metricCollectPolicy")).get("reportIntervalSeconds")
    update_time = read_moment(status.get("updateTime"))
    return NodeUsage(
        update_time=update_time.timestamp() if update_time is not None else 0.0,
        interval=interval if isinstance(interval, int) and interval > 0 else _REPORT_SECONDS,
        measured=isinstance(node, Mapping),
        mean=_usage(mapping(node).get("nodeUsage"), resources),
        system=_usage(mapping(node).get("systemUsage"), resources) or (0,) * len(resources),
        recorded=dict(_recorded(mapping(node), resources)),
        pods=dict(_pods(status, resources)),
    )


def amount(of: Mapping[str, Any], resource: str) -> int:
    """Return a quantity of a map, cpu in milli-cores and all else in units, rounded up; 0 for none.

    A negative one, or one that cannot be read, is none.
    """
    raw = of.get(resource)
    if raw is None:
        return 0
    try:
        text = text_of(raw)
        return max(0, milli(text) if resource == CPU else units(text))
    except QuantityError:
        return 0


def _recorded(node: Mapping[str, Any], resources: tuple[str, ...]) -> Iterator[tuple[Aggregation, Vector]]:
    for each in mappings(node.get("aggregatedNodeUsages")):
        for kind in AGGREGATIONS:
            usage = _usage(mapping(each.get("usage")).get(kind), resources)
            if usage is None:
                continue
            try:
                over = aggregation(kind, each.get("duration"))
            except ValueError:
                continue
            if over is not None:
                yield _same(over), usage


@lru_cache(maxsize=256)
def _same(over: Aggregation) -> Aggregation:
    """Return one object for all nodes that record the same."""
    return over


def _pods(
    status: Mapping[str, Any], resources: tuple[str, ...]
) -> Iterator[tuple[tuple[str, str], PodUsage]]:
    for each in mappings(status.get("podsMetric")):
        usage = _usage(each.get("podUsage"), resources)
        if usage is not None:
            key = (str(each.get("namespace") or ""), str(each.get("name") or ""))
            yield key, (usage, each.get("priority") == PROD)


def _usage(raw: object, resources: tuple[str, ...]) -> Vector | None:
    """Return a ResourceMap's amounts; None where it has none of any resource."""
    of = mapping(mapping(raw).get("resources"))
    return tuple(amount(of, each) for each in resources) if of else None
