"""ResourceQuotas: which pods they select, and whether they refuse pods without native resources.

Source: Kubernetes' quota evaluator of pods (``pkg/quota/v1/evaluator/core``) and its QoS classes,
of version 1.37.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.pods.pod import SECTIONS, containers, mapping, spec
from webhook.pods.quantities import non_negative, text_of
from webhook.protocol import BEST_EFFORT, NATIVE_RESOURCES

WITHOUT_NATIVE: Final = "requires native cpu/memory, which colocated pods do not have"
"""Why a LimitRange or ResourceQuota may refuse a pod."""
_AFFINITIES: Final = ("podAffinity", "podAntiAffinity")
_HUGEPAGES: Final = "hugepages-"

Pod = Mapping[str, Any]


class Scope(NamedTuple):
    """One requirement that pods must meet for a quota to select them; values are of PriorityClass only."""

    name: str
    operator: str = "Exists"
    values: frozenset[str] = frozenset()


class ResourceQuota(NamedTuple):
    """What is kept of a ``v1 ResourceQuota``.

    Attributes:
        scopes: of ``spec.scopes`` and ``spec.scopeSelector``; all must hold.
        counts_native: it counts native cpu or memory.
    """

    name: str
    scopes: tuple[Scope, ...]
    counts_native: bool

    def selects(self, pod: Pod) -> bool:
        """Return whether the quota counts a pod."""
        return all(_holds(scope, pod) for scope in self.scopes)

    def refusal(self, pod: Pod) -> str | None:
        """Say why the quota may refuse a translated pod, None if it does not concern the pod."""
        if self.scopes and not self.selects(pod):
            return None
        if self.counts_native and not has_pod_level(pod):
            return WITHOUT_NATIVE
        if any(scope.name == BEST_EFFORT for scope in self.scopes):
            return "counts BestEffort pods, which colocated pods are without native cpu/memory"
        return None


def is_best_effort(pod: Pod) -> bool:
    """Return whether a pod is of Kubernetes' QoS class BestEffort: no native cpu or memory but zero."""
    listed = [spec(pod)] if has_pod_level(pod) else [container.value for container in containers(pod)]
    return not any(map(_has_native, listed))


def has_pod_level(pod: Pod) -> bool:
    """Return whether a pod has resources at its own level; a quota then asks nothing of its containers."""
    resources = spec(pod).get("resources")
    if not resources:
        return False
    return any(
        name in NATIVE_RESOURCES or name.startswith(_HUGEPAGES)
        for section in SECTIONS
        for name in resources.get(section) or ()
    )


def _has_native(holder: Mapping[str, Any]) -> bool:
    resources = holder.get("resources") or {}
    return any(
        non_negative(text_of(quantities[name]))
        for quantities in (resources.get(section) or {} for section in SECTIONS)
        for name in NATIVE_RESOURCES
        if name in quantities
    )


def _holds(scope: Scope, pod: Pod) -> bool:
    if scope.name == BEST_EFFORT:
        return is_best_effort(pod)
    match scope.name:
        case "Terminating" | "NotTerminating":
            return _terminating(pod) is (scope.name == "Terminating")
        case "NotBestEffort":
            return not is_best_effort(pod)
        case "PriorityClass":
            return _of_class(scope, spec(pod).get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return any(_crosses(term) for term in _affinity_terms(pod))
    return False  # the API server counts pods by no other scope


def _terminating(pod: Pod) -> bool:
    deadline = spec(pod).get("activeDeadlineSeconds")
    return isinstance(deadline, int) and deadline >= 0


def _of_class(scope: Scope, name: str) -> bool:
    match scope.operator:
        case "In":
            return name in scope.values
        case "NotIn":
            return name not in scope.values
        case "Exists":
            return bool(name)
        case "DoesNotExist":
            return not name
    return False


def _crosses(term: Mapping[str, Any]) -> bool:
    return bool(term.get("namespaces")) or term.get("namespaceSelector") is not None


def _affinity_terms(pod: Pod) -> Iterator[Mapping[str, Any]]:
    """Yield the terms of a pod's affinities; nobody has checked types: wrong ones are passed over."""
    for kind in _AFFINITIES:
        affinity = mapping(mapping(spec(pod).get("affinity")).get(kind))
        yield from _maps(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))
        for weighted in _maps(affinity.get("preferredDuringSchedulingIgnoredDuringExecution")):
            yield mapping(weighted.get("podAffinityTerm"))


def _maps(value: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
