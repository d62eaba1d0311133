"""The strategies of Koordinator's ConfigMap for agents, read, and the spec of the NodeSLO of a node.

Precedence, lowest first: defaults, the cluster's strategy, the first entry whose selector matches; objects
are merged field by field, lists are taken whole, and so are the applications of an entry.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from webhook.capacity.sloconfig import json_object, listed_entries
from webhook.capacity.strategy import StrategyError
from webhook.pods.selectors import Selector, SelectorError, compile_selector
from webhook.slo.keys import KEYS, Key
from webhook.slo.rules import Listed, Reading

_OF_ENTRY: Final = frozenset({"name", "nodeselector"})


class Entry(NamedTuple):
    """An entry of nodes: which they are, and what holds for them, the cluster's strategy merged in."""

    selector: Selector
    value: Any


@dataclass(frozen=True, slots=True)
class KeyStrategies:
    """What one key of the ConfigMap says.

    Attributes:
        cluster: for nodes that no entry selects, defaults included.
        entries: in their order.
        problems: values of entries that cannot be meant: the cluster's strategy holds there.
        left_out: entries whose selector cannot be used.
        notes: fields that are unknown, or written in another way.
    """

    cluster: Any
    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strategies:
    """The ConfigMap's keys for agents.

    Attributes:
        keys: what each says, by its name.
        findings: what is wrong, and what holds instead.
    """

    keys: Mapping[str, KeyStrategies] = field(default_factory=dict)
    findings: tuple[str, ...] = ()


def read_strategies(data: Mapping[str, str], before: Strategies | None = None) -> Strategies:
    """Read the ConfigMap's data; a key that cannot be used keeps what it said ``before``."""
    found: dict[str, KeyStrategies] = {}
    findings: list[str] = []
    for name in KEYS:
        try:
            found[name] = read_key(name, data.get(name) or "{}")
            findings += [f"{each}; the cluster's strategy is used" for each in found[name].problems]
            findings += [f"{each}; the entry is left out" for each in found[name].left_out]
        except StrategyError as error:
            kept = before.keys[name] if before is not None else read_key(name, "{}")
            found[name] = kept
            findings.append(f"{error}; {'what it said before' if before else 'its default'} is used")
    return Strategies(found, tuple(findings))


def read_key(name: str, text: str) -> KeyStrategies:
    """Read the JSON of one key.

    Raises:
        StrategyError: it is not JSON, has a value of the wrong type, or one in the cluster's strategy that
            is out of its range.
    """
    key, value = KEYS[name], json_object(text, name)
    whole = isinstance(key.rule, Listed)
    reading = Reading()
    cluster = _read(reading, key, value.get(key.cluster), f"{name}.{key.cluster}")
    if reading.problems:
        raise StrategyError("; ".join(reading.problems))
    cluster = (cluster or []) if whole else merged(dict(key.defaults), cluster)
    entries, problems, left_out, notes = [], [], [], reading.notes
    for at, raw in listed_entries(value, key.nodes, name):
        own, place = (raw.get(key.cluster), f"{at}.{key.cluster}") if whole else (_without_selector(raw), at)
        reading = Reading()
        what = _read(reading, key, own, place)
        problems += reading.problems
        notes += reading.notes
        if "nodeSelector" not in raw:  # no node matches
            continue
        try:
            selector = compile_selector(raw["nodeSelector"], f"{at}.nodeSelector")
        except SelectorError as error:
            left_out.append(str(error))
            continue
        if reading.problems:
            what = cluster
        entries.append(Entry(selector, (what or []) if whole else merged(cluster, what)))
    return KeyStrategies(cluster, tuple(entries), tuple(problems), tuple(left_out), tuple(notes))


def spec_of(strategies: Strategies, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the NodeSLO of a node with these labels."""
    return {
        KEYS[name].spec: next(
            (entry.value for entry in key.entries if entry.selector.matches(labels)), key.cluster
        )
        for name, key in strategies.keys.items()
    }


def merged(lower: Any, upper: Any) -> Any:  # noqa: ANN401 — JSON
    """Return a JSON value with another one over it, objects field by field; None: nothing is over it."""
    if upper is None:
        return lower
    if not isinstance(lower, Mapping) or not isinstance(upper, Mapping):
        return upper
    return {**lower, **{name: merged(lower.get(name), value) for name, value in upper.items()}}


def canonical(spec: Mapping[str, Any]) -> bytes:
    """Return a spec as one text: equal ones have equal texts."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()


def _read(reading: Reading, key: Key, raw: object, at: str) -> Any:  # noqa: ANN401 — JSON
    return None if raw is None else reading.read(key.rule, raw, at)


def _without_selector(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in raw.items() if name.lower() not in _OF_ENTRY}
