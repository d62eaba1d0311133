"""A configuration of Koordinator's scheduler, translated: for a stock kube-scheduler and for our chart.

In comes Koordinator's ``koord-scheduler-config``, v1beta2 to v1. Out go a kube-scheduler's configuration,
the values of our chart that do the same, and what has no counterpart, with the advice. A stock scheduler
ignores the arguments of plugins that it does not have, and does not start with their names, nor with a field
that v1 does not have: all three go.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.pods.pod import mappings
from webhook.pods.text import shown
from webhook.scheduling.translation.profile import translated_profile
from webhook.scheduling.translation.translation import Translation, TranslationError

API_VERSION: Final = "kubescheduler.config.k8s.io/v1"
KIND: Final = "KubeSchedulerConfiguration"
_GROUP: Final = API_VERSION.partition("/")[0]
_VERSIONS: Final = ("v1beta2", "v1beta3", "v1")
LEASE: Final = "koord-scheduler"
_LOCK: Final = "leases"

_TRANSLATED: Final = (
    "apiVersion", "kind", "extenders", "profiles", "leaderElection", "clientConnection",
    "percentageOfNodesToScore",
)  # fmt: skip
_KEPT: Final = (
    "parallelism", "podInitialBackoffSeconds", "podMaxBackoffSeconds", "delayCacheUntilActive",
    "enableProfiling", "enableContentionProfiling",
)  # fmt: skip
_OF_LEASE: Final = ("leaderElect", "resourceLock", "resourceName", "resourceNamespace")
_TIMES_OF_LEASE: Final = ("leaseDuration", "renewDeadline", "retryPeriod")
_OF_CONNECTION: Final = ("qps", "burst", "kubeconfig", "acceptContentTypes", "contentType")
_RATES: Final = {"qps": 3.4028234663852886e38, "burst": 2**31 - 1}
"""The most that a kube-scheduler takes: the greatest float32 and int32."""
_SCALARS: Final = (str, int, float, type(None))
_SERVED_ELSEWHERE: Final = "; a scheduler serves health and metrics at --secure-port"
_GONE: Final[Mapping[str, str]] = {
    "healthzBindAddress": _SERVED_ELSEWHERE,
    "metricsBindAddress": _SERVED_ELSEWHERE,
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
    for place in _not_json(configuration, ""):
        raise TranslationError(f"{place}: no JSON has this: write a text, a number, a list or an object")
    profiles = mappings(configuration.get("profiles"))
    if len(profiles) != 1:
        raise TranslationError(
            f"profiles: {len(profiles)}: give a configuration with one; extenders hold for all profiles of a "
            "process, so each needs a scheduler of its own"
        )
    done = Translation({}, {"scheduler": {"enabled": True}})
    done.configuration = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        **_kept(configuration, done),
        "percentageOfNodesToScore": 100,
        **_connection(configuration, done),
        "leaderElection": _lease(configuration, done),
        "profiles": [translated_profile(profiles[0], done)],
    }
    done.taken_over.append("percentageOfNodesToScore: 100: an extender sees no node that was not sampled")
    for extender in mappings(configuration.get("extenders")):
        done.lacks(
            f"extender {shown(extender.get('urlPrefix'))}: the chart's scheduler asks this webhook and no "
            "other extender; a scheduler of your own can have both"
        )
    return done


def _not_json(value: object, at: str) -> Iterator[str]:
    """Yield where something stands that JSON cannot say, such as YAML's ``!!binary`` and ``!!set``."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _not_json(each, f"{at}.{name}" if at else str(name))
            if not isinstance(name, _SCALARS):
                yield f"{at or KIND}, key {shown(name)}"
    elif isinstance(value, list | tuple):
        for i, each in enumerate(value):
            yield from _not_json(each, f"{at}[{i}]")
    elif not isinstance(value, _SCALARS):
        yield f"{at}: {shown(value)}"


def _kept(configuration: Mapping[str, Any], done: Translation) -> dict[str, Any]:
    """Return the fields that v1 has as they are, and note those that it does not have."""
    kept = {name: value for name, value in configuration.items() if name in _KEPT and value is not None}
    for name in kept:
        done.only_configured(name)
    for name in configuration:
        if name not in _KEPT + _TRANSLATED:
            done.lacks(f"{name}: v1 has no such field{_GONE.get(name, '')}")
    return kept


def _known(stated: object, name: str, fields: tuple[str, ...], done: Translation) -> dict[str, Any]:
    """Return the fields of an object that v1 has, and note the others."""
    given = stated if isinstance(stated, Mapping) else {}
    for each in given:
        if each not in fields:
            done.lacks(f"{name}.{each}: v1 has no such field")
    return {each: value for each, value in given.items() if each in fields and value is not None}


def _connection(configuration: Mapping[str, Any], done: Translation) -> dict[str, Any]:
    name = "clientConnection"
    stated = _known(configuration.get(name), name, _OF_CONNECTION, done)
    found = {each: value for each, value in stated.items() if each not in _RATES or _is_rate(each, value)}
    taken = {each: value for each, value in found.items() if each in _RATES and value > 0}
    if taken:
        done.scheduler[name] = taken
        done.taken_over.append(f"{name}: the chart has {' and '.join(taken)} as scheduler.{name}")
    for each, value in stated.items():
        if each not in found:
            done.lacks(f"{name}.{each} {shown(value)}: left out: a kube-scheduler does not start with it")
        elif each not in taken:
            done.only_configured(f"{name}.{each}")
    return {name: found} if found else {}


def _is_rate(name: str, value: object) -> bool:
    """Return whether a kube-scheduler takes a number of calls: a negative ``qps`` is no limit."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _RATES[name]:
        return False
    return name == "qps" or (isinstance(value, int) and value >= 0)


def _lease(configuration: Mapping[str, Any], done: Translation) -> dict[str, Any]:
    name = "leaderElection"
    stated = _known(configuration.get(name), name, _OF_LEASE + _TIMES_OF_LEASE, done)
    lease = {"leaderElect": True, **stated, "resourceLock": _LOCK}
    lease["resourceName"] = f"{lease.get('resourceName') or LEASE}-stock"
    done.taken_over.append(
        f"{name}: under the name {lease['resourceName']}, so that it is not Koordinator's; "
        "the chart has a Lease in its own namespace"
    )
    if (lock := stated.get("resourceLock", _LOCK)) != _LOCK:
        done.taken_over.append(f"{name}.resourceLock: {_LOCK}, not {shown(lock)}: there is no other any more")
    if lease["leaderElect"] is not True:
        done.only_configured(f"{name}.leaderElect {shown(lease['leaderElect'])}")
    for each in _TIMES_OF_LEASE:
        if each in stated:
            done.only_configured(f"{name}.{each}")
    return lease
