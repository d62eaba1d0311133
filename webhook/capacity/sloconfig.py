"""Koordinator's ConfigMap ``slo-controller-config``, and which strategy a node gets by it.

Precedence, lowest first: defaults, the cluster's level, the first entry of ``nodeConfigs`` whose
selector matches, the node's annotation, the node's labels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from webhook.capacity.extension import read_extension
from webhook.capacity.strategy import EXTENSIONS, Layer, Strategy, StrategyError, merged, read_layer
from webhook.pods.selectors import Selector, SelectorError, compile_selector
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_COLOCATION_STRATEGY,
    LABEL_CPU_RECLAIM_RATIO,
    LABEL_MEMORY_RECLAIM_RATIO,
    LABEL_MID_STATIC_CPU_RATIO,
    LABEL_MID_STATIC_MEMORY_RATIO,
    OWN_EXTENSION,
)

COLOCATION_CONFIG: Final = "colocation-config"
"""The key of the ConfigMap's data."""

_RATIO_LABELS: Final = {
    LABEL_CPU_RECLAIM_RATIO: "cpuReclaimThresholdPercent",
    LABEL_MEMORY_RECLAIM_RATIO: "memoryReclaimThresholdPercent",
    LABEL_MID_STATIC_CPU_RATIO: "midStaticCPUReservedPercent",
    LABEL_MID_STATIC_MEMORY_RATIO: "midStaticMemoryReservedPercent",
}
_MOST_PERCENT: Final = 2**63 - 1
_MOST_STRATEGIES: Final = 1000


class NodeEntry(NamedTuple):
    """One of ``nodeConfigs``: for which nodes, and what."""

    name: str
    selector: Selector
    layer: Layer


@dataclass(frozen=True, slots=True)
class Configuration:
    """The ConfigMap, read; without arguments, what holds where there is none: colocation is off.

    Attributes:
        cluster: the cluster's level.
        entries: of nodes, in their order; those whose selector cannot be used are left out.
        findings: what is wrong, but does not keep the rest from being used.
        strategies: of nodes, as they were asked for: most nodes have the same one.
    """

    cluster: Mapping[str, Any] = field(default_factory=dict)
    entries: tuple[NodeEntry, ...] = ()
    findings: tuple[str, ...] = ()
    strategies: dict[object, Strategy] = field(default_factory=dict, repr=False, compare=False)


def read_configuration(data: Mapping[str, str] | None) -> Configuration:
    """Read the data of the ConfigMap.

    Args:
        data: None where there is no ConfigMap.

    Raises:
        StrategyError: it cannot be used as a whole; whoever has one from before keeps that.
    """
    text = (data or {}).get(COLOCATION_CONFIG)
    if not text:
        return Configuration()
    value = json_object(text, COLOCATION_CONFIG)
    cluster = read_layer(value, COLOCATION_CONFIG)
    findings = list(cluster.notes)
    entries = []
    for at, raw in listed_entries(value, "nodeConfigs", COLOCATION_CONFIG):
        layer = read_layer(raw, at)
        findings.extend((*layer.notes, *(f"{each}; the cluster's level is used" for each in layer.problems)))
        if "nodeSelector" not in raw:
            findings.append(f"{at}.nodeSelector: is absent: no node matches; {{}} matches every node")
            continue
        try:
            selector = compile_selector(raw["nodeSelector"], f"{at}.nodeSelector")
        except SelectorError as error:
            findings.append(f"{error}; the entry is left out")
            continue
        name = raw.get("name") or at.removeprefix(f"{COLOCATION_CONFIG}.")
        entries.append(NodeEntry(str(name), selector, layer))
    if cluster.problems:
        raise StrategyError("; ".join(cluster.problems))
    return Configuration(cluster.values, tuple(entries), tuple(findings))


def strategy_of(
    configuration: Configuration, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> Strategy:
    """Return the strategy of the node with these labels and annotations."""
    entry = next((each for each in configuration.entries if each.selector.matches(labels)), None)
    annotation = annotations.get(ANNOTATION_COLOCATION_STRATEGY)
    ratios = {label: labels[label] for label in _RATIO_LABELS if label in labels}
    known, key = configuration.strategies, (id(entry), annotation, *ratios.items())
    if key not in known:
        if len(known) >= _MOST_STRATEGIES:
            known.clear()
        known[key] = _strategy(configuration, entry, annotation, ratios)
    return known[key]


def _strategy(
    configuration: Configuration, entry: NodeEntry | None, annotation: str | None, labels: Mapping[str, str]
) -> Strategy:
    findings: list[str] = []
    layers, source = [configuration.cluster], ["cluster"]
    if entry is not None and not entry.layer.problems:
        layers.append(entry.layer.values)
        source.append(entry.name)
    annotated = _annotated(annotation, findings)
    ratios = dict(_ratios(labels, findings))
    layers += [annotated, ratios]
    source += ["annotation"] * bool(annotated) + ["labels"] * bool(ratios)
    values = merged(*layers)
    extension = read_extension(values[EXTENSIONS].get(OWN_EXTENSION), f"{EXTENSIONS}.{OWN_EXTENSION}")
    enabled = bool(configuration.cluster.get("enable")) and values["enable"]
    return Strategy(values, enabled, extension, tuple(source), (*findings, *extension.problems))


def _annotated(text: str | None, findings: list[str]) -> Mapping[str, Any]:
    """Return the annotation's layer; as an entry of the ConfigMap, it is used whole or not at all."""
    if not text or text == "null":
        return {}
    try:
        layer = read_layer(
            json_object(text, ANNOTATION_COLOCATION_STRATEGY), f"annotation {ANNOTATION_COLOCATION_STRATEGY}"
        )
    except StrategyError as error:
        findings.append(f"{error}; the annotation is ignored")
        return {}
    findings.extend((*layer.notes, *(f"{each}; the annotation is ignored" for each in layer.problems)))
    return {} if layer.problems else layer.values


def _ratios(labels: Mapping[str, str], findings: list[str]) -> Mapping[str, int]:
    found = {}
    for label, name in _RATIO_LABELS.items():
        if not (text := labels.get(label)):
            continue
        try:
            ratio = float.fromhex(text) if "x" in text.lower() else float(text)
        except ValueError:
            ratio = math.nan
        if not 0 <= ratio * 100 <= _MOST_PERCENT:
            findings.append(f"label {label}: {shown(text)} is no ratio from 0 on, such as 0.7; it is ignored")
            continue
        found[name] = int(ratio * 100)
    return found


def json_object(text: str, at: str) -> Mapping[str, Any]:
    """Return the JSON object in a text; raises StrategyError."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise StrategyError(f"{at}: is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise StrategyError(f"{at}: {shown(value)} is no JSON object")
    return value


def listed_entries(value: Mapping[str, Any], field: str, at: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the entries of nodes under a field, each with its place; raises StrategyError."""
    listed = value.get(field)
    if not isinstance(listed, list | None):
        raise StrategyError(f"{at}.{field}: {shown(listed)} is no list")
    found: list[tuple[str, Mapping[str, Any]]] = []
    for i, raw in enumerate(listed or ()):
        place = f"{at}.{field}[{i}]"
        if not isinstance(raw, dict):
            raise StrategyError(f"{place}: {shown(raw)} is no JSON object")
        found.append((place, {name: each for name, each in raw.items() if each is not None}))
    return found
