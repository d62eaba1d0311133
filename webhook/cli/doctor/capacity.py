"""Checks of what nodes offer to batch work: who publishes it, whether our controller does, late metrics."""

import http.client
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from webhook.cli.doctor.diagnosis import Cluster, Finding, Object, ok, readyz, warn
from webhook.cli.terminal import first_of
from webhook.eviction.offers import state_of
from webhook.kube import paths
from webhook.kube.client import ApiError
from webhook.pods.pod import annotations
from webhook.protocol import ANNOTATION_CAPACITY, BATCH_CPU, CAPACITY_MANAGER

_ADMIN_PORT: Final = 8082
_SHOWN: Final = 5
_SELECTOR: Final = "app.kubernetes.io/component=controller"
_LATE: Final = ("held", "withdrawn")


def publishers(cluster: Cluster) -> Iterator[Finding]:
    """Yield who publishes batch resources, whether our controller runs and does so, and where it holds."""
    nodes = cluster.items(paths.NODES)
    owners = Counter(owner for node in nodes for owner in _owners(node))
    pods = [pod for pod in cluster.items(paths.PODS, labelSelector=_SELECTOR) if _is_ours(pod)]
    for owner, number in sorted(owners.items()):
        if owner != CAPACITY_MANAGER:
            yield ok(f"{owner} publishes on {number} nodes")
    if not pods:
        yield from _without_controller(owners)
        return
    others = sorted(owner for owner in owners if owner != CAPACITY_MANAGER)
    if others:
        yield warn(
            f"our controller runs, and {' and '.join(others)} publishes, too: each on nodes of its own",
            "switch one of them off: capacity.enabled=false in the chart, or colocation in koord-manager",
        )
    yield from _replicas(cluster, pods, owners[CAPACITY_MANAGER])
    noted = {node["metadata"]["name"]: annotations(node).get(ANNOTATION_CAPACITY, "") for node in nodes}
    late = [name for name, annotation in noted.items() if state_of(annotation) in _LATE]
    if late:
        yield warn(
            f"metrics of {first_of(late, _SHOWN)} are late: nothing new is let in there",
            "see to the agent that writes NodeMetrics on these nodes: capacity show has their age",
        )


def _without_controller(owners: Counter[str]) -> Iterator[Finding]:
    left = owners[CAPACITY_MANAGER]
    if left:
        yield warn(
            f"our controller does not run, but its figures stand on {left} nodes, and grow old",
            "start it (capacity.enabled=true), or take them off: colocation-webhook controller --withdraw",
        )
    elif not owners:
        yield ok("our controller is not installed, and nobody publishes")


def _replicas(cluster: Cluster, pods: list[Object], written: int) -> Iterator[Finding]:
    """Yield which replica publishes, and why the others do not."""
    standing_by: dict[str, str] = {}
    for pod in pods:
        name = pod["metadata"]["name"]
        if (pod.get("status") or {}).get("phase") != "Running":
            standing_by[name] = "its pod does not run"
            continue
        try:
            report = readyz(cluster, pod, _ADMIN_PORT).get("capacity") or {}
        except (ApiError, OSError, http.client.HTTPException, ValueError) as error:
            yield warn(
                f"{name}: /readyz cannot be read: {error}",
                "run the doctor in the cluster: doctor --in-cluster",
            )
            return
        if report.get("publishes"):
            yield ok(f"our controller publishes on {written} nodes ({name})")
            return
        standing_by[name] = str(report.get("standby") or "unknown")
    reasons = "; ".join(f"{name}: {why}" for name, why in standing_by.items())
    yield warn(
        f"no replica of our controller publishes: {reasons}",
        "wait a minute after a change of replicas; if it stays so, read their logs",
    )


def _is_ours(pod: Object) -> bool:
    """Whether a pod is to publish; a controller may only evict."""
    given = [each.get("args") or () for each in (pod.get("spec") or {}).get("containers") or ()]
    return any("controller" in args[:1] and "--no-capacity" not in args for args in given)


def _owners(node: Object) -> Iterator[str]:
    """Yield the field managers of a node's batch-cpu."""
    for entry in node["metadata"].get("managedFields") or ():
        status: Any = (entry.get("fieldsV1") or {}).get("f:status") or {}
        if f"f:{BATCH_CPU}" in (status.get("f:allocatable") or {}):
            yield str(entry.get("manager"))
