"""The annotation ``scheduling.koordinator.sh/resource-status``: CPUs given to a pod.

We write it onto a Binding, whose annotations the API server copies to the pod; koord-scheduler
writes it onto the pod itself. What stands there already is read with care: anybody may write
annotations.
"""

import json
from collections.abc import Mapping
from typing import Any

from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.cpuset.topology import Topology
from webhook.pods.pod import annotations, is_mirror
from webhook.pods.requests import pod_limit, pod_request
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_RESOURCE_STATUS, CPU


class StatusError(ValueError):
    """An annotation that cannot be read; the message shows it."""


def resource_status(topology: Topology, cpus: frozenset[int]) -> str:
    """Return the annotation for CPU ids: the list, and how many of them each NUMA node gives."""
    counts: dict[int, int] = {}
    for cpu in cpus:
        node = topology.places[topology.position[cpu]].node
        counts[node] = counts.get(node, 0) + 1
    status = {
        "cpuset": format_cpulist(cpus),
        "numaNodeResources": [
            {"node": node, "resources": {CPU: str(count)}} for node, count in sorted(counts.items())
        ],
    }
    return json.dumps(status, separators=(",", ":"))


def numa_nodes(pod: Mapping[str, Any], resource: str | None = None) -> tuple[int, ...]:
    """Return the ids of the NUMA nodes that a pod's annotation names, as often as it names each.

    Args:
        pod: a v1 Pod.
        resource: only nodes that give the pod some of it; None: all.

    Raises:
        StatusError: it cannot be read.
    """
    text = annotations(pod).get(ANNOTATION_RESOURCE_STATUS)
    if not text:
        return ()
    try:
        value = json.loads(text) or {}
        listed = [
            each["node"]
            for each in value.get("numaNodeResources") or ()
            if resource is None or resource in (each.get("resources") or {})
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        listed = [None]
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in listed):
        raise StatusError(
            f"annotation {ANNOTATION_RESOURCE_STATUS} {shown(text)}: numaNodeResources is no list of "
            '{"node": 0}'
        )
    return tuple(listed)


def given_cpus(pod: Mapping[str, Any]) -> frozenset[int] | None:
    """Return the CPU ids that a pod's annotation names; None where it names none.

    The annotation of a mirror pod names none: its static pod never hears of it.

    Raises:
        StatusError: it cannot be read.
    """
    text = annotations(pod).get(ANNOTATION_RESOURCE_STATUS)
    if not text or is_mirror(pod):
        return None
    try:
        value = json.loads(text)
        if isinstance(value, dict | None):
            cpuset = (value or {}).get("cpuset")
            return None if cpuset is None else parse_cpulist(cpuset, field="cpuset") or None
        problem = "is no JSON object"
    except (ValueError, RecursionError) as error:  # of which CpuSetError is one
        problem = str(error)
    raise StatusError(f"annotation {ANNOTATION_RESOURCE_STATUS} {shown(text)}: {problem}")


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
    return f"its annotation names {len(cpus)} CPUs, its request and limit come to {most}"


def _most(pod: Mapping[str, Any]) -> int:
    """How many CPUs a pod's annotation may name: its request or its limit, the larger one, rounded up."""
    asked = max(pod_request(pod, CPU), pod_limit(pod, CPU))
    return -(-asked // 1000)
