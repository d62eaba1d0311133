"""One profile of a scheduler: its name, the arguments of its plugins, and which it has where."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.pods.pod import mappings
from webhook.pods.text import shown
from webhook.protocol import LEAST_ALLOCATED
from webhook.scheduling.settings import MOST_WEIGHT
from webhook.scheduling.translation.koordinator import STRATEGIES, is_weight, others, our_plugins
from webhook.scheduling.translation.stockplugins import (
    ALL,
    AS_BY_DEFAULT,
    MULTI_POINT,
    NEEDED,
    OPTIONAL,
    POINTS,
    STOCK,
    VERSION,
    WEIGHTS,
)
from webhook.scheduling.translation.translation import Translation

_CLUSTERS_OWN: Final = "default-scheduler"
_NAME: Final = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_FIELDS: Final = ("schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig")
_FIT: Final = "NodeResourcesFit"
_STRATEGY: Final = "scoringStrategy"
_STATED_BY_CHART: Final = ("DefaultPreemption", "minCandidateNodesPercentage", 100)
_SCORED_AT: Final = (MULTI_POINT, "score")
_STATES: Final = ("disabled", "enabled")


def translated_profile(profile: Mapping[str, Any], done: Translation) -> dict[str, Any]:
    """Return a profile for a stock kube-scheduler, and note what becomes of the rest."""
    for name in profile:
        if name not in _FIELDS:
            done.lacks(f"profiles[0].{name}: v1 has no such field")
    if (percentage := profile.get("percentageOfNodesToScore")) is not None:
        done.lacks(
            f"profiles[0].percentageOfNodesToScore {shown(percentage)}: left out: an extender sees no node "
            "that was not sampled"
        )
    found: dict[str, Any] = {"schedulerName": _name(profile, done)}
    given = {str(each.get("name")): _arguments(each.get("args")) for each in _configured(profile)}
    stock = {name: args for name, args in given.items() if name in STOCK}
    if stock:
        found["pluginConfig"] = [{"name": name, "args": args} for name, args in stock.items()]
    _fit(stock.get(_FIT, {}), done)
    for name, args in stock.items():
        _only_configured(name, args, done)
    stated = profile.get("plugins")
    plugins = stated if isinstance(stated, Mapping) else {}
    our_plugins(plugins, given, done)
    names = [name for point in POINTS for name in _names(plugins, point) if name not in STOCK]
    others(names, (name for name in given if name not in STOCK), done)
    if kept := _plugins(plugins, done):
        found["plugins"] = kept
    return found


def _name(profile: Mapping[str, Any], done: Translation) -> str:
    """Return the name of a profile, and take it over where the chart's scheduler can have it."""
    stated = profile.get("schedulerName") or _CLUSTERS_OWN
    name = str(stated)
    if name == _CLUSTERS_OWN:
        done.lacks(
            f"schedulerName {name}: the cluster's own scheduler has that name: the chart's has another "
            "(scheduler.name), which pods or a profile have to say"
        )
    elif isinstance(stated, str) and _NAME.fullmatch(name):
        done.scheduler["name"] = name
    else:
        done.lacks(
            f"schedulerName {shown(stated)}: scheduler.name is a DNS subdomain name, 63 characters at most: "
            "it is left at its default; choose such a name, which pods or a profile have to say"
        )
    return name


def _configured(profile: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return mappings(profile.get("pluginConfig"))


def _arguments(given: object) -> dict[str, Any]:
    """Return the arguments of a plugin without their version, which a v1 configuration does not need."""
    if not isinstance(given, Mapping):
        return {}
    return {name: value for name, value in given.items() if name not in ("apiVersion", "kind")}


def _only_configured(plugin: str, args: Mapping[str, Any], done: Translation) -> None:
    """Note each argument of a stock plugin that the chart has no value for."""
    for name, value in args.items():
        if (plugin, name) != (_FIT, _STRATEGY) and (plugin, name, value) != _STATED_BY_CHART:
            done.only_configured(f"{plugin}, {name}")


def _fit(args: Mapping[str, Any], done: Translation) -> None:
    strategy = args.get(_STRATEGY)
    if not isinstance(strategy, Mapping):
        done.scheduler[_STRATEGY] = {"type": LEAST_ALLOCATED, "resources": []}
        done.taken_over.append(
            f"scheduler.{_STRATEGY}: a scheduler's own default, which scores cpu and memory"
        )
        return
    if strategy.get("type") not in STRATEGIES:
        done.lacks(
            f"{_FIT}, {_STRATEGY} {shown(strategy.get('type'))}: the chart's scheduler has "
            f"{' or '.join(STRATEGIES)}; a scheduler of your own can have it"
        )
        return
    wrong = list(_wrong_resources(strategy.get("resources")))
    for each in wrong:
        done.lacks(f"{_FIT}, {_STRATEGY}.{each}")
    if wrong:
        return
    # A scheduler takes no weight, and 0, for 1; no resources for its own default, which is not the chart's.
    resources = [
        {"name": each["name"], "weight": each.get("weight") or 1} for each in strategy.get("resources") or ()
    ]
    done.scheduler[_STRATEGY] = {"type": strategy["type"], "resources": resources}
    done.taken_over.append(f"{_FIT}: the chart has its {_STRATEGY} as scheduler.{_STRATEGY}")


def _wrong_resources(stated: object) -> Iterator[str]:
    """Yield what the chart refuses of the resources that count in the score."""
    left = f"scheduler.{_STRATEGY} is left at its default"
    if stated is not None and not isinstance(stated, list):
        yield f"resources {shown(stated)}: {left}; write a list of names and weights"
        return
    for i, each in enumerate(stated or ()):
        if (
            not isinstance(each, Mapping)
            or not isinstance(each.get("name"), str)
            or each.keys() - {"name", "weight"}
        ):
            yield f"resources[{i}] {shown(each)}: {left}; write a name and a weight"
        elif not (each.get("weight") is None or is_weight(each["weight"], 0)):
            yield (
                f"resources[{i}].weight {shown(each['weight'])} of {each['name']}: {left}; "
                f"write a whole number from 1 to {MOST_WEIGHT}"
            )


def _listed(plugins: Mapping[str, Any], point: str, state: str) -> list[Mapping[str, Any]]:
    of = plugins.get(point)
    return mappings(of.get(state)) if isinstance(of, Mapping) else []


def _names(plugins: Mapping[str, Any], point: str, state: str = "enabled") -> list[str]:
    return [str(each.get("name")) for each in _listed(plugins, point, state)]


def _plugins(plugins: Mapping[str, Any], done: Translation) -> dict[str, Any]:
    """Return the plugins of a profile as far as a stock scheduler has them where they are listed."""
    for point in plugins:
        if point not in POINTS:
            done.lacks(f"plugins.{point}: a stock kube-scheduler {VERSION} has no such point")
    kept: dict[str, Any] = {}
    for point in POINTS:
        lists = {state: _stock(plugins, point, state, done) for state in _STATES}
        if point in NEEDED and not lists["enabled"]:
            continue  # of what is needed there a stock scheduler has this alone: see below
        if any(lists.values()):
            kept[point] = {state: listed for state, listed in lists.items() if listed}
            _differences(kept[point], point, done)
    for point, name in NEEDED.items():
        everywhere = kept.get(MULTI_POINT, {})
        off = {each["name"] for each in everywhere.get("disabled", ())}
        on = {each["name"] for each in everywhere.get("enabled", ())}
        if point not in kept and name not in on and {name, ALL} & off:
            kept[point] = {"enabled": [{"name": name}]}
            done.taken_over.append(f"{name}, at {point}: no kube-scheduler starts without")
    return kept


def _stock(plugins: Mapping[str, Any], point: str, state: str, done: Translation) -> list[dict[str, Any]]:
    """Return the plugins listed at a point that a stock scheduler has there."""
    found = []
    for each in _listed(plugins, point, state):
        name = str(each.get("name"))
        if (name == ALL and state == "disabled") or point in STOCK.get(name, ()):
            found.append(dict(each))
        elif name in STOCK and state == "enabled":
            done.lacks(f"{name}, at {point}: a stock kube-scheduler {VERSION} does not have it there")
    return found


def _differences(lists: Mapping[str, list[dict[str, Any]]], point: str, done: Translation) -> None:
    """Note what a point has otherwise than by default: the chart's scheduler has it by default."""
    on = {each["name"]: each.get("weight") for each in lists.get("enabled", ())}
    for name, weight in on.items():
        if name in OPTIONAL:
            done.only_configured(f"{name}, enabled at {point}")
        counts = point in _SCORED_AT and "score" in STOCK[name]
        if counts and (weight or 1) != WEIGHTS.get(name, 1):
            done.only_configured(f"{name}, weight {shown(weight or 1)}")
    for name in (each["name"] for each in lists.get("disabled", ())):
        if name == ALL and AS_BY_DEFAULT.get(point) not in on:
            but = f" but {', '.join(on)}" if on else ""
            done.only_configured(f"all plugins{but}, disabled at {point}")
        elif name != ALL and name not in on:
            done.only_configured(f"{name}, disabled at {point}")
