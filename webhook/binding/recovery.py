"""Ledger entries recovered from the annotations of a node's pods: pure.

A set in a pod's annotation is a fact, whatever its size: koord-scheduler wrote it, or this webhook before
the ledger was deleted, and the pod runs on it. Finished pods hold nothing.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from webhook.binding.ledger import Entry
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.pods.pod import CONTAINER_LISTS, FINISHED, labels, spec
from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_request
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.protocol import CPU, LABEL_QOS_CLASS, QOS_CLASSES


class Recovered(NamedTuple):
    """Entries, and what is wrong with the annotations of the pods."""

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


def is_finished(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has ended and runs on no CPU any more."""
    return (pod.get("status") or {}).get("phase") in FINISHED


def node_of(pod: Mapping[str, Any]) -> str:
    """Return the node that a pod is bound to, "" while it is not."""
    return spec(pod).get("nodeName") or ""


def recover(pods: Iterable[Mapping[str, Any]], node: str, *, now: dt.datetime) -> Recovered:
    """Return the entries of the pods that are bound to a node and name a set."""
    entries, problems = [], []
    for pod in pods:
        if node_of(pod) != node or is_finished(pod):
            continue
        metadata = pod.get("metadata") or {}
        name = f"{metadata.get('namespace')}/{metadata.get('name')}"
        try:
            cpus = believed_cpus(pod)
            if problem := excess(pod):
                problems.append(f"{name}: {problem}")
        except (StatusError, QuantityError) as error:
            problems.append(f"{name}: {error}")
            continue
        if cpus:
            entries.append(entry_of(pod, cpus, now=now))
    return Recovered(tuple(entries), tuple(problems))


def believed_cpus(pod: Mapping[str, Any]) -> frozenset[int] | None:
    """Return the CPUs of those that a pod's annotation names which it holds; None where it names none.

    A resize, or a scheduler that counts requests in another way, makes a set larger or smaller than the
    request, and the pod runs on it all the same. But users write annotations, too: of more CPUs than the
    pod's request and limit come to, only the first ones are held.

    Raises:
        StatusError: the annotation cannot be read.
        QuantityError: the pod's request cannot be read.
    """
    cpus = given_cpus(pod)
    most = _most(pod) if cpus else 0
    return frozenset(sorted(cpus)[:most]) if cpus and len(cpus) > most else cpus


def excess(pod: Mapping[str, Any]) -> str:
    """Say what is wrong with a set of more CPUs than its pod may hold, or ""; raises as above."""
    cpus = given_cpus(pod)
    most = _most(pod) if cpus else 0
    if not cpus or len(cpus) <= most:
        return ""
    return f"its annotation names {len(cpus)} CPUs, its request and limit come to {most}: no more are held"


def _most(pod: Mapping[str, Any]) -> int:
    """How many CPUs a pod's annotation may name: its request or its limit, the larger one, rounded up."""
    asked = max(pod_request(pod, CPU), pod_request(_limits_as_requests(pod), CPU))
    return -(-asked // 1000)


def _limits_as_requests(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what ``pod_request`` reads of a pod, with limits in place of requests."""
    of = spec(pod)

    def swapped(holder: Mapping[str, Any]) -> dict[str, Any]:
        return {**holder, "resources": {"requests": (holder.get("resources") or {}).get("limits")}}

    lists = {kind: [swapped(each) for each in of.get(kind) or ()] for kind in CONTAINER_LISTS}
    return {"spec": swapped({**of, **lists})}


def entry_of(pod: Mapping[str, Any], cpus: frozenset[int], *, now: dt.datetime) -> Entry:
    """Return the entry of a pod that has a set; policies as the pod asks for, where that can be read."""
    metadata = pod.get("metadata") or {}
    try:
        request = read_resource_spec(pod)
    except ResourceSpecError:
        request = None
    qos = labels(pod).get(LABEL_QOS_CLASS, "")
    return Entry(
        uid=metadata.get("uid", ""),
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        qos=qos if qos in QOS_CLASSES else "",
        cpus=cpus,
        policy=request.policy if request else BindPolicy.NONE,
        required=request.required if request else False,
        exclusive=request.exclusive if request else Exclusive.NONE,
        allocated_at=now.replace(microsecond=0),
    )
