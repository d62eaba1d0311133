"""What batch and mid resources of a pod come to: shares, quota, a limit of memory.

The pod's cgroup gets what the kubelet gives one for cpu and memory, of batch and mid resources: the sum of
its containers, or more where starting it needs more. A container that stays and has no limit leaves the
pod without one.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import PERIOD, UNLIMITED, Knob, Target, Why
from webhook.pods.pod import CONTAINER_LISTS, SECTIONS, Container, annotations, containers
from webhook.pods.quantities import NANO, QuantityError, non_negative, text_of
from webhook.pods.requests import pod_limit, pod_request
from webhook.protocol import (
    ANNOTATION_EXTENDED_RESOURCE_SPEC,
    BATCH,
    COLOCATION_RESOURCES,
    CPU,
    MEMORY,
    TRANSLATION,
    QoSClass,
)

LIMITS: Final = "limits"
"""The rule: what a pod was given by batch or mid resources is what it gets."""

LEAST_SHARES: Final = 2
"""Of a pod that requests no CPU."""

_MOST_SHARES: Final = 262_144
_LEAST_QUOTA: Final = 1000  # microseconds: the kernel takes no less


class LimitsError(ValueError):
    """A pod whose resources cannot be read; the message names the field."""


class Names(NamedTuple):
    """The two resources of one class."""

    cpu: str
    memory: str


class PodLimits(NamedTuple):
    """Targets of a pod's cgroup, and of those of its containers by name."""

    pod: tuple[Target, ...] = ()
    containers: Mapping[str, tuple[Target, ...]] = {}


def pod_limits(pod: AgentPod, settings: Settings, findings: list[str]) -> PodLimits:
    """Return what a pod's batch or mid resources come to; nothing for a pod that has none.

    Raises:
        LimitsError: one of them cannot be read.
    """
    value = described(pod)
    names = colocation_names(value)
    if names is None:
        return PodLimits()
    batch = names.cpu == TRANSLATION[BATCH][CPU]
    if batch and pod.qos != QoSClass.BE:
        findings.append(f"{pod.name}: has batch resources but not class {QoSClass.BE}: they are not enforced")
        return PodLimits()
    ratio = settings.ratio if batch else NANO
    try:
        here = {each.name: _container(each, names) for each in containers(value)}
        whole = _Amounts(
            requested(value, names.cpu),
            _whole_limit(value, names.cpu),
            _whole_limit(value, names.memory),
        )
    except QuantityError as error:
        raise LimitsError(f"{pod.name}: {error}") from None
    return PodLimits(
        _targets(pod, names, whole, ratio, settings.page),
        {name: _targets(pod, names, amounts, ratio, settings.page) for name, amounts in here.items()},
    )


def shares_of(milli: int) -> int:
    """Return CPU shares for milli-cores, as the kubelet and koordlet do."""
    return max(LEAST_SHARES, min(_MOST_SHARES, milli * 1024 // 1000))


def quota_of(milli: int, ratio: int = NANO) -> int:
    """Return the quota in microseconds of a period; the faster the CPUs, by ``ratio``, the less."""
    quota = -(-(milli * PERIOD // 1000) * NANO // ratio)
    return max(_LEAST_QUOTA, quota)


class _Amounts(NamedTuple):
    """Milli-cores requested; milli-cores and bytes of the limits, None where there is none."""

    request: int
    cpu: int | None
    memory: int | None


def _targets(pod: AgentPod, names: Names, amounts: _Amounts, ratio: int, page: int) -> tuple[Target, ...]:
    requested = Why(LIMITS, pod.name, {names.cpu: str(amounts.request)})
    limited = Why(LIMITS, pod.name, {names.cpu: text_of_limit(amounts.cpu)})
    if ratio != NANO:
        limited = limited._replace(inputs={**limited.inputs, "normalization": f"{ratio / NANO:.2f}"})
    memory = Why(LIMITS, pod.name, {names.memory: text_of_limit(amounts.memory)})
    quota = UNLIMITED if amounts.cpu is None else quota_of(amounts.cpu, ratio)
    return (
        Target(Knob.SHARES, shares_of(amounts.request), requested),
        *((Target(Knob.PERIOD, PERIOD, limited),) if amounts.cpu is not None else ()),
        Target(Knob.QUOTA, quota, limited),
        # The kernel keeps whole pages.
        Target(
            Knob.MEMORY,
            UNLIMITED if amounts.memory is None else max(page, amounts.memory // page * page),
            memory,
        ),
    )


def text_of_limit(amount: int | None) -> str:
    """Return a limit as reasons name it."""
    return "none" if amount is None else str(amount)


def colocation_names(pod: Mapping[str, Any]) -> Names | None:
    """Return which resources a pod has; of batch and mid the batch ones."""
    present = {
        name for each in containers(pod) for section in SECTIONS for name in each.quantities(section)
    } & COLOCATION_RESOURCES
    for table in TRANSLATION.values():
        if present & set(table.values()):
            return Names(table[CPU], table[MEMORY])
    return None


def _container(container: Container, names: Names) -> _Amounts:
    limits, requests = (container.quantities(section) for section in ("limits", "requests"))
    cpu = amount_of(limits, names.cpu)
    return _Amounts(amount_of(requests, names.cpu) or cpu or 0, cpu, amount_of(limits, names.memory))


def amount_of(resources: Mapping[str, Any], name: str) -> int | None:
    """Return an amount, rounded up to a whole one; None for none and for nothing."""
    if name not in resources:
        return None
    return -(-non_negative(text_of(resources[name])) // NANO) or None


def requested(pod: Mapping[str, Any], name: str) -> int:
    """Return what the pod requests at most at one moment."""
    return -(-pod_request(pod, name) // 1000)


def _whole_limit(pod: Mapping[str, Any], name: str) -> int | None:
    """Return what the pod may use at most at one moment; None where a container that stays has no limit."""
    staying = (each for each in containers(pod) if each.kind == "containers" or each.sidecar)
    if not all(amount_of(each.quantities("limits"), name) for each in staying):
        return None
    return -(-pod_limit(pod, name) // 1000) or None


def described(pod: AgentPod) -> Mapping[str, Any]:
    """Return the pod, with the resources of its annotation where its spec has no batch or mid resources.

    Raises:
        LimitsError: the annotation is needed and cannot be read.
    """
    text = annotations(pod.value).get(ANNOTATION_EXTENDED_RESOURCE_SPEC)
    if not text or colocation_names(pod.value) is not None:
        return pod.value
    try:
        described = dict(_read(text))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise LimitsError(
            f"{pod.name}: annotation {ANNOTATION_EXTENDED_RESOURCE_SPEC} cannot be read: "
            'write {"containers": {"NAME": {"limits": {…}, "requests": {…}}}}'
        ) from None
    spec = dict(pod.value.get("spec") or {})
    for kind in CONTAINER_LISTS:
        listed = spec.get(kind) or ()
        spec[kind] = [
            {**each, "resources": described[each["name"]]} if each.get("name") in described else each
            for each in listed
        ]
    return {**pod.value, "spec": spec}


def _read(text: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    for name, sections in json.loads(text)["containers"].items():
        yield name, {section: dict(sections.get(section) or {}) for section in SECTIONS}
