"""What a kube-scheduler asks: bodies of its calls, read and checked.

Source: ``k8s.io/kube-scheduler/extender/v1``. Absent parts are ``null``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from webhook.admission.podedit import Denied, check_shape
from webhook.admission.review import ReviewError
from webhook.pods.text import shown

Object = Mapping[str, Any]
Victims = Mapping[str, list[str]]


class QuestionError(ReviewError):
    """A scheduler's call in which a field is wrong; the message names it, its value and the remedy."""


class Candidates(NamedTuple):
    """A pod and the nodes in question, of ``ExtenderArgs``.

    Attributes:
        pod: a v1 Pod with a uid, of which the shape is right.
        names: of the nodes.
        nodes: the Nodes themselves, by name, where the scheduler sends them; None: names only.
    """

    pod: Object
    names: list[str]
    nodes: Mapping[str, Object] | None


class Evictions(NamedTuple):
    """A pod and whom it would replace, of ``ExtenderPreemptionArgs``.

    Attributes:
        pod: as in ``Candidates``.
        victims: the uids of pods by node; no node without any.
        violations: of PodDisruptionBudgets, by node.
    """

    pod: Object
    victims: Victims
    violations: Mapping[str, int]


def read_candidates(body: bytes) -> Candidates:
    """Read ``ExtenderArgs``; raises ReviewError, QuestionError where a field is wrong."""
    of = _object(body)
    pod = _pod(of)
    names, nodes = of.get("NodeNames"), of.get("Nodes")
    if names is not None:
        if not isinstance(names, list) or not set(map(type, names)) <= {str}:
            raise QuestionError(f"NodeNames: must be a list of names, not {shown(names)}")
        return Candidates(pod, names, None)
    items = nodes.get("items") if isinstance(nodes, dict) else None
    if nodes is None or not isinstance(items, (list, type(None))):
        raise QuestionError("Nodes, NodeNames: both are absent: the scheduler names the nodes in one of them")
    found = {_name(item, f"Nodes.items[{i}]"): item for i, item in enumerate(items or ())}
    return Candidates(pod, list(found), found)


def read_evictions(body: bytes) -> Evictions:
    """Read ``ExtenderPreemptionArgs``; raises ReviewError, QuestionError where a field is wrong."""
    of = _object(body)
    pod = _pod(of)
    for field, uid_of in (("NodeNameToMetaVictims", _meta_uid), ("NodeNameToVictims", _pod_uid)):
        by_node = of.get(field)
        if by_node is None:
            continue
        if not isinstance(by_node, dict):
            raise QuestionError(f"{field}: must be an object of nodes, not {shown(by_node)}")
        victims, violations = {}, {}
        for node, value in by_node.items():
            at = f"{field}[{node[:64]}]"
            pods = value.get("Pods") if isinstance(value, dict) else None
            if not isinstance(value, dict) or not isinstance(pods, (list, type(None))):
                raise QuestionError(f"{at}: must be an object with Pods, not {shown(value)}")
            victims[node] = [uid_of(each, f"{at}.Pods[{i}]") for i, each in enumerate(pods or ())]
            violations[node] = _count(value.get("NumPDBViolations"), f"{at}.NumPDBViolations")
        return Evictions(pod, victims, violations)
    raise QuestionError("NodeNameToVictims, NodeNameToMetaVictims: both are absent: one names the candidates")


def _object(body: bytes) -> dict[str, Any]:
    try:
        of = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ReviewError(f"the body is no JSON: {error}") from None
    if not isinstance(of, dict):
        raise ReviewError(f"the body must be an object with Pod and nodes, not {shown(of)}")
    return of


def _pod(of: Mapping[str, Any]) -> Object:
    pod = of.get("Pod")
    if not isinstance(pod, dict):
        raise QuestionError(f"Pod: must be an object, not {shown(pod)}")
    try:
        check_shape(pod)
    except Denied as error:
        raise QuestionError(f"Pod.{error}") from None
    metadata = pod.get("metadata") or {}
    for field in ("uid", "name", "namespace"):
        value = metadata.get(field)
        if not isinstance(value, str) or not value:
            raise QuestionError(f"Pod.metadata.{field}: must be a text, not {shown(value)}")
    if not isinstance(pod.get("status"), (dict, type(None))):
        raise QuestionError(f"Pod.status: must be an object, not {shown(pod['status'])}")
    return pod


def _name(item: object, at: str) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise QuestionError(f"{at}.metadata.name: must be a text, not {shown(name)}")
    return name


def _meta_uid(each: object, at: str) -> str:
    return _text(each.get("UID") if isinstance(each, dict) else None, f"{at}.UID")


def _pod_uid(each: object, at: str) -> str:
    metadata = each.get("metadata") if isinstance(each, dict) else None
    return _text(metadata.get("uid") if isinstance(metadata, dict) else None, f"{at}.metadata.uid")


def _text(value: object, at: str) -> str:
    if not isinstance(value, str) or not value:
        raise QuestionError(f"{at}: must be a text, not {shown(value)}")
    return value


def _count(value: object, at: str) -> int:
    """Return a number of what may be left out; none is 0."""
    if value is None:
        return 0
    if type(value) is not int or value < 0:
        raise QuestionError(f"{at}: must be a whole number from 0, not {shown(value)}")
    return value
