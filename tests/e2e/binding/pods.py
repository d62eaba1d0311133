"""Pods of every class, as the storm and the bindings' latencies need them: made by dice that are given."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.cpusetchecker.facts import SPEC
from tests.e2e.cluster.fakenodes import POOL
from tests.e2e.cluster.kubectl import Object

NOBODY = "nobody"
"""A scheduler's name that no scheduler answers to."""

_CLASSES = {"LSE": 4, "LSR": 10, "LS": 4, "BE": 4, "": 2}
_SIZES = (1, 1, 1, 2, 2, 2, 2, 3, 4, 4, 6, 8)
_WISHES: tuple[dict[str, str], ...] = (
    {},
    {"preferredCPUBindPolicy": "Default"},
    {"preferredCPUBindPolicy": "SpreadByPCPUs"},
    {"preferredCPUBindPolicy": "FullPCPUs", "preferredCPUExclusivePolicy": "PCPULevel"},
    {"preferredCPUBindPolicy": "SpreadByPCPUs", "preferredCPUExclusivePolicy": "NUMANodeLevel"},
    {"requiredCPUBindPolicy": "FullPCPUs"},
    {"requiredCPUBindPolicy": "SpreadByPCPUs"},
    {"requiredCPUBindPolicy": "ConstrainedBurst"},
)


def template(
    qos: str, cpu: str, resource_spec: dict[str, str] | None = None, *, pool: str, **spec: Any
) -> Object:
    """A pod's metadata and spec, for a pod or a controller; BE asks for batch resources."""
    figures = {"cpu": cpu, "memory": "64Mi"}
    if qos == "BE":
        figures = {"kubernetes.io/batch-cpu": cpu, "kubernetes.io/batch-memory": "64Mi"}
    labels = {"koordinator.sh/qosClass": qos} if qos else {}
    priority = {"BE": "koord-batch", "": ""}.get(qos, "koord-prod")
    return {
        "metadata": {
            "labels": labels,
            "annotations": {SPEC: json.dumps(resource_spec)} if resource_spec else {},
        },
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "none",
                    "resources": {"requests": figures, "limits": dict(figures)},
                }
            ],
            "nodeSelector": {POOL: pool},
            "terminationGracePeriodSeconds": 1,
            **({"priorityClassName": priority} if priority else {}),
            **spec,
        },
    }


def any_template(dice: Random, pool: str, **spec: Any) -> Object:
    """A pod of some class, size and policy."""
    (qos,) = dice.choices(list(_CLASSES), list(_CLASSES.values()))
    if qos in {"LSE", "LSR"}:
        return template(qos, str(dice.choice(_SIZES)), dice.choice(_WISHES), pool=pool, **spec)
    cpu = {"BE": "1k"}.get(qos) or dice.choice(("250m", "500m", "1", "2"))
    return template(qos, cpu, pool=pool, **spec)


def pod(name: str, made: Object) -> Object:
    """A bare pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**made["metadata"], "name": name},
        "spec": made["spec"],
    }


def deployment(name: str, replicas: int, made: Object) -> Object:
    """A Deployment of such pods."""
    return _controlled("Deployment", name, made, replicas=replicas, selector={"matchLabels": {"app": name}})


def job(name: str, number: int, made: Object) -> Object:
    """A Job of such pods, all at once."""
    made["spec"]["restartPolicy"] = "Never"
    return _controlled("Job", name, made, parallelism=number, completions=number, backoffLimit=1000)


def binding(name: str, node: str, **metadata: str) -> Object:
    """What a scheduler posts; ``metadata`` are preconditions: kube-scheduler names the pod's uid."""
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, **metadata},
        "target": target,
    }


def _controlled(kind: str, name: str, made: Object, **spec: Any) -> Object:
    made["metadata"]["labels"]["app"] = name
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**spec, "template": made},
    }
