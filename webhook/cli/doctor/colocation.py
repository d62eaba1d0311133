"""Checks of what colocation needs besides webhook configurations: views, profiles, schedulers, nodes."""

import contextlib
import datetime as dt
import http.client
import math
from collections.abc import Iterator
from typing import Any, Final

from webhook.cli.doctor.diagnosis import PROFILES, Cluster, Finding, Object, fail, ok, readyz, warn
from webhook.cli.doctor.extender import Asker, askers
from webhook.cli.terminal import first_of
from webhook.cluster.conditions import CONFLICTING, READY
from webhook.kube import paths
from webhook.kube.client import ApiError
from webhook.protocol import BATCH_RESOURCES

_ADMIN_PORT: Final = 8081
_STALE_SECONDS: Final = 180.0
_SHOWN: Final = 5
_SETTLING: Final = 120.0
_DEFAULT_SCHEDULER: Final = "default-scheduler"
_DEFAULT_LEASE: Final = "kube-scheduler"
_NOT_RUNNING: Final = (
    "look why its pods do not run: its Deployment, their Events and their log; see docs/scheduling.md"
)
_PUBLISHERS: Final = (
    "Koordinator's koord-manager (slo-controller) publishes them, together with koordlet on each node: "
    "install it with Helm and enable colocation in the ConfigMap slo-controller-config; without Koordinator, "
    "upgrade this chart with --set capacity.enabled=true; "
    "for a trial: kubectl patch node NODE --subresource=status --type=merge "
    """-p '{"status":{"capacity":{"kubernetes.io/batch-cpu":"4000","kubernetes.io/batch-memory":"8Gi"}}}'"""
)


def view(cluster: Cluster) -> Iterator[Finding]:
    """Yield the state and age of each replica's view, read from its admin port."""
    pods = [pod for pod in cluster.pods() if (pod.get("status") or {}).get("phase") == "Running"]
    if not pods:
        yield warn(
            "no running pod of the webhook found"
            if cluster.service()
            else "the webhook runs outside the cluster",
            "check its /readyz on the admin port",
        )
    for pod in pods:
        name = pod["metadata"]["name"]
        try:
            report = readyz(cluster, pod, _ADMIN_PORT)
        except (ApiError, OSError, http.client.HTTPException, ValueError) as error:
            message = f"{name}: /readyz cannot be read: {error}"
            yield warn(message, "run the doctor in the cluster: doctor --in-cluster")
            continue
        yield _replica(name, report)


def _replica(name: str, report: dict[str, Any]) -> Finding:
    state = report.get("view") or {}
    age = state.get("ageSeconds")
    if not state.get("ready"):
        message = f"{name}: not synced: {state.get('error') or 'the first lists are not complete yet'}"
        return fail(message, "read its log; its service account may lack a permission")
    if state.get("error") or (age is not None and state.get("watched") and age > _STALE_SECONDS):
        reason = state.get("error") or "the API server has sent nothing since"
        message = f"{name}: the view is {age} s old: {reason}"
        return warn(message, "read its log, and check the API server")
    return ok(f"{name}: synced, {state.get('profiles')} profiles, {age} s old")


def profiles(cluster: Cluster) -> Iterator[Finding]:
    """Yield which profiles are not ready, which conflict, and which have no current status."""
    found = cluster.items(PROFILES)
    if not found:
        yield warn("none exists: no pod is changed", "apply one: see examples/")
        return
    outdated, ready_count = [], 0
    for profile in found:
        metadata = profile["metadata"]
        name, status = metadata["name"], profile.get("status") or {}
        conditions = {c.get("type"): c for c in status.get("conditions") or () if isinstance(c, dict)}
        ready, conflicting = conditions.get(READY), conditions.get(CONFLICTING)
        if ready is None or status.get("observedGeneration") != metadata.get("generation"):
            outdated.append(name)
            continue
        ready_count += ready.get("status") == "True"
        if ready.get("status") != "True":
            message = f"{name}: not ready ({ready.get('reason')}): {ready.get('message')}"
            yield fail(message, "correct it as the message says")
        if conflicting is not None and conflicting.get("status") == "True":
            message = f"{name}: conflicts with {conflicting.get('message')}"
            yield warn(message, "make the selectors exclude each other, or agree")
    if outdated:
        yield warn(
            f"the status of {first_of(outdated, _SHOWN)} is missing or outdated",
            "wait a minute; if it stays so, check that the webhook runs, that the CustomResourceDefinition "
            "is the chart's (Koordinator's stores no conditions), and that --no-write-status is not set",
        )
    if ready_count:
        yield ok(f"{ready_count} of {len(found)} are ready")


def schedulers(cluster: Cluster) -> Iterator[Finding]:
    """Yield whether the schedulers run that profiles name, as far as can be known.

    Kubernetes has no list of schedulers. The evidence for one is a pod that it has bound, or
    a Lease with its name, or with the name that its configuration says.
    """
    named = _named(cluster)
    if not named:
        yield ok("no profile names one: pods keep their own")
    asking: dict[str, Asker] = {}
    with contextlib.suppress(ApiError):  # the next check says so
        asking = askers(cluster)
    for scheduler, profiles in sorted(named.items()):
        named_by = first_of(profiles, _SHOWN)
        remedy = (
            f"upgrade this chart with --set scheduler.enabled=true,scheduler.name={scheduler}, see "
            f"docs/scheduling.md, or install Koordinator's; or remove schedulerName from {named_by}: "
            "kube-scheduler handles batch resources as well"
        )
        asker = asking.get(scheduler)
        yield _scheduler(cluster, scheduler, named_by, asker, remedy if asker is None else _NOT_RUNNING)


def asking_schedulers(cluster: Cluster) -> Iterator[Finding]:
    """Yield whether the schedulers run that ask the webhook, and that no profile names."""
    named = _named(cluster)
    for scheduler, asker in sorted(askers(cluster).items()):
        if scheduler not in named:
            yield _scheduler(cluster, scheduler, f"ConfigMap {asker.configmap}", asker, _NOT_RUNNING)


def _named(cluster: Cluster) -> dict[str, list[str]]:
    """Return the schedulers that profiles name, each with those profiles."""
    named: dict[str, list[str]] = {}
    for profile in cluster.items(PROFILES):
        spec = profile.get("spec") or {}
        patched = ((spec.get("patch") or {}).get("spec") or {}).get("schedulerName")
        if name := spec.get("schedulerName") or patched:
            named.setdefault(str(name), []).append(profile["metadata"]["name"])
    return named


def _scheduler(cluster: Cluster, scheduler: str, named_by: str, asker: Asker | None, remedy: str) -> Finding:
    pods = cluster.items(paths.PODS, fieldSelector=f"spec.schedulerName={scheduler}")
    bound = sum(bool(pod["spec"].get("nodeName")) for pod in pods)
    waiting = sum(
        _since(cluster, pod["metadata"].get("creationTimestamp"), 0.0) > _SETTLING
        for pod in pods
        if not pod["spec"].get("nodeName")
    )
    renewed = [lease for lease in _leases(cluster, scheduler, asker) if _renewed(cluster, lease)]
    more = f", {waiting} pods wait for it" if waiting else ""
    if len(renewed) > 1:
        places = ", ".join(sorted(_place(lease) for lease in renewed))
        message = f"{scheduler}: {len(renewed)} schedulers renew a Lease: {places}"
        return fail(message, "both place the same pods: give one another name (scheduler.name), or remove it")
    if renewed:
        return ok(f"{scheduler}: it renews its Lease{more}")
    leaseless = asker is not None and not asker.elects
    if bound and (leaseless or not waiting):
        return ok(f"{scheduler}: it has bound {bound} pods{more}")
    if bound:
        message = f"{scheduler}: it has bound {bound} pods, {waiting} wait, and no Lease has its name"
        return warn(message, "check its pods, and a waiting one with kubectl describe")
    if leaseless and not waiting:
        return ok(f"{scheduler}: without a Lease (leaderElect: false) and pods, it cannot be seen to run")
    sign = (
        f"{waiting} pods wait for it and none was bound"
        if waiting
        else "no sign of it: no Lease has its name, and it has bound no pod"
    )
    return fail(f"{scheduler} (named by {named_by}): {sign}", remedy)


def _leases(cluster: Cluster, scheduler: str, asker: Asker | None) -> list[Object]:
    """Return the Leases by which a scheduler may be seen: those of its name, and the one that it says."""
    own = _DEFAULT_LEASE if scheduler == _DEFAULT_SCHEDULER else scheduler
    stated = asker.lease if asker is not None else None
    return [
        lease
        for lease in cluster.items(paths.collection("coordination.k8s.io/v1", "leases"))
        if lease["metadata"]["name"] == own
        or (lease["metadata"].get("namespace"), lease["metadata"]["name"]) == stated
    ]


def _place(lease: Object) -> str:
    return f"{lease['metadata'].get('namespace')}/{lease['metadata']['name']}"


def nodes(cluster: Cluster) -> Iterator[Finding]:
    """Yield how many nodes advertise batch resources: pods with batch resources run only there."""
    found = cluster.items(paths.NODES)
    if not found:
        yield warn("none exists", "add a node; pods stay Pending until then")
        return
    lacking = [n["metadata"]["name"] for n in found if not _advertises(n)]
    advertising = len(found) - len(lacking)
    names = " and ".join(BATCH_RESOURCES)
    if not advertising:
        message = f"none of {len(found)} advertises {names}: pods that profiles make BE stay Pending"
        yield fail(message, _PUBLISHERS)
    elif lacking:
        message = f"{advertising} of {len(found)} advertise {names}; without: {first_of(lacking, _SHOWN)}"
        yield warn(message, _PUBLISHERS)
    else:
        yield ok(f"all {advertising} advertise {names}")


def _advertises(node: Object) -> bool:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    return all(str(allocatable.get(resource) or "0") != "0" for resource in BATCH_RESOURCES)


def _renewed(cluster: Cluster, lease: Object) -> bool:
    spec = lease.get("spec") or {}
    lasts = float(spec.get("leaseDurationSeconds") or 0) + _SETTLING
    return bool(spec.get("holderIdentity")) and _since(cluster, spec.get("renewTime"), math.inf) < lasts


def _since(cluster: Cluster, moment: object, unknown: float) -> float:
    """Return for how many seconds a time has passed, ``unknown`` where it is none."""
    try:
        return cluster.now() - dt.datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return unknown
