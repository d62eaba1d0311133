"""Koordinator's own plugins: what we do instead, by the points where a profile has them, or the advice."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from webhook.pods.pod import mappings
from webhook.pods.text import shown
from webhook.protocol import (
    CPUSET_ENABLED,
    FULL_PCPUS,
    LABEL_CPUSET,
    LEAST_ALLOCATED,
    MOST_ALLOCATED,
    SPREAD_BY_PCPUS,
)
from webhook.scheduling.loadaware.loadsettings import LoadSettingsError, read_load_settings
from webhook.scheduling.settings import MOST_WEIGHT
from webhook.scheduling.translation.stockplugins import ALL, MULTI_POINT, POINTS, VERSION
from webhook.scheduling.translation.translation import Translation, TranslationError

_LOAD: Final = "LoadAwareScheduling"
_NUMA: Final = "NodeNUMAResource"
_WEIGHTS: Final[Mapping[str, str]] = {_LOAD: "loadAware", _NUMA: "cpuSets"}
_FILTER: Final = "filter"
_SCORE: Final = "score"
_OF_SETS: Final = frozenset({_FILTER, _SCORE, "reserve", "preBind"})
_OFF: Final = {"cpu": 0, "memory": 0}
STRATEGIES: Final = (LEAST_ALLOCATED, MOST_ALLOCATED)

_NOT_NEEDED: Final[Mapping[str, str]] = {
    "DefaultPreBind": "it writes what Koordinator's plugins reserved: nothing is left for it",
}
_ADVICE: Final[Mapping[str, str]] = {
    "Coscheduling": "all-or-nothing starts of a group of pods: use Kueue, which admits workloads whole",
    "ElasticQuota": "quotas that borrow from each other: use Kueue's ClusterQueues and cohorts; they can "
    "cover kubernetes.io/batch-cpu and batch-memory",
    "Reservation": "resources kept for pods that are still to come: nothing does that here; give such pods a "
    "PriorityClass by which they preempt, or nodes of their own",
    "DeviceShare": "shares of GPUs and other devices: use the vendor's device plugin, or DRA",
}


def our_plugins(
    plugins: Mapping[str, Any], arguments: Mapping[str, Mapping[str, Any]], done: Translation
) -> None:
    """Take over load awareness and CPU sets as far as a profile has them.

    Args:
        plugins: of the profile, by point.
        arguments: by plugin.
        done: what is added to.
    """
    _load_aware(arguments.get(_LOAD), _where(plugins, _LOAD), done)
    _numa(arguments.get(_NUMA), _where(plugins, _NUMA), done)
    _weigh(plugins, done)


def others(enabled: Iterable[str], arguments: Iterable[str], done: Translation) -> None:
    """Note each plugin once that neither a stock scheduler nor we have.

    Args:
        enabled: names of plugins that a profile enables somewhere.
        arguments: names of plugins that it has arguments of.
        done: what is added to.
    """
    on = dict.fromkeys(enabled)
    for name in dict.fromkeys((*arguments, *on)):
        if name in _WEIGHTS:
            continue
        if name in _NOT_NEEDED:
            done.taken_over.append(f"{name}: {_NOT_NEEDED[name]}")
            continue
        what = _ADVICE.get(name, f"a stock kube-scheduler {VERSION} has no such plugin")
        done.lacks(f"{name}: {what}" if name in on else f"{name}: {_idle('nowhere')}; {what}")


def is_weight(weight: object, least: int) -> bool:
    """Return whether the chart takes a weight."""
    return isinstance(weight, int) and not isinstance(weight, bool) and least <= weight <= MOST_WEIGHT


def _where(plugins: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the points at which a plugin of Koordinator's is on: listed there, or by ``multiPoint``."""

    def listed(point: str, state: str) -> set[str]:
        of = plugins.get(point)
        return {
            str(each.get("name")) for each in mappings(of.get(state) if isinstance(of, Mapping) else None)
        }

    everywhere = name in listed(MULTI_POINT, "enabled")
    return frozenset(
        point
        for point in POINTS
        if name in listed(point, "enabled") or (everywhere and not {name, ALL} & listed(point, "disabled"))
    )


def _idle(where: str) -> str:
    return f"enabled {where}: its arguments are left out"


def _load_aware(args: Mapping[str, Any] | None, points: frozenset[str], done: Translation) -> None:
    try:
        read_load_settings(args or {})
    except LoadSettingsError as error:
        field = str(error).removeprefix("loadAware.")  # the chart's name for them
        raise TranslationError(f"profiles[0].pluginConfig[{_LOAD}].args.{field}") from None
    filters, scores = _FILTER in points, _SCORE in points
    if not filters and not scores:
        done.scheduler["checks"] = {"load": False}
        done.taken_over.append("scheduler.checks.load: false, for no plugin looked at load")
        if args is not None:
            done.lacks(f"{_LOAD}: {_idle('at neither filter nor score')}")
        return
    how = "" if args is not None else ", with its defaults"
    if not filters:
        args = _for_score_alone(args or {})
        how = (
            "; for score alone: with thresholds of 0 it keeps no pod from a node that has no annotation "
            "with thresholds of its own"
        )
    elif not scores:
        _set_weight(_LOAD, 0, done)
        how += "; for filter alone: its weight is 0"
    if args is not None:
        done.scheduler["loadAware"] = dict(args)
    done.taken_over.append(f"{_LOAD}: only in the values: the extender does it: scheduler.loadAware{how}")


def _for_score_alone(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with thresholds by which no node is full."""
    kept = {name: value for name, value in args.items() if name != "prodUsageThresholds"}
    aggregated = kept.pop("aggregated", None)
    if scored := {name: value for name, value in (aggregated or {}).items() if name.startswith(_SCORE)}:
        kept["aggregated"] = scored
    return {**kept, "usageThresholds": _OFF}


def _numa(args: Mapping[str, Any] | None, points: frozenset[str], done: Translation) -> None:
    if not points & _OF_SETS:
        if args is not None:
            done.lacks(f"{_NUMA}: {_idle('nowhere')}, and CPU sets with it (cpusets.enabled)")
        return
    sets: dict[str, Any] = {"enabled": True}
    done.values["cpusets"] = sets
    scoring = (args or {}).get("numaScoringStrategy") or (args or {}).get("scoringStrategy")
    stated = {
        "defaultPolicy": ((args or {}).get("defaultCPUBindPolicy"), (FULL_PCPUS, SPREAD_BY_PCPUS)),
        "numaStrategy": (scoring.get("type") if isinstance(scoring, Mapping) else None, STRATEGIES),
    }
    for name, (value, known) in stated.items():
        if value in known:
            sets[name] = value
        elif value:
            done.lacks(
                f"{_NUMA}, {shown(value)}: cpusets.{name} is {' or '.join(known)}: it is left at its default"
            )
    how = ""
    if _FILTER in points and _SCORE not in points:
        _set_weight(_NUMA, 0, done)
        how = "; for filter alone: its weight is 0"
    elif _SCORE in points and _FILTER not in points:
        done.lacks(
            f"{_NUMA}, at score alone: the chart's scheduler looks for a CPU set at filter, too, for binding "
            "would deny the pod"
        )
    elif _SCORE not in points:
        done.scheduler.setdefault("checks", {})["cpuSets"] = False
        how = "; at binding alone: scheduler.checks.cpuSets is false"
    done.taken_over.append(
        f"{_NUMA}: only in the values: the extender and the webhook at binding do it: cpusets; label the "
        f"namespaces {LABEL_CPUSET}={CPUSET_ENABLED}{how}"
    )


def _weigh(plugins: Mapping[str, Any], done: Translation) -> None:
    """Take over how much our plugins count in the score; 0 is not stated, and counts 1.

    A plugin that ``score`` lists counts by what that says, whatever ``multiPoint`` does.
    """
    weights: dict[str, object] = {}
    for point in (MULTI_POINT, _SCORE):
        weights |= dict(_weights(plugins.get(point)))
    for plugin, weight in weights.items():
        if weight in (None, 0) or _SCORE not in _where(plugins, plugin):
            continue
        if is_weight(weight, 1):
            _set_weight(plugin, weight, done)
        else:
            done.lacks(
                f"{plugin}, weight {shown(weight)}: scheduler.weights.{_WEIGHTS[plugin]} is 1 to "
                f"{MOST_WEIGHT}, and does not change by it; lower the weights of the other plugins instead"
            )


def _weights(of: object) -> Iterator[tuple[str, object]]:
    for each in mappings(of.get("enabled") if isinstance(of, Mapping) else None):
        if (plugin := str(each.get("name"))) in _WEIGHTS:
            yield plugin, each.get("weight")


def _set_weight(plugin: str, weight: object, done: Translation) -> None:
    done.scheduler.setdefault("weights", {})[_WEIGHTS[plugin]] = weight
