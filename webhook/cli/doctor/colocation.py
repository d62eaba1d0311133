"""The doctor on what colocation needs beside the webhook: views, profiles, schedulers, nodes."""

import contextlib
import datetime as dt
import http.client
from collections.abc import Iterator
from typing import Any, Final

import orjson

from webhook.cli.doctor.diagnosis import PROFILES, Case, Line, Object, Verdict
from webhook.cluster.conditions import CONFLICTING, READY
from webhook.kube.client import ApiError
from webhook.protocol import BATCH_RESOURCES

_VIEW: Final = "view of the cluster"
_PROFILE: Final = "profiles"
_SCHEDULER: Final = "schedulers"
_NODES: Final = "nodes"
_ADMIN_PORT: Final = 8081
_STALE_SECONDS: Final = 180.0
_SECONDS: Final = 5.0
_SHOWN: Final = 5
_SETTLING: Final = 120.0
_DEFAULT_SCHEDULER: Final = "default-scheduler"
_DEFAULT_LEASE: Final = "kube-scheduler"
_PUBLISHERS: Final = (
    "they are published by Koordinator's koord-manager (slo-controller) together with koordlet on each node "
    "(helm install koordinator), with colocation enabled in the ConfigMap slo-controller-config; "
    "to try things out: kubectl patch node NODE --subresource=status --type=merge "
    """-p '{"status":{"capacity":{"kubernetes.io/batch-cpu":"4000","kubernetes.io/batch-memory":"8Gi"}}}'"""
)


def view(case: Case) -> Iterator[Line]:
    """Yield how old the view of each replica is, by its admin port."""
    pods = [pod for pod in case.pods() if (pod.get("status") or {}).get("phase") == "Running"]
    if not pods:
        yield Line(
            Verdict.WARNING,
            _VIEW,
            "no running pod of the webhook was found"
            if case.service()
            else "the webhook runs outside the cluster",
            "look at its /readyz on the admin port",
        )
    for pod in pods:
        name = pod["metadata"]["name"]
        try:
            report = _readyz(case, pod)
        except (ApiError, OSError, http.client.HTTPException, ValueError) as error:
            message = f"{name}: /readyz cannot be asked: {error}"
            yield Line(Verdict.WARNING, _VIEW, message, "run the doctor in the cluster: doctor --in-cluster")
            continue
        yield _replica(name, report)


def _replica(name: str, report: dict[str, Any]) -> Line:
    seen = report.get("view") or {}
    age = seen.get("ageSeconds")
    if not seen.get("ready"):
        message = f"{name}: not synced: {seen.get('error') or 'lists are under way'}"
        return Line(
            Verdict.ERROR, _VIEW, message, "look at its log; its service account may lack a permission"
        )
    if seen.get("error") or (age is not None and seen.get("watched") and age > _STALE_SECONDS):
        message = (
            f"{name}: the view is {age} s old: {seen.get('error') or 'nothing was heard of the API server'}"
        )
        return Line(Verdict.WARNING, _VIEW, message, "look at its log and at the API server")
    return Line(Verdict.OK, _VIEW, f"{name}: synced, {seen.get('profiles')} profiles, {age} s old")


def _readyz(case: Case, pod: Object) -> dict[str, Any]:
    metadata = pod["metadata"]
    if not case.in_cluster:
        path = (
            f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{_ADMIN_PORT}/proxy/readyz"
        )
        return case.api.get(path, timeout=_SECONDS)
    connection = http.client.HTTPConnection(pod["status"]["podIP"], _ADMIN_PORT, timeout=_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        found = orjson.loads(connection.getresponse().read())
    if not isinstance(found, dict):
        raise ValueError("the answer is no report")  # noqa: TRY004 — of what came, not of a type here
    return found


def profiles(case: Case) -> Iterator[Line]:
    """Yield which profiles are not ready, which disagree, and which nobody has judged."""
    found = case.items(PROFILES)
    if not found:
        yield Line(Verdict.WARNING, _PROFILE, "there is none: no pod is changed", "apply one: see examples/")
        return
    unjudged, settled = [], 0
    for profile in found:
        metadata = profile["metadata"]
        name, status = metadata["name"], profile.get("status") or {}
        conditions = {c.get("type"): c for c in status.get("conditions") or () if isinstance(c, dict)}
        ready, conflicting = conditions.get(READY), conditions.get(CONFLICTING)
        if ready is None or status.get("observedGeneration") != metadata.get("generation"):
            unjudged.append(name)
            continue
        settled += ready.get("status") == "True"
        if ready.get("status") != "True":
            message = f"{name}: not ready ({ready.get('reason')}): {ready.get('message')}"
            yield Line(Verdict.ERROR, _PROFILE, message, "correct it as the message says")
        if conflicting is not None and conflicting.get("status") == "True":
            message = f"{name}: conflicts with {conflicting.get('message')}"
            yield Line(Verdict.WARNING, _PROFILE, message, "make the selectors exclude each other, or agree")
    if unjudged:
        yield Line(
            Verdict.WARNING,
            _PROFILE,
            f"the status of {_some(unjudged)} is not of its newest version",
            "wait a minute; if it stays: does the webhook run, is the CustomResourceDefinition the chart's "
            "(Koordinator's keeps no conditions), is --no-write-status set?",
        )
    if settled:
        yield Line(Verdict.OK, _PROFILE, f"{settled} of {len(found)} are ready")


def schedulers(case: Case) -> Iterator[Line]:
    """Yield whether the schedulers that profiles name are there, as far as that can be known.

    Nothing in Kubernetes lists schedulers. What tells of one is a pod that it has bound, or
    a Lease of its name (it need not have that name).
    """
    wanted: dict[str, list[str]] = {}
    for profile in case.items(PROFILES):
        spec = profile.get("spec") or {}
        patched = ((spec.get("patch") or {}).get("spec") or {}).get("schedulerName")
        if name := spec.get("schedulerName") or patched:
            wanted.setdefault(str(name), []).append(profile["metadata"]["name"])
    if not wanted:
        yield Line(Verdict.OK, _SCHEDULER, "no profile names one: pods keep theirs")
        return
    leases = {lease["metadata"]["name"]: lease for lease in case.items("/apis/coordination.k8s.io/v1/leases")}
    for scheduler, named_by in sorted(wanted.items()):
        yield _scheduler(case, scheduler, _some(named_by), leases)


def _scheduler(case: Case, scheduler: str, named_by: str, leases: dict[str, Object]) -> Line:
    pods = case.items("/api/v1/pods", fieldSelector=f"spec.schedulerName={scheduler}")
    bound = sum(bool(pod["spec"].get("nodeName")) for pod in pods)
    waiting = sum(not pod["spec"].get("nodeName") and _age(case, pod["metadata"]) > _SETTLING for pod in pods)
    lease = leases.get(_DEFAULT_LEASE if scheduler == _DEFAULT_SCHEDULER else scheduler)
    alive = lease is not None and _renewed(case, lease)
    remedy = (
        f"install it (koord-scheduler comes with Koordinator), or take schedulerName out of {named_by}: "
        "kube-scheduler counts batch resources as well"
    )
    if alive:
        more = f", {waiting} pods wait for it" if waiting else ""
        return Line(Verdict.OK, _SCHEDULER, f"{scheduler}: its Lease is renewed{more}")
    if bound and not waiting:
        return Line(Verdict.OK, _SCHEDULER, f"{scheduler}: has bound {bound} pods that run or ran")
    if waiting and not bound:
        message = f"{scheduler} (named by {named_by}): {waiting} pods wait for it and none was bound"
        return Line(Verdict.ERROR, _SCHEDULER, message, remedy)
    if bound:
        message = f"{scheduler}: has bound {bound} pods, {waiting} wait, and there is no Lease of its name"
        return Line(
            Verdict.WARNING, _SCHEDULER, message, "look at its pods and at one of those: kubectl describe"
        )
    message = (
        f"{scheduler} (named by {named_by}): nothing tells of it: no Lease of its name, no pod bound by it"
    )
    return Line(Verdict.ERROR, _SCHEDULER, message, remedy)


def nodes(case: Case) -> Iterator[Line]:
    """Yield how many nodes advertise batch resources: pods of batch classes run nowhere else."""
    found = case.items("/api/v1/nodes")
    if not found:
        yield Line(Verdict.WARNING, _NODES, "there is none", "pods stay Pending until one joins")
        return
    lacking = [n["metadata"]["name"] for n in found if not _advertises(n)]
    able = len(found) - len(lacking)
    names = " and ".join(BATCH_RESOURCES)
    if not able:
        message = f"none of {len(found)} advertises {names}: pods that profiles make BE stay Pending"
        yield Line(Verdict.ERROR, _NODES, message, _PUBLISHERS)
    elif lacking:
        message = f"{able} of {len(found)} advertise {names}; not {_some(lacking)}"
        yield Line(Verdict.WARNING, _NODES, message, _PUBLISHERS)
    else:
        yield Line(Verdict.OK, _NODES, f"all {able} advertise {names}")


def _advertises(node: Object) -> bool:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    return all(str(allocatable.get(resource) or "0") != "0" for resource in BATCH_RESOURCES)


def _renewed(case: Case, lease: Object) -> bool:
    spec = lease.get("spec") or {}
    try:
        renewed = dt.datetime.fromisoformat(str(spec.get("renewTime")))
    except ValueError:
        return False
    lasts = float(spec.get("leaseDurationSeconds") or 0) + _SETTLING
    return bool(spec.get("holderIdentity")) and case.now() - renewed.timestamp() < lasts


def _age(case: Case, metadata: Object) -> float:
    try:
        return case.now() - dt.datetime.fromisoformat(str(metadata.get("creationTimestamp"))).timestamp()
    except ValueError:
        return 0.0


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
