"""Ledger entries recovered from the annotations of a node's pods: pure.

A set in a pod's annotation is a fact, whatever its size: koord-scheduler wrote it, or this webhook before
the ledger was deleted, and the pod runs on it. Finished pods hold nothing.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from webhook.binding.ledger import Entry
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.pods.pod import FINISHED, labels, spec
from webhook.pods.quantities import QuantityError
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, believed_cpus, excess
from webhook.protocol import LABEL_QOS_CLASS, QOS_CLASSES


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
