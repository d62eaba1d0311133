"""What a pod's resources and annotations become, plain and slow: a part of ``pod_model``."""

import json
from collections.abc import Mapping
from typing import Any

from tests.pods.quantity_model import in_milli, in_units

Json = dict[str, Any]
Points = frozenset[str]
SPEC = "node.koordinator.sh/extended-resource-spec"
QOS, PRIORITY, CLASS = "koordinator.sh/qosClass", "koordinator.sh/priority", "koordinator.sh/priority-class"
BANDS = {"koord-prod": 9, "koord-mid": 7, "koord-batch": 5, "koord-free": 3}
NATIVE = ("cpu", "memory")
SECTIONS = ("requests", "limits")


class Refused(Exception):  # noqa: N818 — an outcome, not a fault
    """The pod is denied."""


def effective_class(pod: Json) -> str:
    """Return batch, mid, prod or free."""
    labels = pod["metadata"]["labels"]
    if CLASS in labels:
        if labels[CLASS] in BANDS:
            return str(labels[CLASS])
    else:
        for name, band in BANDS.items():
            if (pod["spec"].get("priority") or 0) // 1000 == band:
                return name
    return "koord-batch" if labels.get(QOS) == "BE" else "koord-prod"


def containers(pod: Json) -> list[Json]:
    """Return the init containers and the others."""
    return [*(pod["spec"].get("initContainers") or []), *(pod["spec"].get("containers") or [])]


def _section(container: Json, section: str) -> Json:
    resources = container.get("resources") or {}
    container["resources"] = resources
    resources[section] = resources.get(section) or {}
    found: Json = resources[section]
    return found


def translate(pod: Json, points: Points) -> None:
    """Let a pod of batch or mid ask for its class's resources instead of native ones."""
    word = {"koord-batch": "batch", "koord-mid": "mid"}.get(effective_class(pod))
    if word is None:
        return
    names = {resource: f"kubernetes.io/{word}-{resource}" for resource in NATIVE}
    if "7" in points:
        _dissolve(pod, names)
    elif pod["spec"].get("overhead"):
        _translate_map(pod["spec"]["overhead"], names, points)
    for container in containers(pod):
        owners = {
            name: [section for section in SECTIONS if name in _section(container, section)]
            for name in names.values()
        }
        for section in SECTIONS:
            _translate_map(_section(container, section), names, points)
        for native, name in names.items():
            if "5" in points and len(owners[name]) == 1:
                _yield_to(container, owners[name][0], native, name)
        for name in names.values():
            if name in _section(container, "limits"):
                _section(container, "requests").setdefault(name, _section(container, "limits")[name])


def _yield_to(container: Json, owner: str, native: str, name: str) -> None:
    """Take a translated figure back that contradicts the one that was there."""
    request, limit = (_figure(container, section, native, name) for section in SECTIONS)
    if request is not None and limit is not None and request > limit:
        del _section(container, "limits" if owner == "requests" else "requests")[name]


def _translate_map(quantities: Json, names: Mapping[str, str], points: Points) -> None:
    for native, name in names.items():
        if native in quantities:
            value = quantities.pop(native)
            if "5" not in points or name not in quantities:
                quantities[name] = str(in_milli(value)) if native == "cpu" else str(value)


def _dissolve(pod: Json, names: Mapping[str, str]) -> None:
    """Give the containers what the pod level asks for beyond them; no request above its limit."""
    level = pod["spec"].get("resources") or {}
    sidecars = [c for c in pod["spec"].get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    for native, name in names.items():
        count = in_milli if native == "cpu" else in_units
        present = [section for section in SECTIONS if native in (level.get(section) or {})]
        for section in present:
            total = count(level[section].pop(native))
            figures = [_figure(c, section, native, name) for c in (*pod["spec"]["containers"], *sidecars)]
            rest = total - sum(figure or 0 for figure in figures)
            if rest > 0:
                _spread(pod["spec"]["containers"], section, native, name, rest)
        for container in pod["spec"]["containers"] if present else ():
            request, limit = (_figure(container, section, native, name) for section in SECTIONS)
            if request is not None and limit is not None and request > limit:
                _give(container, "limits", native, name, request)


def _spread(containers: list[Json], section: str, native: str, name: str, rest: int) -> None:
    """Share ``rest`` among the containers without a figure, else give it to the first one.

    Parts are equal and keep the sum, but nobody's limit is below its request.
    """
    poor = [c for c in containers if _figure(c, section, native, name) is None]
    if not poor:
        first = containers[0]
        _give(first, section, native, name, (_figure(first, section, native, name) or 0) + rest)
        return
    needs = [(_figure(c, "requests", native, name) or 0) if section == "limits" else 0 for c in poor]
    greedy: set[int] = set()  # those whose need is more than an equal part of what the others leave
    while True:
        others = [i for i in range(len(poor)) if i not in greedy]
        left = max(rest - sum(needs[i] for i in greedy), 0)
        more = {i for i in others if needs[i] > left // len(others)}
        if not more:
            break
        greedy |= more
    for i, container in enumerate(poor):
        if i in greedy:
            _give(container, section, native, name, needs[i])
        else:
            place = others.index(i)
            _give(container, section, native, name, left // len(others) + (place < left % len(others)))


def _figure(container: Json, section: str, native: str, name: str) -> int | None:
    """Return what a container asks for itself, translated or not: milli-cores or bytes."""
    quantities = _section(container, section)
    if name in quantities:
        return in_units(quantities[name])
    if native in quantities:
        return (in_milli if native == "cpu" else in_units)(quantities[native])
    return None


def _give(container: Json, section: str, native: str, name: str, figure: int) -> None:
    _section(container, section)[name] = str(figure)
    _section(container, section).pop(native, None)


def complete_gpus(pod: Json, points: Points) -> None:
    """Complete what containers say of GPUs."""
    prefix = "koordinator.sh/gpu"
    for container in pod["spec"].get("containers") or []:
        requests, limits = (dict((container.get("resources") or {}).get(s) or {}) for s in SECTIONS)
        if not any(name.startswith(prefix) for name in (*requests, *limits)):
            continue
        if not limits and "gpu" not in points:
            raise Refused("Koordinator panics")
        if prefix in requests:
            both = {f"{prefix}-core": requests[prefix], f"{prefix}-memory-ratio": requests[prefix]}
            requests |= both
            limits |= both
            del requests[prefix]
            limits.pop(prefix, None)
        if f"{prefix}.shared" not in requests:
            ratio = in_units(requests.get(f"{prefix}-memory-ratio", requests.get(f"{prefix}-core", 0)))
            cards = ratio // 100 if ratio > 100 and ratio % 100 == 0 else 1
            requests[f"{prefix}.shared"] = limits[f"{prefix}.shared"] = str(cards)
        container["resources"] = (container.get("resources") or {}) | {"requests": requests, "limits": limits}


def annotate(pod: Json, points: Points) -> None:
    """Write the batch figures of each container into the annotation."""
    annotations = pod["metadata"]["annotations"]
    if SPEC in annotations and "11" not in points:
        try:
            json.loads(annotations[SPEC])
        except ValueError:
            raise Refused("Koordinator answers with a 5xx") from None
    described = {}
    for kind in ("initContainers", "containers"):
        for container in pod["spec"].get(kind) or []:
            sidecar = container.get("restartPolicy") == "Always" and "7" in points
            if kind == "initContainers" and not sidecar:
                continue
            sections = {
                section: {
                    name: str(value)
                    for name, value in ((container.get("resources") or {}).get(section) or {}).items()
                    if name in ("kubernetes.io/batch-cpu", "kubernetes.io/batch-memory")
                }
                for section in SECTIONS
            }
            sections = {section: quantities for section, quantities in sections.items() if quantities}
            if sections:
                described[container["name"]] = sections
    annotations.pop(SPEC, None)
    if described:
        annotations[SPEC] = json.dumps({"containers": described})
