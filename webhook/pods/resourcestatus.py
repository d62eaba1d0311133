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
