"""Pods, asks and requests, for tests."""

import datetime as dt
from typing import Any

from webhook.eviction.asking import Ask
from webhook.eviction.candidates import Candidate, read_candidate
from webhook.eviction.release import release_of
from webhook.eviction.thresholds import Form

NOW = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
GI = 2**30


def be_pod(name: str = "a", **over: Any) -> dict[str, Any]:
    """Return a batch pod of namespace shop on node n1 that requests 2 cores and 1 GiB.

    Args:
        name: of it.
        over: labels, annotations, metadata, spec, status to add; node, cpu, memory.
    """
    sized = {
        "kubernetes.io/batch-cpu": over.get("cpu", "2k"),
        "kubernetes.io/batch-memory": over.get("memory", "1Gi"),
    }
    marks = {"koordinator.sh/qosClass": "BE", "koordinator.sh/priority-class": "koord-batch"}
    return {
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": f"uid-{name}",
            "labels": marks | over.get("labels", {}),
            "annotations": over.get("annotations", {}),
            **over.get("metadata", {}),
        },
        "spec": {
            "nodeName": over.get("node", "n1"),
            "priority": 5000,
            "containers": [{"name": "main", "resources": {"requests": sized}}],
            **over.get("spec", {}),
        },
        "status": {"phase": "Running", **over.get("status", {})},
    }


def candidate(name: str = "a", **over: Any) -> Candidate:
    """Return the same, read."""
    found = read_candidate(be_pod(name, **over))
    assert found is not None
    return found


def memory_ask(used: int = 73, capacity: int = 100 * GI, **over: Any) -> Ask:
    """Return what a node asks for of whose memory so many percent are used."""
    figures = {"used": -(-capacity * used // 100), "capacity": capacity, "threshold": 70, "lower": 68}
    form = over.get("form", Form.BE_MEMORY)
    return Ask(form, "memory", release_of(form, figures), figures, over.get("priority"))


def cpu_ask(limit: int = 10_000, requested: int = 20_000, used: int = 9_500) -> Ask:
    """Return what a node asks for whose BE pods get too little CPU."""
    now = {"limit": limit, "requested": requested, "used": used}
    mean = {"meanLimit": limit, "meanRequested": requested, "meanUsed": used}
    figures = {**now, **mean, "lower": 60, "upper": 80, "usage": 90}
    release = release_of(Form.BE_CPU, figures)
    return Ask(Form.BE_CPU, "kubernetes.io/batch-cpu", release, figures)
