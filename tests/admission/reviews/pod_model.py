"""What shall become of a pod: the rules, plain and slow, on deep copies.

An independent model of the specification, with which random pods and Koordinator's
answers are compared. Each point in which the project differs from Koordinator on
purpose can be switched: with no point the model does what Koordinator does, with
all of them what the project does. Point 7 is Admission §3.7 of
docs/specification.md, and so on (see ``reference.MEANINGS``); "gpu" is Koordinator's panic
on GPU containers without limits (Admission §2).
"""

import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from tests.admission.mutating.merge_model import merged
from tests.admission.reviews.translation_model import (
    BANDS,
    PRIORITY,
    QOS,
    SECTIONS,
    SPEC,
    Json,
    Points,
    Refused,
    annotate,
    complete_gpus,
    containers,
    translate,
)
from tests.pods.quantity_model import in_milli, value_of

POINTS: Points = frozenset({"1", "2", "3", "5", "6", "7", "10", "11", "gpu"})
OPERATORS = {"In", "NotIn", "Exists", "DoesNotExist"}
MERGED = {"containers", "initContainers", "volumes"}
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)


def holds(selector: Json | None, labels: Mapping[str, str]) -> bool | None:
    """Tell whether labels meet a selector; None: the selector is not valid."""
    clauses = [
        {"key": k, "operator": "In", "values": [v]}
        for k, v in ((selector or {}).get("matchLabels") or {}).items()
    ]
    clauses += (selector or {}).get("matchExpressions") or []
    if any(
        (c["operator"] not in OPERATORS) or (c["operator"] in {"In", "NotIn"}) != bool(c.get("values"))
        for c in clauses
    ):
        return None
    met = {
        "In": lambda key, values: key in labels and labels[key] in values,
        "NotIn": lambda key, values: key not in labels or labels[key] not in values,
        "Exists": lambda key, _: key in labels,
        "DoesNotExist": lambda key, _: key not in labels,
    }
    return all(met[c["operator"]](c["key"], c.get("values") or []) for c in clauses)


def intended(
    review: Json, objects: Iterable[Json], points: Points = POINTS, taken: frozenset[str] | None = None
) -> Json:
    """Return the pod of a CREATE review as it shall be.

    Args:
        review: the AdmissionReview.
        objects: the profiles, PriorityClasses and Namespaces.
        points: in which points of Admission §3 it shall differ from Koordinator.
        taken: which matching profiles the dice take; None: all but those of 0 %.

    Raises:
        Refused: the pod is denied.
    """
    request = review["request"]
    pod = deepcopy(request["object"])
    check(pod)
    metadata = pod.setdefault("metadata", {})
    for field in ("labels", "annotations"):
        metadata[field] = metadata.get(field) or {}
    profiles = sorted(of_kind(objects, "ClusterColocationProfile"), key=lambda p: p["metadata"]["name"])
    classes = {f"koord-{name[6:]}": (band * 1000, None) for name, band in BANDS.items()}
    classes |= {
        c["metadata"]["name"]: (c["value"], c.get("preemptionPolicy"))
        for c in of_kind(objects, "PriorityClass")
    }
    arrived = dict(metadata["labels"])
    matching = [p for p in profiles if _matches(p, arrived, request["namespace"], objects, points)]
    applied = [p for p in matching if _taken(p, taken)]
    for profile in applied:
        _apply(pod, profile["spec"], classes, points)
    counting = applied if "2" in points else matching
    skipping = any(
        "config.koordinator.sh/skip-update-resources" in (p["metadata"].get("annotations") or {})
        for p in counting
    )
    if counting and not skipping:
        translate(pod, points)
    complete_gpus(pod, points)
    annotate(pod, points)
    doubtful = any(
        ((p["spec"].get("patch") or {}).get("spec") or {}).keys() & MERGED
        or (p["spec"].get("koordinatorPriority") or 0) < 0
        for p in applied
    )
    if doubtful and "10" in points and (refused := _invalid(pod) - _invalid(request["object"])):
        raise Refused(str(refused))
    return pod


def _invalid(pod: Json) -> set[tuple[str, str]]:
    """Return what the API server refuses, as far as tests go: where, and what."""
    spec, labels = pod.get("spec") or {}, (pod.get("metadata") or {}).get("labels") or {}
    found = {("label", f"{k}={v}") for k, v in labels.items() if not LABEL_VALUE.fullmatch(v)}
    found |= {("pod", name) for name in _over(spec)} | {("sum", name) for name in _too_little(spec)}
    if not spec.get("containers"):
        found.add(("pod", "containers"))
    for container in containers(pod):
        found |= {(container["name"], name) for name in _over(container)}
        if not container.get("image"):
            found.add((container["name"], "image"))
    return found


def _over(holder: Json) -> set[str]:
    """Return the resources with more requests than limits, or with other ones where they must be equal."""
    requests, limits = (_amounts(holder, section) for section in SECTIONS)
    return {
        name.replace("kubernetes.io/batch-", "").replace("kubernetes.io/mid-", "")
        for name, request in requests.items()
        if (name in limits and in_milli(request) > in_milli(limits[name]))
        or (
            ("/" in name and "kubernetes.io/" not in name)
            and (name not in limits or in_milli(request) != in_milli(limits[name]))
        )
    }


def _too_little(spec: Json) -> set[str]:
    """Return the resources of which the pod's level holds less than the containers."""
    limits = _amounts(spec, "limits")
    found = set()
    for name, quantity in (limits | _amounts(spec, "requests")).items():
        running = sidecars = starting = 0
        for container in spec.get("initContainers") or ():
            own = in_milli(_wanted(container).get(name, "0"))
            starting = max(starting, sidecars + own)
            sidecars += own if container.get("restartPolicy") == "Always" else 0
        for container in spec.get("containers") or ():
            running += in_milli(_wanted(container).get(name, "0"))
            limit = _amounts(container, "limits").get(name)
            if limit is not None and name in limits and in_milli(limit) > in_milli(limits[name]):
                found.add(f"limit of {name}")
        if max(running + sidecars, starting) > in_milli(quantity):
            found.add(name)
    return found


def _wanted(container: Json) -> Json:
    """Return the requests, with a limit where there is none."""
    return _amounts(container, "limits") | _amounts(container, "requests")


def _amounts(holder: Json, section: str) -> Json:
    return (holder.get("resources") or {}).get(section) or {}


def check(pod: Json) -> None:
    """Refuse what does not decode as a Pod, as far as tests go."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    texts = [*(metadata.get("labels") or {}).values(), *(metadata.get("annotations") or {}).values()]
    if not all(isinstance(text, str) for text in texts):
        raise Refused("labels and annotations are strings")
    if not isinstance(spec.get("priority") or 0, int):
        raise Refused("the priority is an integer")
    for kind in ("initContainers", "containers"):
        if not isinstance(spec.get(kind) or [], list):
            raise Refused("containers are a list")
    holders = [*containers(pod), spec, {"resources": {"requests": spec.get("overhead")}}]
    for holder in holders:
        for section in SECTIONS:
            for raw in ((holder.get("resources") or {}).get(section) or {}).values():
                if value_of(raw) is None:
                    raise Refused(f"{raw} is not a quantity")


def of_kind(objects: Iterable[Json], kind: str) -> list[Json]:
    """Return the objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def _matches(
    profile: Json, labels: Mapping[str, str], namespace: str, objects: Iterable[Json], points: Points
) -> bool:
    known = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in of_kind(objects, "Namespace")}
    spec = profile["spec"]
    on_pod = holds(spec.get("selector"), labels)
    if namespace in known or "1" in points:
        on_namespace = holds(
            spec.get("namespaceSelector"),
            known.get(namespace, {}) | {"kubernetes.io/metadata.name": namespace},
        )
    else:
        on_namespace = True  # Koordinator: an error counts as a match
    if None in (on_pod, on_namespace):
        if "1" in points:
            return False
        return on_pod is not False and on_namespace is not False
    return bool(on_pod and on_namespace)


def _taken(profile: Json, taken: frozenset[str] | None) -> bool:
    if taken is not None:
        return profile["metadata"]["name"] in taken
    return profile["spec"].get("probability") not in (0, "0%")


def _apply(pod: Json, spec: Json, classes: Mapping[str, tuple[int, str | None]], points: Points) -> None:
    labels, annotations = pod["metadata"]["labels"], pod["metadata"]["annotations"]
    labels |= spec.get("labels") or {}
    annotations |= spec.get("annotations") or {}
    for field, values in (("labelKeysMapping", labels), ("annotationKeysMapping", annotations)):
        for source, target in sorted((spec.get(field) or {}).items()):
            if source in values or "3" not in points:
                values[target] = values.get(source, "")
    for key, suffix in sorted((spec.get("labelSuffixes") or {}).items()):
        if key in labels:
            labels[key] += suffix
            if not LABEL_VALUE.fullmatch(labels[key]):
                raise Refused(key)
    if spec.get("schedulerName"):
        pod["spec"]["schedulerName"] = spec["schedulerName"]
    if spec.get("qosClass"):
        labels[QOS] = spec["qosClass"]
    if spec.get("priorityClassName"):
        _set_class(pod, spec["priorityClassName"], classes)
    if spec.get("koordinatorPriority") is not None:
        labels[PRIORITY] = str(spec["koordinatorPriority"])
    if spec.get("patch"):
        _patch(pod, spec["patch"], classes, points)


def _set_class(pod: Json, name: str, classes: Mapping[str, tuple[int, str | None]]) -> None:
    if name not in classes:
        raise Refused(name)
    value, policy = classes[name]
    pod["spec"] |= {
        "priorityClassName": name,
        "priority": value,
        "preemptionPolicy": policy or "PreemptLowerPriority",
    }


def _patch(pod: Json, patch: Json, classes: Mapping[str, tuple[int, str | None]], points: Points) -> None:
    fields = ("priorityClassName", "priority", "preemptionPolicy")
    before = {f: pod["spec"].get(f) for f in fields}
    result = merged(pod, patch)
    pod["metadata"], pod["spec"] = result["metadata"], result["spec"]
    pod["spec"].pop("noSuchField", None)  # what a Pod does not have is left out
    for field in ("labels", "annotations"):
        pod["metadata"][field] = pod["metadata"].get(field) or {}
    if "6" in points and before != {f: pod["spec"].get(f) for f in fields}:
        if pod["spec"].get("priorityClassName"):
            _set_class(pod, pod["spec"]["priorityClassName"], classes)
        else:
            for field, value in before.items():
                pod["spec"].pop(field, None)
                if value is not None:
                    pod["spec"][field] = value


def plain(pod: Json) -> Json:
    """Return a pod as it is compared: Go's view of it, without what is empty.

    Quantities are numbers, so is what extended-resource-spec holds; annotations of
    our own and whatever is empty, false or 0 are left out.
    """
    result: Json = _plain(pod, ())
    return result


def _plain(value: Any, path: tuple[str, ...]) -> Any:
    if path[-1:] in {("requests",), ("limits",), ("overhead",)} and isinstance(value, dict):
        return {k: v for k, raw in value.items() if (v := value_of(raw)) or isinstance(raw, str)}
    if path == ("metadata", "annotations") and isinstance(value, dict):
        value = {k: v for k, v in value.items() if not k.startswith("colocation-webhook.io/")}
        if SPEC in value:
            value[SPEC] = _plain_spec(value[SPEC])
    if isinstance(value, dict):
        pruned = {k: _plain(v, (*path, k)) for k, v in value.items()}
        return {k: v for k, v in pruned.items() if v or (isinstance(v, str) and v)}
    if isinstance(value, list):
        return [_plain(item, (*path, "[]")) for item in value]
    return value


def _plain_spec(text: str) -> Any:
    try:
        return {
            name: {
                s: {r: value_of(q) for r, q in (quantities or {}).items()}
                for s, quantities in sections.items()
            }
            for name, sections in (json.loads(text).get("containers") or {}).items()
        }
    except (ValueError, AttributeError):
        return text
