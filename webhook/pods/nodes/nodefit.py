"""Whether a pod may be bound to a node: its node selector, its required node affinity, and the node's taints.

What a scheduler has to obey whatever its plugins are. Source: Kubernetes' component-helpers,
``scheduling/corev1`` (node affinity, tolerations), which kube-scheduler and the kubelet share.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from webhook.pods.pod import labels, spec
from webhook.pods.text import shown

_Object = Mapping[str, Any]

_KEEPS_OUT: Final = frozenset({"NoSchedule", "NoExecute"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")


def misfit(pod: _Object, node: _Object) -> str:
    """Say why a pod may not be bound to a node, "" where it may.

    Args:
        pod: a v1 Pod.
        node: a v1 Node: labels, name and ``spec.taints`` are read.
    """
    name, has = node["metadata"]["name"], labels(node)
    for key, value in (spec(pod).get("nodeSelector") or {}).items():
        if has.get(key) != value:
            found = shown(has[key]) if key in has else "no such label"
            return f"the pod's nodeSelector asks for {key}={value}; {name} has {found}"
    affinity = (spec(pod).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required and not any(_selects(term, node) for term in required.get("nodeSelectorTerms") or ()):
        return f"no term of the pod's required node affinity selects {name}"
    tolerations = spec(pod).get("tolerations") or ()
    for taint in spec(node).get("taints") or ():
        if taint.get("effect") in _KEEPS_OUT and not _tolerated(taint, tolerations):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"the pod does not tolerate the taint {taint['key']}{value}:{taint['effect']} of {name}"
    return ""


def _selects(term: _Object, node: _Object) -> bool:
    """Whether all requirements of a term are met; a term without any selects nothing."""
    expressions, of_fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    fields = {"metadata.name": node["metadata"]["name"]}
    met = [_meets(each, labels(node)) for each in expressions] + [_meets(each, fields) for each in of_fields]
    return bool(met) and all(met)


def _meets(requirement: _Object, has: Mapping[str, str]) -> bool:
    value, values = has.get(requirement["key"]), requirement.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
        "Gt": _compared(value, values, int.__gt__),
        "Lt": _compared(value, values, int.__lt__),
    }.get(requirement["operator"], False)


def _tolerated(taint: _Object, tolerations: Iterable[_Object]) -> bool:
    return any(_tolerates(each, taint) for each in tolerations)


def _tolerates(toleration: _Object, taint: _Object) -> bool:
    key, value, wanted = toleration.get("key"), taint.get("value") or "", toleration.get("value") or ""
    if toleration.get("effect") not in (None, "", taint["effect"]) or key not in (None, "", taint["key"]):
        return False
    return {
        "Exists": True,
        "Equal": bool(key) and value == wanted,
        "Gt": _compared(value, [wanted], int.__gt__),
        "Lt": _compared(value, [wanted], int.__lt__),
    }.get(toleration.get("operator") or "Equal", False)


def _compared(value: str | None, values: Iterable[str], holds: Callable[[int, int], bool]) -> bool:
    """Whether two integers compare so; whatever is no integer does not."""
    texts = [value or "", *values]
    if len(texts) != 2 or not all(_INTEGER.fullmatch(text) for text in texts):  # noqa: PLR2004 — one on each side
        return False
    return holds(int(texts[0]), int(texts[1]))
