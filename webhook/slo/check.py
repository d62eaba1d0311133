"""What is wrong with Koordinator's ConfigMap: values, selectors, and nodes that two entries select.

Reasons are those of Koordinator's own webhook, spelled as there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from itertools import combinations
from typing import Any, Final, NamedTuple

from webhook.capacity.policies import MAX_USAGE_REQUEST, REQUEST, USAGE
from webhook.capacity.sloconfig import COLOCATION_CONFIG, json_object, listed_entries
from webhook.capacity.strategy import StrategyError, read_layer
from webhook.pods.selectors import Requirement, Selector, SelectorError, compile_selector, satisfiable
from webhook.pods.text import shown
from webhook.slo.eviction import eviction_of
from webhook.slo.keys import KEYS, THRESHOLD_CONFIG
from webhook.slo.nodeslo import read_nodeslo
from webhook.slo.strategies import read_key

_OTHERS: Final = ("cpu-normalization-config", "resource-amplification-config")
"""Keys of Koordinator's that we do not read."""

_ENTRIES: Final = {COLOCATION_CONFIG: "nodeConfigs", **{name: key.nodes for name, key in KEYS.items()}}
_POLICIES: Final = {
    "cpuCalculatePolicy": (USAGE, MAX_USAGE_REQUEST),
    "memoryCalculatePolicy": (USAGE, MAX_USAGE_REQUEST, REQUEST),
}
MOST_ENTRIES: Final = 300
"""Of a key, that are compared with each other, which takes a second with 10,000 nodes."""

_NODES_SHOWN: Final = 3
_WHOLE: Final = 100
_REMEDY: Final = "let their nodeSelectors exclude each other"


class Reason(StrEnum):
    """Why a ConfigMap is refused."""

    PARSE = "ParseConfigFail"
    PARAMETER = "ConfigParamInvalid"
    OVERLAP = "NodeStrategiesOverlap"
    CONFLICT = "ExistNodeConfict"


class Problem(NamedTuple):
    """One thing that is wrong; the message has its place and the remedy."""

    reason: Reason
    message: str


class Report(NamedTuple):
    """All that is to be said of a ConfigMap: what has to be changed, and what is merely doubtful."""

    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


class _Named(NamedTuple):
    """An entry of nodes, as messages name it."""

    at: str
    name: str
    selector: Selector

    def __str__(self) -> str:
        return f"{self.at} ({self.name})" if self.name else self.at


def check_configmap(
    data: Mapping[str, Any], nodes: Mapping[str, Mapping[str, str]], before: Mapping[str, Any] | None = None
) -> Report:
    """Check the data of a ConfigMap.

    Args:
        data: its texts by key.
        nodes: labels of the nodes there are, by name.
        before: the data that stands there: keys that it has already are not checked again.
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    for name, text in data.items():
        if (before is not None and before.get(name) == text) or not text:
            continue
        if not isinstance(text, str):
            problems.append(Problem(Reason.PARSE, f"{name}: {shown(text)} is no text: write {name}: |"))
        elif name in _ENTRIES:
            _check_key(name, text, nodes, problems, warnings)
        elif name not in _OTHERS and (close := get_close_matches(name, (*_ENTRIES, *_OTHERS), 1)):
            warnings.append(f"{name}: is unknown; is {close[0]} meant?")
    return Report(tuple(problems), tuple(warnings))


def _check_key(
    name: str,
    text: str,
    nodes: Mapping[str, Mapping[str, str]],
    problems: list[Problem],
    warnings: list[str],
) -> None:
    try:
        value = json_object(text, name)
        raw_entries = listed_entries(value, _ENTRIES[name], name)
    except StrategyError as error:
        problems.append(Problem(Reason.PARSE, str(error)))
        return
    found = _colocation(value) if name == COLOCATION_CONFIG else _for_agents(name, text)
    try:
        for problem, message in found:
            if problem:
                problems.append(Problem(Reason.PARAMETER, message))
            else:
                warnings.append(message)
    except StrategyError as error:
        problems.append(Problem(Reason.PARAMETER, str(error)))
    entries: list[_Named] = []
    for at, raw in raw_entries:
        try:
            selector = compile_selector(raw.get("nodeSelector"), f"{at}.nodeSelector")
        except SelectorError as error:
            problems.append(Problem(Reason.PARAMETER, str(error)))
            continue
        if not selector.requirements:
            message = f"{at}.nodeSelector: names no label; what holds for every node stands above"
            problems.append(Problem(Reason.PARAMETER, message))
            continue
        entries.append(_Named(at, str(raw.get("name") or ""), selector))
    counted = Counter(each.name for each in entries if each.name)
    warnings.extend(
        f"{name}: {number} entries are named {each}" for each, number in counted.items() if number > 1
    )
    if len(entries) > MOST_ENTRIES:
        warnings.append(f"{name}: of {len(entries)} entries, the first {MOST_ENTRIES} were compared")
    problems.extend(_together(entries[:MOST_ENTRIES], nodes))


def _colocation(value: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yield whether it is a problem, and what it is."""
    layers = [(COLOCATION_CONFIG, value), *listed_entries(value, "nodeConfigs", COLOCATION_CONFIG)]
    for at, raw in layers:
        layer = read_layer(raw, at)
        values = layer.values
        yield from ((True, each) for each in layer.problems)
        yield from ((False, each) for each in layer.notes)
        if (threshold := values.get("resourceDiffThreshold", 0)) > 1:
            yield True, f"{at}.resourceDiffThreshold: {threshold} is more than 1, which is all of it"
        for field, known in _POLICIES.items():
            if (policy := values.get(field, USAGE)) not in ("", *known):
                of = ", ".join(known)
                yield (
                    False,
                    f"{at}.{field}: {shown(policy)} is unknown and counts as usage: write one of {of}",
                )
        for field in ("cpuReclaimThresholdPercent", "memoryReclaimThresholdPercent"):
            if (percent := values.get(field, 0)) > _WHOLE:
                yield False, f"{at}.{field}: {percent} offers more than the node has"


def _for_agents(name: str, text: str) -> Iterator[tuple[bool, str]]:
    found = read_key(name, text)
    yield from ((True, each) for each in found.problems)
    yield from ((False, each) for each in found.notes)
    if name == THRESHOLD_CONFIG:
        key = KEYS[name]
        for at, value in (
            (key.cluster, found.cluster),
            *((f"{key.nodes}, entry {i} of those used", each.value) for i, each in enumerate(found.entries)),
        ):
            yield from ((False, each) for each in _evictions(value, f"{name}.{at}"))


def _evictions(strategy: object, at: str) -> tuple[str, ...]:
    """Return what of a strategy that can be read does nothing."""
    spec = {KEYS[THRESHOLD_CONFIG].spec: strategy}
    return eviction_of(read_nodeslo(spec).threshold, at).findings


def _together(entries: list[_Named], nodes: Mapping[str, Mapping[str, str]]) -> Iterator[Problem]:
    """Yield pairs of entries that select one node: only the first of them counts there."""
    overlapping = set()
    for first, second in combinations(entries, 2):
        if _covers(first.selector, second.selector) or _covers(second.selector, first.selector):
            overlapping.add((first, second))
            yield Problem(Reason.OVERLAP, f"{first} and {second} select the same nodes: {_REMEDY}")
    both: dict[tuple[_Named, _Named], list[str]] = {}
    for name, labels in sorted(nodes.items()):
        for pair in combinations([each for each in entries if each.selector.matches(labels)], 2):
            if pair not in overlapping:
                both.setdefault(pair, []).append(name)
    for (first, second), names in both.items():
        more = f" and {len(names) - _NODES_SHOWN} more" if len(names) > _NODES_SHOWN else ""
        where = ", ".join(names[:_NODES_SHOWN]) + more
        yield Problem(Reason.CONFLICT, f"{first} and {second} both select {where}: {_REMEDY}")


def _covers(wide: Selector, narrow: Selector) -> bool:
    """Whether a node that has no labels but those that ``narrow`` asks for can match ``wide``, too."""
    named = {each.key for each in narrow.requirements if each.operator in ("In", "Exists")}
    absent = tuple(
        Requirement(each.key, "DoesNotExist") for each in wide.requirements if each.key not in named
    )
    return satisfiable(wide.requirements + narrow.requirements + absent)
