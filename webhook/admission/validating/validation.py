"""The checks of a pod against the validation rules.

``webhook.admission.validating.rules`` names the rules. An UPDATE is not denied for rules
that the stored pod broke already: an old pod must stay changeable, and so deletable.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.admission.validating import rules
from webhook.admission.validating.rules import RULES, matrix_rule
from webhook.cpuset.cpulist import format_cpulist
from webhook.pods.pod import SECTIONS, Container, annotations, containers, labels, spec
from webhook.pods.priority import raw_class
from webhook.pods.quantities import NANO, parse, text_of
from webhook.pods.requests import pod_request
from webhook.pods.resourcespec import BOUND_CLASSES
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_RESERVE_POD,
    ANNOTATION_RESOURCE_STATUS,
    BATCH_RESOURCES,
    COLOCATION_RESOURCES,
    CPU,
    LABEL_PRIORITY,
    LABEL_QOS_CLASS,
    NATIVE_RESOURCES,
    NONE,
    QOS_CLASSES,
    QOS_PRIORITY_MATRIX,
    SCHEDULER_ANNOTATIONS,
    Action,
    QoSClass,
)

Pod = Mapping[str, Any]
_POD_LEVEL: Final = ""
"""In the place of a container's kind: what holds the resources is the pod itself."""


Follow = Callable[[Pod, Pod], str]
"""Says why the CPU set of a pod cannot become that of its new request, given the new pod and the old one; "":
it can, or there is none."""


class Violation(NamedTuple):
    """A rule that a pod breaks unless the rule is off; the message names field, value and remedy."""

    rule: str
    message: str


def keep(_pod: Pod, old: Pod) -> str:
    """Say that a CPU set stays as it is: where nothing here gives CPU sets, nothing changes them either."""
    try:
        cpus = given_cpus(old)
    except StatusError:
        return ""
    return fixed(cpus) if cpus else ""


def fixed(cpus: frozenset[int]) -> str:
    """Say that a resize cannot change a pod's CPU set."""
    held = f"the pod holds the CPU set {format_cpulist(cpus)} of {len(cpus)} CPUs"
    return f"{held}, which a resize cannot change: delete it and create it again"


def violations(pod: Pod, old: Pod | None, *, resize: bool = False, follow: Follow = keep) -> list[Violation]:
    """Return the rules that ``pod`` breaks.

    Args:
        pod: the pod that will be stored.
        old: the stored pod, on an update; violations that it has already are left out.
        resize: the update uses the subresource ``pods/resize``.
        follow: whether CPU sets follow a new request.
    """
    found = list(_state(pod))
    if old is None:
        if not SCHEDULER_ANNOTATIONS.isdisjoint(annotations(pod)):
            found += _scheduled(pod)
    else:
        known = set(_state(old))
        found = [violation for violation in found if violation not in known]
        found += _transition(pod, old)
        if spec(pod) != spec(old):  # else nothing is resized: nearly all updates are of that kind
            found += _cpu_set(pod, old, follow)
        if resize:
            found += _resize(pod, old)
    return found


def action_of(rule: str, overrides: Mapping[str, Action]) -> Action:
    """Return the action of a rule: from the settings, or else its default."""
    return overrides.get(rule, RULES[rule].action)


def _scheduled(pod: Pod) -> Iterator[Violation]:
    """Yield annotations that a scheduler adds, and that are believed whoever wrote them."""
    for key in sorted(SCHEDULER_ANNOTATIONS & annotations(pod).keys()):
        message = f"metadata.annotations[{key}]: only the scheduler sets it: remove it"
        yield Violation(rules.SCHEDULER_RULE, message)


def _state(pod: Pod) -> Iterator[Violation]:
    qos = labels(pod).get(LABEL_QOS_CLASS, "")
    if ANNOTATION_RESERVE_POD in annotations(pod):
        yield Violation(
            rules.RESERVE_POD,
            f"metadata.annotations[{ANNOTATION_RESERVE_POD}]: only the scheduler sets it: remove it",
        )
    if qos and qos not in QOS_CLASSES:
        yield Violation(
            rules.QOS_CLASS_KNOWN,
            f"metadata.labels[{LABEL_QOS_CLASS}]: {shown(qos)} is not one of "
            f"{', '.join(sorted(QOS_CLASSES))}",
        )
    yield from _matrix(pod, qos)
    stated = list(containers(pod))
    if spec(pod).get("resources"):
        stated.append(Container(_POD_LEVEL, 0, spec(pod)))
    if qos == QoSClass.BE:
        yield from _native_resources(stated)
    else:
        yield from _batch_resources(stated, qos)
    if qos in BOUND_CLASSES:
        yield from _whole_cpus(pod, qos)
        yield from _request_equals_limit(stated, qos)


def _matrix(pod: Pod, qos: str) -> Iterator[Violation]:
    row = qos if qos in QOS_PRIORITY_MATRIX else NONE
    column = _raw_class(pod) or NONE
    # Every cell is reported, so that one which is allowed by default can be forbidden.
    stated = "no priority class" if column == NONE else f"priority class {column}"
    fitting = [c for c, action in QOS_PRIORITY_MATRIX[row].items() if action == Action.OFF]
    yield Violation(
        matrix_rule(row, column),
        f"label {LABEL_QOS_CLASS}: QoS {qos or NONE} does not go with {stated}: use {' or '.join(fitting)}",
    )


def _native_resources(stated: list[Container]) -> Iterator[Violation]:
    for holder in stated:
        found = {
            resource
            for section in SECTIONS
            for resource in NATIVE_RESOURCES
            if resource in holder.quantities(section)
        }
        if found:
            yield Violation(
                rules.BE_NATIVE_RESOURCES,
                f"{_at(holder)}.resources: native {' and '.join(sorted(found))} in a BE pod: "
                "did a batch profile match it?",
            )


def _batch_resources(stated: list[Container], qos: str) -> Iterator[Violation]:
    for holder in stated:
        for section in SECTIONS:
            for resource in BATCH_RESOURCES:
                if resource in holder.quantities(section):
                    yield Violation(
                        rules.BATCH_NEEDS_BE,
                        f"{_at(holder)}.resources.{section}[{resource}]: batch resources need the "
                        f"label {LABEL_QOS_CLASS}=BE, the pod has {qos or 'none'}",
                    )
                    return


def _whole_cpus(pod: Pod, qos: str) -> Iterator[Violation]:
    milli = pod_request(pod, CPU)
    if not milli or milli % 1000:
        shown = f"{milli / 1000:g}"
        level = CPU in Container(_POD_LEVEL, 0, spec(pod)).quantities("requests")
        at = "spec.resources" if level else "spec.containers[*].resources"
        yield Violation(
            rules.WHOLE_CPUS,
            f"{at}.requests[cpu]: {shown} in all; a pod of QoS {qos} "
            "gets whole CPUs: request a whole number, not zero",
        )


def _request_equals_limit(stated: list[Container], qos: str) -> Iterator[Violation]:
    """Compare CPU request and limit where they say what the pod owns.

    That is the pod's level where it states CPU; its containers then share these CPUs, each within
    bounds of its own.
    """
    levels = [holder for holder in stated if holder.kind == _POD_LEVEL]
    owned = [level for level in levels if any(CPU in level.quantities(section) for section in SECTIONS)]
    for holder in owned or (holder for holder in stated if holder.kind != _POD_LEVEL):
        request, limit = (_cpu(holder, section) for section in SECTIONS)
        if request != limit:
            yield Violation(
                rules.REQUEST_EQUALS_LIMIT,
                f"{_at(holder)}.resources: CPU request {_shown(request)} and limit {_shown(limit)} "
                f"differ; a pod of QoS {qos} owns its CPUs: make them equal",
            )


def _transition(pod: Pod, old: Pod) -> Iterator[Violation]:
    for rule, what, read in _IMMUTABLE:
        was, now = read(old) or None, read(pod) or None
        if was != now:
            yield Violation(
                rule,
                f"{what}: cannot change from {was or 'none'} to {now or 'none'} "
                "on an existing pod: delete the pod and create it again",
            )


def _resize(pod: Pod, old: Pod) -> Iterator[Violation]:
    before = {(c.kind, c.name): c for c in containers(old)}
    colocated = any(
        resource in COLOCATION_RESOURCES
        for container in before.values()
        for section in SECTIONS
        for resource in container.quantities(section)
    )
    if not colocated:
        return
    resized = [("spec.resources", spec(pod).get("resources"), spec(old).get("resources"))]
    for container in containers(pod):
        was = before.get((container.kind, container.name), container)
        resized.append(
            (f"{_at(container)}.resources", container.value.get("resources"), was.value.get("resources"))
        )
    for at, now_resources, old_resources in resized:
        for section in SECTIONS:
            now, known = (r.get(section) or {} for r in (now_resources or {}, old_resources or {}))
            for resource in NATIVE_RESOURCES:
                if resource in now and resource not in known:
                    yield Violation(
                        rules.RESIZE_COLOCATED,
                        f"{at}.{section}[{resource}]: the pod runs on batch or mid resources, "
                        "which a resize cannot change: delete and create it again with other quantities",
                    )


def _cpu_set(pod: Pod, old: Pod, follow: Follow) -> Iterator[Violation]:
    if labels(old).get(LABEL_QOS_CLASS) not in BOUND_CLASSES and (
        ANNOTATION_RESOURCE_STATUS not in annotations(old)
    ):
        return
    if pod_request(pod, CPU) != pod_request(old, CPU) and (reason := follow(pod, old)):
        yield Violation(rules.RESIZE_CPU_SET, f"{_where(pod, old)}.resources.requests[cpu]: {reason}")


def _where(pod: Pod, old: Pod) -> str:
    """The first place at which the CPU request has changed."""
    before = {(c.kind, c.name): c.quantities("requests").get(CPU) for c in containers(old)}
    for container in containers(pod):
        if container.quantities("requests").get(CPU) != before.get((container.kind, container.name)):
            return _at(container)
    return "spec"


def _label(key: str) -> Callable[[Pod], str | None]:
    return lambda pod: labels(pod).get(key)


def _raw_class(pod: Pod) -> str | None:
    return raw_class(labels(pod), spec(pod).get("priority"))


# What does not change: the rule that says so, its name in messages, and how it is read.
_IMMUTABLE: Final[tuple[tuple[str, str, Callable[[Pod], str | None]], ...]] = (
    (rules.QOS_CLASS_IMMUTABLE, f"metadata.labels[{LABEL_QOS_CLASS}]", _label(LABEL_QOS_CLASS)),
    (rules.PRIORITY_IMMUTABLE, f"metadata.labels[{LABEL_PRIORITY}]", _label(LABEL_PRIORITY)),
    (rules.PRIORITY_CLASS_IMMUTABLE, "priority class", _raw_class),
)


def _cpu(holder: Container, section: str) -> int | None:
    raw = holder.quantities(section).get(CPU)
    return None if raw is None else parse(text_of(raw))


def _shown(nano: int | None) -> str:
    return "none" if nano is None else f"{nano / NANO:g}"


def _at(holder: Container) -> str:
    return f"spec.{holder.kind}[{holder.position}]" if holder.kind else "spec"
