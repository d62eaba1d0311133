"""A configuration of Koordinator's scheduler, translated: for a stock kube-scheduler and for our chart.

In comes Koordinator's ``koord-scheduler-config``, v1beta2 to v1. Out go a kube-scheduler's configuration,
the values of our chart that do the same, and what has no counterpart, with the advice. A stock scheduler
ignores the arguments of plugins that it does not have, and does not start with their names: both go.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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

API_VERSION: Final = "kubescheduler.config.k8s.io/v1"
KIND: Final = "KubeSchedulerConfiguration"
_GROUP: Final = API_VERSION.partition("/")[0]
_VERSIONS: Final = ("v1beta2", "v1beta3", "v1")
LEASE: Final = "koord-scheduler"
_STRATEGIES: Final = (LEAST_ALLOCATED, MOST_ALLOCATED)
_CLUSTERS_OWN: Final = "default-scheduler"
_NAME: Final = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_LOAD: Final = "LoadAwareScheduling"
_NUMA: Final = "NodeNUMAResource"
_POINTS: Final = (
    "multiPoint", "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score",
    "reserve", "permit", "preBind", "bind", "postBind",
)  # fmt: skip

_ADVICE: Final[Mapping[str, str]] = {
    "Coscheduling": "all-or-nothing starts of a group of pods: use Kueue, which admits workloads whole",
    "ElasticQuota": "quotas that borrow from each other: use Kueue's ClusterQueues and cohorts; they can "
    "cover kubernetes.io/batch-cpu and batch-memory",
    "Reservation": "resources kept for pods that are still to come: nothing does that here; give such pods a "
    "PriorityClass by which they preempt, or nodes of their own",
    "DeviceShare": "shares of GPUs and other devices: use the vendor's device plugin, or DRA",
}
_OURS: Final[Mapping[str, str]] = {
    _LOAD: "the extender does it: scheduler.loadAware",
    _NUMA: "the extender and the webhook at binding do it: cpusets",
}
_THEIRS: Final = frozenset({
    "DefaultBinder", "DefaultPreemption", "DynamicResources", "EBSLimits", "GCEPDLimits", "AzureDiskLimits",
    "ImageLocality", "InterPodAffinity", "NodeAffinity", "NodeName", "NodePorts",
    "NodeResourcesBalancedAllocation", "NodeResourcesFit",
    "NodeUnschedulable", "NodeVolumeLimits", "PodTopologySpread", "PrioritySort",
    "SchedulingGates", "TaintToleration", "VolumeBinding", "VolumeRestrictions", "VolumeZone", "*",
})  # fmt: skip
"""Plugins that a stock kube-scheduler has."""


class TranslationError(ValueError):
    """A configuration that cannot be read; the message names field, value and remedy."""


@dataclass(slots=True)
class Translation:
    """What became of a configuration.

    Attributes:
        configuration: of a stock kube-scheduler; without the extender, which the chart adds.
        values: of our chart.
        taken_over: what does the same now, and how.
        without_counterpart: what nobody does now, and the advice.
    """

    configuration: dict[str, Any]
    values: dict[str, Any]
    taken_over: list[str] = field(default_factory=list)
    without_counterpart: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it in the names of the API."""
        return {
            "configuration": self.configuration,
            "values": self.values,
            "takenOver": self.taken_over,
            "withoutCounterpart": self.without_counterpart,
        }


def translate(configuration: object) -> Translation:
    """Translate a ``KubeSchedulerConfiguration`` as Koordinator takes it; raises TranslationError."""
    if not isinstance(configuration, Mapping) or configuration.get("kind") != KIND:
        kind = configuration.get("kind") if isinstance(configuration, Mapping) else configuration
        raise TranslationError(f"kind: {shown(kind)}: give a {KIND}, or the ConfigMap that has one")
    group, _, version = str(configuration.get("apiVersion")).partition("/")
    if group != _GROUP or version not in _VERSIONS:
        stated = shown(configuration.get("apiVersion"))
        raise TranslationError(f"apiVersion: {stated}: give {_GROUP}/ {', '.join(_VERSIONS)}")
    profiles = mappings(configuration.get("profiles"))
    if len(profiles) != 1:
        raise TranslationError(
            f"profiles: {len(profiles)}: give a configuration with one; extenders hold for all profiles of a "
            "process, so each needs a scheduler of its own"
        )
    done = Translation({}, {"scheduler": {"enabled": True}})
    done.configuration = {
        **{name: value for name, value in configuration.items() if name not in ("extenders", "profiles")},
        "apiVersion": API_VERSION,
        "percentageOfNodesToScore": 100,
        "leaderElection": _lease(configuration, done),
        "profiles": [_profile(profiles[0], done)],
    }
    done.taken_over.append("percentageOfNodesToScore: 100: an extender sees no node that was not sampled")
    for extender in mappings(configuration.get("extenders")):
        done.without_counterpart.append(
            f"extender {shown(extender.get('urlPrefix'))}: the chart's scheduler asks this webhook and no "
            "other extender; a scheduler of your own can have both"
        )
    return done


def _lease(configuration: Mapping[str, Any], done: Translation) -> dict[str, Any]:
    stated = configuration.get("leaderElection")
    lease = {"leaderElect": True, "resourceLock": "leases", **(stated if isinstance(stated, Mapping) else {})}
    lease["resourceName"] = f"{lease.get('resourceName') or LEASE}-stock"
    done.taken_over.append(
        f"leaderElection: under the name {lease['resourceName']}, so that it is not Koordinator's; "
        "the chart has a Lease in its own namespace"
    )
    return lease


def _profile(profile: Mapping[str, Any], done: Translation) -> dict[str, Any]:
    values = done.values["scheduler"]
    name = _name(profile, values, done)
    arguments: list[dict[str, Any]] = []
    for each in mappings(profile.get("pluginConfig")):
        plugin, args = str(each.get("name")), _arguments(each.get("args"))
        if plugin == _LOAD:
            _load_aware(args, values, done)
        elif plugin == _NUMA:
            _numa(args, done)
        elif plugin in _THEIRS:
            arguments.append({"name": plugin, "args": args})
            if plugin == "NodeResourcesFit":
                _fit(args, values, done)
        elif plugin not in _ADVICE:
            done.without_counterpart.append(f"{plugin}: a stock kube-scheduler has no such plugin")
    translated: dict[str, Any] = {"schedulerName": name}
    if arguments:
        translated["pluginConfig"] = arguments
    if plugins := _plugins(profile, values, done):
        translated["plugins"] = plugins
    return translated


def _name(profile: Mapping[str, Any], values: dict[str, Any], done: Translation) -> str:
    """Return the name of a profile, and take it over where the chart's scheduler can have it."""
    stated = profile.get("schedulerName") or _CLUSTERS_OWN
    name = str(stated)
    if name == _CLUSTERS_OWN:
        done.without_counterpart.append(
            f"schedulerName {name}: the cluster's own scheduler has that name: the chart's has another "
            "(scheduler.name), which pods or a profile have to say"
        )
    elif isinstance(stated, str) and _NAME.fullmatch(name):
        values["name"] = name
    else:
        done.without_counterpart.append(
            f"schedulerName {shown(stated)}: scheduler.name is a DNS subdomain name, 63 characters at most: "
            "it is left at its default; choose such a name, which pods or a profile have to say"
        )
    return name


def _arguments(given: object) -> dict[str, Any]:
    """Return the arguments of a plugin without their version, which a v1 configuration does not need."""
    if not isinstance(given, Mapping):
        return {}
    return {name: value for name, value in given.items() if name not in ("apiVersion", "kind")}


def _fit(args: Mapping[str, Any], values: dict[str, Any], done: Translation) -> None:
    strategy = args.get("scoringStrategy")
    if not isinstance(strategy, Mapping):
        return
    if strategy.get("type") not in _STRATEGIES:
        done.without_counterpart.append(
            f"NodeResourcesFit, scoringStrategy {shown(strategy.get('type'))}: the chart's scheduler has "
            f"{' or '.join(_STRATEGIES)}; a scheduler of your own can have it"
        )
        return
    wrong = list(_wrong_resources(strategy.get("resources")))
    done.without_counterpart.extend(f"NodeResourcesFit, scoringStrategy.{each}" for each in wrong)
    if wrong:
        return
    # A scheduler takes no weight, and 0, for 1; no resources for its own default, which is not the chart's.
    resources = [
        {"name": each["name"], "weight": each.get("weight") or 1} for each in strategy.get("resources") or ()
    ]
    values["scoringStrategy"] = {"type": strategy["type"], "resources": resources}
    done.taken_over.append("NodeResourcesFit: as it is; the chart has it as scheduler.scoringStrategy")


def _wrong_resources(stated: object) -> Iterator[str]:
    """Yield what the chart refuses of the resources that count in the score."""
    left = "scheduler.scoringStrategy is left at its default"
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
        elif not (each.get("weight") is None or _is_whole(each["weight"], 0)):
            yield (
                f"resources[{i}].weight {shown(each['weight'])} of {each['name']}: {left}; "
                f"write a whole number from 1 to {MOST_WEIGHT}"
            )


def _is_whole(weight: object, least: int) -> bool:
    return isinstance(weight, int) and not isinstance(weight, bool) and least <= weight <= MOST_WEIGHT


def _load_aware(args: Mapping[str, Any], values: dict[str, Any], done: Translation) -> None:
    try:
        read_load_settings(args)
    except LoadSettingsError as error:
        raise TranslationError(f"profiles[0].pluginConfig[{_LOAD}].args: {error}") from None
    values["loadAware"] = dict(args)
    done.taken_over.append(f"{_LOAD}: {_OURS[_LOAD]}")


def _numa(args: Mapping[str, Any], done: Translation) -> None:
    sets: dict[str, Any] = {"enabled": True}
    done.values["cpusets"] = sets
    scoring = args.get("numaScoringStrategy") or args.get("scoringStrategy")
    stated = {
        "defaultPolicy": (args.get("defaultCPUBindPolicy"), (FULL_PCPUS, SPREAD_BY_PCPUS)),
        "numaStrategy": (scoring.get("type") if isinstance(scoring, Mapping) else None, _STRATEGIES),
    }
    for name, (value, known) in stated.items():
        if value in known:
            sets[name] = value
        elif value:
            done.without_counterpart.append(
                f"{_NUMA}, {shown(value)}: cpusets.{name} is {' or '.join(known)}: it is left at its default"
            )
    done.taken_over.append(f"{_NUMA}: {_OURS[_NUMA]}; label the namespaces {LABEL_CPUSET}={CPUSET_ENABLED}")


def _plugins(profile: Mapping[str, Any], values: dict[str, Any], done: Translation) -> dict[str, Any]:
    """Return the plugins of a profile as far as a stock scheduler has them, and note the others once each."""
    stated = profile.get("plugins")
    kept: dict[str, Any] = {}
    others: list[str] = []
    for point in _POINTS:
        of = stated.get(point) if isinstance(stated, Mapping) else None
        if not isinstance(of, Mapping):
            continue
        lists = {}
        for state in ("disabled", "enabled"):
            listed = mappings(of.get(state))
            names = [str(each.get("name")) for each in listed]
            mine = [dict(each) for each, name in zip(listed, names, strict=True) if name in _THEIRS]
            if mine:
                lists[state] = mine
            if state == "enabled":
                others += [name for name in names if name not in _THEIRS]
                _weights(listed, values, done)
        # With everything switched off and nothing of its own on, a point would be empty: leave it as it was.
        off = [each for each in lists.get("disabled", ()) if each["name"] == "*"]
        if lists and not (off and "enabled" not in lists):
            kept[point] = lists
    done.taken_over.extend(_used(others, done))
    return kept


def _weights(listed: list[Mapping[str, Any]], values: dict[str, Any], done: Translation) -> None:
    """Take over how much a plugin counts; 0 is not stated, and counts 1."""
    for each in listed:
        plugin, weight = str(each.get("name")), each.get("weight")
        name = {_LOAD: "loadAware", _NUMA: "cpuSets"}.get(plugin)
        if name is None or weight in (None, 0):
            continue
        if _is_whole(weight, 1):
            values.setdefault("weights", {})[name] = weight
        else:
            done.without_counterpart.append(
                f"{plugin}, weight {shown(weight)}: scheduler.weights.{name} is 1 to {MOST_WEIGHT}, and "
                "does not change by it; lower the weights of the other plugins instead"
            )


def _used(others: list[str], done: Translation) -> Iterator[str]:
    """Note each plugin that a stock scheduler does not have; yield what we do instead."""
    for name in dict.fromkeys(others):
        if name in _OURS:
            if name == _NUMA and "cpusets" not in done.values:
                done.values["cpusets"] = {"enabled": True}
                yield f"{name}: {_OURS[name]}"
            elif name == _LOAD and "loadAware" not in done.values["scheduler"]:
                yield f"{name}: {_OURS[name]}, with its defaults"
        elif name in _ADVICE:
            done.without_counterpart.append(f"{name}: {_ADVICE[name]}")
        elif name != "DefaultPreBind":
            done.without_counterpart.append(f"{name}: a stock kube-scheduler has no such plugin")
