"""What the model reads out of Nodes, Pods and NodeMetrics, exact.

Written from the specification alone; nothing of the webhook is imported, so that one misreading does not hide
another. CPU is in milli-cores and memory in bytes, as fractions.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

Object = Mapping[str, Any]
CPU, MEMORY = "cpu", "memory"
BOTH = (CPU, MEMORY)
PER_UNIT = {CPU: 1000, MEMORY: 1}
"""Milli-cores of a core, bytes of a byte."""

PROD, MID, BATCH, FREE = "koord-prod", "koord-mid", "koord-batch", "koord-free"
COLOCATED = {of: {each: f"kubernetes.io/{of[6:]}-{each}" for each in BOTH} for of in (BATCH, MID)}
_BANDS = {PROD: (9000, 9999), MID: (7000, 7999), BATCH: (5000, 5999), FREE: (3000, 3999)}
_NUMBER = re.compile(r"([-+]?[0-9]*\.?[0-9]*)(?:([eE][-+]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)$")
_SUFFIX = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000)}
_SUFFIX |= {letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)}
_SUFFIX |= {f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)}


class UnreadableError(ValueError):
    """A quantity that is none, or less than nothing."""


def quantity(raw: object) -> Fraction:
    """Return a quantity, rounded up to a billionth as Kubernetes keeps it."""
    found = _NUMBER.match(str(raw))
    if found is None or not any(letter.isdigit() for letter in found[1]):
        raise UnreadableError(raw)
    power = Fraction(f"1{found[2]}" if found[2] else 1)
    value = Fraction(found[1]) * power * _SUFFIX.get(found[3], Fraction(1))
    value = Fraction(math.ceil(value * 10**9), 10**9)
    if not 0 <= value < 2**63:
        raise UnreadableError(raw)
    return value


def moment(raw: object) -> dt.datetime | None:
    """Return a time with its zone."""
    try:
        found = dt.datetime.fromisoformat(str(raw))
    except ValueError:
        return None
    return found if found.tzinfo else None


class Amount(dict[str, Fraction]):
    """CPU and memory; what is absent is nothing."""

    def __missing__(self, _: str) -> Fraction:
        """Return nothing."""
        return Fraction(0)


def amount(resources: Object | None) -> Amount:
    """Return cpu and memory of a map of quantities, as far as they are there."""
    of = resources or {}
    return Amount({each: quantity(of[each]) * PER_UNIT[each] for each in BOTH if of.get(each) is not None})


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of each."""
    listed = list(amounts)
    return Amount({each: sum((of[each] for of in listed), Fraction(0)) for each in BOTH})


class Pod(NamedTuple):
    """A pod that is bound."""

    key: str
    active: bool
    of: str
    qos: str
    requests: Amount
    colocated: Mapping[str, int]
    started: dt.datetime | None
    zones: tuple[int, ...]

    @property
    def kept(self) -> bool:
        """Whether batch work must leave it what it needs."""
        return self.active and self.of not in (BATCH, FREE)


def read_pod(obj: Object) -> Pod:
    """Read a v1 Pod."""
    meta, spec, status = (obj.get(each) or {} for each in ("metadata", "spec", "status"))
    labels = meta.get("labels") or {}
    qos = labels.get("koordinator.sh/qosClass")
    if qos not in ("LSE", "LSR", "LS", "BE", "SYSTEM"):
        native = status.get("qosClass") or _computed(spec)
        qos = {"BestEffort": "BE", "Guaranteed": "LSR", "Burstable": "LS"}[native]
    stated = labels.get("koordinator.sh/priority-class")
    of: str | None = stated if stated in _BANDS else None
    if stated is None and (value := spec.get("priority")) is not None:
        of = next((name for name, (low, high) in _BANDS.items() if low <= value <= high), None)
    names = [name for kinds in COLOCATED.values() for name in kinds.values()]
    noted = meta.get("annotations") or {}
    given = json.loads(noted.get("scheduling.koordinator.sh/resource-status") or "{}")
    return Pod(
        f"{meta.get('namespace', '')}/{meta['name']}",
        status.get("phase") in ("Running", "Pending"),
        of or (BATCH if qos == "BE" else PROD),
        qos,
        Amount({each: _request(spec, each) * PER_UNIT[each] for each in BOTH}),
        {name: math.ceil(_request(spec, name)) for name in names if _request(spec, name)},
        moment(status.get("startTime") or meta.get("creationTimestamp")),
        tuple(each["node"] for each in given.get("numaNodeResources") or ()),
    )


def _request(spec: Object, name: str) -> Fraction:
    """Return what the scheduler counts: containers, init containers, sidecars, overhead, pod level."""

    def of(resources: Object | None, section: str = "requests") -> Fraction:
        raw = ((resources or {}).get(section) or {}).get(name)
        return Fraction(0) if raw is None else Fraction(math.ceil(quantity(raw) * 1000), 1000)

    sidecars, most = Fraction(0), Fraction(0)
    for each in spec.get("initContainers") or ():
        most = max(most, sidecars + of(each.get("resources")))
        sidecars += of(each.get("resources")) if each.get("restartPolicy") == "Always" else 0
    running = sum((of(each.get("resources")) for each in spec.get("containers") or ()), sidecars)
    whole = max(running, most)
    if name in BOTH and name in ((spec.get("resources") or {}).get("requests") or {}):
        whole = of(spec["resources"])
    return whole + of(spec, "overhead")


def _computed(spec: Object) -> str:
    """Return the QoS class that Kubernetes gives by requests and limits."""
    everyone = (*(spec.get("initContainers") or ()), *spec["containers"])
    resources = [each.get("resources") or {} for each in everyone]
    if spec.get("resources"):
        resources = [spec["resources"]]
    found = [({**(each.get("requests") or {})}, {**(each.get("limits") or {})}) for each in resources]
    if not any(each in of for pair in found for of in pair for each in BOTH):
        return "BestEffort"
    same = all(
        limits.get(each) and requests.get(each, limits[each]) == limits[each]
        for requests, limits in found
        for each in BOTH
    )
    return "Guaranteed" if same else "Burstable"


class Metric(NamedTuple):
    """What was measured on a node; ``broken`` if it cannot be relied on."""

    time: dt.datetime | None
    measured: bool
    broken: bool
    node: Amount | None
    system: Amount
    hosts: Mapping[str, Amount]
    pods: Mapping[str, tuple[Amount, str]]
    reclaimable: Amount
    peak: Amount
    window: Mapping[str, Amount]
    minutes: Fraction


def read_metric(obj: Object | None) -> Metric:
    """Read a NodeMetric; None is one that was never filled."""
    status = (obj or {}).get("status") or {}
    node = status.get("nodeMetric") or {}
    broken = False
    whole, system, hosts = None, Amount(), {PROD: Amount(), MID: Amount()}
    try:
        usage = amount((node.get("nodeUsage") or {}).get("resources"))
        whole = usage if set(usage) == set(BOTH) else None
        system = amount((node.get("systemUsage") or {}).get("resources"))
        for each in status.get("hostApplicationMetric") or ():
            use = amount((each.get("usage") or {}).get("resources"))
            if each.get("priority") in hosts:
                hosts[each["priority"]] = total((hosts[each["priority"]], use))
    except UnreadableError:
        broken = True
    minutes, window = _longest(node.get("aggregatedNodeUsages") or ())
    return Metric(
        moment(status.get("updateTime")),
        status.get("nodeMetric") is not None,
        broken,
        whole,
        system,
        hosts,
        dict(_usages(status.get("podsMetric") or ())),
        amount(((status.get("prodReclaimableMetric") or {}).get("resource") or {}).get("resources")),
        amount(((status.get("prodPeakMetric") or {}).get("resource") or {}).get("resources")),
        window,
        minutes,
    )


def _usages(listed: Iterable[Object]) -> Iterator[tuple[str, tuple[Amount, str]]]:
    for each in listed:
        key = f"{each.get('namespace', '')}/{each.get('name', '')}"
        try:
            yield key, (amount((each.get("podUsage") or {}).get("resources")), each.get("priority") or "")
        except UnreadableError:
            continue


def _longest(listed: Iterable[Object]) -> tuple[Fraction, Mapping[str, Amount]]:
    """Return minutes and statistics of the longest window that has a mean."""
    best: tuple[Fraction, Mapping[str, Amount]] = (Fraction(0), {})
    for each in listed:
        parts = re.findall(r"([0-9.]+)(h|m|s)", each["duration"])
        scale = {"h": Fraction(60), "m": Fraction(1), "s": Fraction(1, 60)}
        minutes = sum((Fraction(number) * scale[unit] for number, unit in parts), Fraction(0))
        usage = {name: amount((of or {}).get("resources")) for name, of in (each.get("usage") or {}).items()}
        if usage.get("avg") and minutes >= best[0]:
            best = (minutes, usage)
    return best


class Node(NamedTuple):
    """A node, or a NUMA zone of one."""

    name: str
    capacity: Amount
    kubelet: Amount
    annotated: Amount
    others: Amount
    others_known: bool
    ratio: Fraction
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def read_node(obj: Object) -> Node:
    """Read a v1 Node."""
    meta, status = obj["metadata"], obj.get("status") or {}
    notes = meta.get("annotations") or {}
    capacity, allocatable = amount(status.get("capacity")), amount(status.get("allocatable"))
    annotated = Amount()
    try:
        reservation = _json(notes.get("node.koordinator.sh/reservation"))
        annotated = amount(reservation.get("resources"))
        if cpus := reservation.get("reservedCPUs"):
            annotated[CPU] = Fraction(1000 * len(_cpus(cpus)))
    except ValueError:
        annotated = Amount()
    others, known = Amount(), True
    try:
        for each in _json(notes.get("node.koordinator.sh/thirdPartyAllocations")).get("allocations") or ():
            if each.get("priority") != BATCH:
                continue
            of = each.get("resources") or {}
            for resource, name in COLOCATED[BATCH].items():
                try:
                    held = Amount({resource: quantity(of[name])}) if of.get(name) is not None else Amount()
                    others = total((others, held))
                except UnreadableError:  # what can be read is held all the same
                    known = False
    except ValueError:
        others, known = Amount(), False
    return Node(
        meta["name"],
        capacity,
        Amount({each: max(Fraction(0), capacity[each] - allocatable[each]) for each in capacity}),
        annotated,
        others,
        known,
        _ratio(notes.get("node.koordinator.sh/cpu-normalization-ratio")),
        meta.get("labels") or {},
        notes,
    )


def _json(text: str | None) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(text)
    return value


def _cpus(text: str) -> set[int]:
    """Return the CPUs of a list such as ``0-3,8``."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def read_zones(obj: Object) -> dict[str, tuple[int, Amount]]:
    """Read a NodeResourceTopology: number and capacity of each zone that has cpu or memory, by name."""
    found = {}
    for zone in obj.get("zones") or ():
        sizes = {each["name"]: each.get("capacity") for each in zone.get("resources") or ()}
        if capacity := amount(sizes):
            found[zone["name"]] = (int(zone["name"].partition("-")[2]), capacity)
    return found


def _ratio(text: str | None) -> Fraction:
    try:
        ratio = Fraction(text or "1")
    except ValueError:
        return Fraction(1)
    return max(Fraction(1), ratio) if ratio <= 5 else Fraction(1)
