"""What a node's pods request and use, pod by pod, and which of it is kept from batch work.

Kept are the pods of the classes prod and mid and those of none, as far as they are Running or
Pending. A pod whose metric is still there although it is gone, or has ended, is kept until the
next metric.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from webhook.capacity.amounts import Amounts
from webhook.capacity.nodemetric import NodeMetric, PodUsage
from webhook.pods.moments import read_moment
from webhook.pods.pod import spec
from webhook.pods.qosclass import priority_class, qos_class
from webhook.pods.quantities import NANO, QuantityError
from webhook.pods.requests import pod_request
from webhook.pods.resourcestatus import StatusError, numa_nodes
from webhook.protocol import (
    BATCH,
    COLOCATION_RESOURCES,
    CPU,
    FREE,
    MEMORY,
    MID,
    NATIVE_RESOURCES,
    QoSClass,
)

_MILLI: Final = NANO // 1000
_ACTIVE: Final = frozenset({"Running", "Pending"})
_NOT_KEPT: Final = frozenset({BATCH, FREE})


class PodDemand(NamedTuple):
    """A pod of the node, read.

    Attributes:
        key: namespace and name.
        node: to which it is bound; "" while it is not.
        priority_class: by label, priority or QoS class; never empty.
        qos: by label, status or resources.
        request: of cpu and memory.
        colocated: requests of batch and mid resources, in milli-cores and bytes.
        started: when the kubelet took it, or when it was made.
        active: whether it is Running or Pending.
        zones: the NUMA nodes on which it lies, as far as it says so.
        findings: what could not be read.
    """

    key: tuple[str, str]
    node: str
    priority_class: str
    qos: str
    request: Amounts
    colocated: Mapping[str, int]
    started: dt.datetime | None
    active: bool
    zones: tuple[int, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Return whether what it needs is kept from batch work."""
        return self.active and self.priority_class not in _NOT_KEPT


class Share(NamedTuple):
    """What is kept for one pod, and why so much."""

    key: tuple[str, str]
    qos: str
    amounts: Amounts
    why: str


@dataclass(frozen=True, slots=True)
class Demand:
    """Sums over the pods that are kept.

    Attributes:
        requested: what they request.
        prod_requested: what those of them request that are no mid pods.
        used: what they use, or request where there is no metric yet.
        most: of each the greater of both.
        batch_used: what batch pods use, as far as it was measured.
        floor: what bound batch and mid pods request, by resource, in milli-cores and bytes.
    """

    requested: Amounts
    prod_requested: Amounts
    used: Amounts
    most: Amounts
    batch_used: Amounts
    floor: Mapping[str, int]


def read_pod(obj: Mapping[str, Any]) -> PodDemand:
    """Read a v1 Pod."""
    metadata, status = obj.get("metadata") or {}, obj.get("status") or {}
    findings: list[str] = []
    key = (metadata.get("namespace", ""), metadata.get("name", ""))
    requests = {
        each: _request(obj, each, key, findings) for each in (*NATIVE_RESOURCES, *COLOCATION_RESOURCES)
    }
    qos = qos_class(obj)
    return PodDemand(
        key=key,
        node=spec(obj).get("nodeName") or "",
        priority_class=priority_class(obj),
        qos=qos,
        request=Amounts(requests[CPU] * _MILLI, requests[MEMORY] * _MILLI),
        colocated={name: -(-requests[name] // 1000) for name in COLOCATION_RESOURCES if requests[name]},
        started=read_moment(status.get("startTime") or metadata.get("creationTimestamp")),
        active=status.get("phase") in _ACTIVE,
        zones=_zones(obj, key, findings),
        findings=tuple(findings),
    )


def shares(pods: Iterable[PodDemand], metric: NodeMetric) -> Iterator[tuple[Share, Share]]:
    """Yield for each pod that is kept what it uses and the greater of use and request."""
    for pod, key, measured in counted(pods, metric):
        if pod is None and measured is not None:
            gone = Share(key, "", measured.usage, "gone, until the next metric")
            yield gone, gone
        elif pod is not None and pod.kept:
            used, most, why = share_of(pod, measured, metric.update_time)
            yield Share(key, pod.qos, used, why), Share(key, pod.qos, most, why)


def demand_of(pods: Iterable[PodDemand], metric: NodeMetric) -> Demand:
    """Return the sums over a node's pods."""
    floor: dict[str, int] = {}
    cpu = memory = prod_cpu = prod_memory = 0  # requested
    used_cpu = used_memory = most_cpu = most_memory = batch_cpu = batch_memory = 0
    update_time = metric.update_time
    # One loop over numbers: this is what an estimate costs.
    for pod, _, measured in counted(pods, metric):
        if pod is None:
            if measured is not None:
                used_cpu, used_memory = used_cpu + measured.usage[0], used_memory + measured.usage[1]
                most_cpu, most_memory = most_cpu + measured.usage[0], most_memory + measured.usage[1]
            continue
        if pod.colocated:
            for name, amount in pod.colocated.items():
                floor[name] = floor.get(name, 0) + amount
        if pod.priority_class not in _NOT_KEPT:
            used, most, _ = share_of(pod, measured, update_time)
            used_cpu, used_memory = used_cpu + used[0], used_memory + used[1]
            most_cpu, most_memory = most_cpu + most[0], most_memory + most[1]
            request = pod.request
            cpu, memory = cpu + request[0], memory + request[1]
            if pod.priority_class != MID:
                prod_cpu, prod_memory = prod_cpu + request[0], prod_memory + request[1]
        elif measured is not None and pod.priority_class == BATCH:
            batch_cpu, batch_memory = batch_cpu + measured.usage[0], batch_memory + measured.usage[1]
    return Demand(
        Amounts(cpu, memory),
        Amounts(prod_cpu, prod_memory),
        Amounts(used_cpu, used_memory),
        Amounts(most_cpu, most_memory),
        Amounts(batch_cpu, batch_memory),
        floor,
    )


def counted(
    pods: Iterable[PodDemand], metric: NodeMetric
) -> Iterator[tuple[PodDemand | None, tuple[str, str], PodUsage | None]]:
    """Yield each pod that runs or waits with what was measured of it, and what was measured of those gone."""
    unseen = dict(metric.pods)
    for pod in pods:
        if pod.active:
            yield pod, pod.key, unseen.pop(pod.key, None)
    for key, measured in unseen.items():
        if measured.priority_class not in _NOT_KEPT:
            yield None, key, measured


def share_of(
    pod: PodDemand, measured: PodUsage | None, update_time: dt.datetime | None
) -> tuple[Amounts, Amounts, str]:
    """Return what a pod uses, the greater of that and its request, and what it was taken from."""
    request = pod.request
    if measured is None:
        return request, request, "requests it; no metric yet"
    usage = measured.usage
    (cpu, memory), (used_cpu, used_memory) = request, usage
    if used_cpu <= cpu and used_memory <= memory:
        most = request
    else:
        most = Amounts(max(cpu, used_cpu), max(memory, used_memory))
    if pod.started is not None and update_time is not None and pod.started > update_time:
        return most, most, "younger than its metric: use or request, whichever is more"
    if pod.qos == QoSClass.LSE:
        return Amounts(request.cpu, usage.memory), most, "its CPUs are its own"
    return usage, most, "uses it"


def _request(obj: Mapping[str, Any], resource: str, key: tuple[str, str], findings: list[str]) -> int:
    try:
        return pod_request(obj, resource)
    except QuantityError as error:
        findings.append(f"pod {'/'.join(key)}: {error}; it counts as 0")
        return 0


def _zones(obj: Mapping[str, Any], key: tuple[str, str], findings: list[str]) -> tuple[int, ...]:
    try:
        return numa_nodes(obj)
    except StatusError as error:
        findings.append(f"pod {'/'.join(key)}: {error}; it counts to all NUMA zones alike")
        return ()
