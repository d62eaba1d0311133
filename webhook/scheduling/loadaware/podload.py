"""What a pod is expected to use, and until when that counts instead of what it was measured to use.

Amounts are tuples of whole numbers, in the order of ``LoadSettings.resources``: cpu in milli-cores, all else
in units.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from webhook.pods.moments import read_moment
from webhook.pods.pod import FINISHED, annotations, mappings, spec
from webhook.pods.qosclass import priority_class
from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_limit, pod_request
from webhook.protocol import (
    ANNOTATION_AFTER_INITIALIZED,
    ANNOTATION_AFTER_SCHEDULED,
    ANNOTATION_LOAD_FACTORS,
    ANNOTATION_RESERVE_POD,
    CPU,
    FREE,
    MEMORY,
    PROD,
    TRANSLATION,
)
from webhook.scheduling.loadaware.loadsettings import PERCENT, LoadSettings

Vector = tuple[int, ...]

_NOTHING_ASKED: Final = {CPU: 250, MEMORY: 200 * 2**20}
"""What a pod that asks for nothing is expected to use: milli-cores, bytes."""


class PodLoad(NamedTuple):
    """A pod, as far as load goes.

    Attributes:
        key: namespace and name, by which a NodeMetric names it.
        uid: of the pod.
        node: to which it is bound; "" while it is not.
        prod: whether its class is prod.
        estimate: what it is expected to use.
        scheduled: when, in seconds since the epoch.
        estimated_until: a metric that is older shows it by its estimate; 0: its usage counts at once.
    """

    key: tuple[str, str]
    uid: str
    node: str
    prod: bool
    estimate: Vector
    scheduled: float
    estimated_until: float


def read_assigned(obj: Mapping[str, Any], settings: LoadSettings, heard_of: float) -> PodLoad | None:
    """Read a v1 Pod that is bound to a node, as ``read_pod``; None: it does not count there.

    Pods of class free are expected to use nothing, and those that have ended use nothing.
    """
    finished = (obj.get("status") or {}).get("phase") in FINISHED
    if finished or ANNOTATION_RESERVE_POD in annotations(obj) or priority_class(obj) == FREE:
        return None
    return read_pod(obj, settings, heard_of)


def read_pod(obj: Mapping[str, Any], settings: LoadSettings, heard_of: float) -> PodLoad:
    """Read a v1 Pod.

    Args:
        obj: the pod.
        settings: by which it is estimated.
        heard_of: when its binding was heard of first, in seconds since the epoch: where its status does not
            say when it was scheduled.
    """
    metadata, status = obj.get("metadata") or {}, obj.get("status") or {}
    scheduled = _since(status, "PodScheduled") or heard_of
    return PodLoad(
        key=(metadata.get("namespace") or "", metadata.get("name") or ""),
        uid=metadata.get("uid") or "",
        node=spec(obj).get("nodeName") or "",
        prod=priority_class(obj) == PROD,
        estimate=estimate(obj, settings),
        scheduled=scheduled,
        estimated_until=_estimated_until(obj, settings, scheduled, _since(status, "Initialized")),
    )


def is_of_daemonset(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has an owner of that kind, controller or not."""
    owners = mappings((pod.get("metadata") or {}).get("ownerReferences"))
    return any(owner.get("kind") == "DaemonSet" for owner in owners)


def estimate(pod: Mapping[str, Any], settings: LoadSettings) -> Vector:
    """Return what a pod is expected to use of each resource: part of its request or limit, what is greater.

    Quantities that cannot be read count as nothing.
    """
    of = priority_class(pod)
    if of == FREE:
        return (0,) * len(settings.resources)
    factors = settings.factors
    if settings.customized and (text := annotations(pod).get(ANNOTATION_LOAD_FACTORS)):
        factors = {**factors, **_custom_factors(text)}
    translated = TRANSLATION.get(of)
    return tuple(_estimate(pod, each, translated, factors.get(each, 0)) for each in settings.resources)


def _estimate(
    pod: Mapping[str, Any], resource: str, translated: Mapping[str, str] | None, factor: int
) -> int:
    name = translated.get(resource) if translated is not None else resource
    if name is None:
        return 0
    try:
        request, limit = pod_request(pod, name), pod_limit(pod, name)
    except QuantityError:
        request = limit = 0
    if resource != CPU or translated is not None:
        # Batch and mid cpu are counted in milli-cores.
        request, limit = -(-request // 1000), -(-limit // 1000)
    asked = max(request, limit)
    if not asked:
        return _NOTHING_ASKED.get(resource, 0)
    expected = rounded(asked * factor, PERCENT)
    return min(expected, limit) if limit else expected


def rounded(amount: int, by: int) -> int:
    """Return a quotient of what is not negative, rounded half up."""
    return (2 * amount + by) // (2 * by)


def _since(status: Mapping[str, Any], kind: str) -> float:
    """Return since when a condition is true, in seconds since the epoch; 0: it is not, or does not say."""
    for condition in mappings(status.get("conditions")):
        if condition.get("type") == kind and condition.get("status") == "True":
            moment = read_moment(condition.get("lastTransitionTime"))
            return moment.timestamp() if moment is not None else 0.0
    return 0.0


def _estimated_until(
    pod: Mapping[str, Any], settings: LoadSettings, scheduled: float, initialized: float
) -> float:
    after_scheduled, after_initialized = settings.after_scheduled, settings.after_initialized
    if settings.customized:
        noted = annotations(pod)
        after_scheduled = _seconds(noted.get(ANNOTATION_AFTER_SCHEDULED), after_scheduled)
        after_initialized = _seconds(noted.get(ANNOTATION_AFTER_INITIALIZED), after_initialized)
    if initialized and after_initialized > 0:
        return initialized + after_initialized
    return scheduled + after_scheduled if after_scheduled > 0 else 0.0


def _seconds(text: str | None, default: int) -> int:
    try:
        seconds = int(text or "")
    except ValueError:
        return default
    return seconds if seconds >= 0 else default


@lru_cache(maxsize=1024)
def _custom_factors(text: str) -> Mapping[str, int]:
    """Return the factors of an annotation; of one that cannot be read none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    whole = isinstance(value, dict) and all(type(each) is int and each >= 0 for each in value.values())
    return value if whole else {}
