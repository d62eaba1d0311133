"""The rights of the chart's scheduler are the least: it uses each of them, and needs none besides."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chart.test_rbac import Right, without
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import NotInTimeError, eventually, stopping
from tests.e2e.release.installation import NAMESPACE, Installation
from tests.e2e.scheduling.pool import Pool
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, NAME, scheduling, start

FORBIDDEN = re.compile(r'cannot (\w+) resource \\*"(\w+)')
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"
KUBERNETES: dict[tuple[str, str], Object] = {
    ("clusterrolebinding", f"{NAME}-kube"): {"verb": "list", "resource": "nodes"},
    ("clusterrolebinding", f"{NAME}-volume"): {
        "verb": "list",
        "resource": "storageclasses",
        "group": "storage.k8s.io",
    },
    ("rolebinding", f"{NAME}-authentication-reader"): {
        "verb": "get",
        "resource": "configmaps",
        "namespace": "kube-system",
        "name": "extension-apiserver-authentication",
    },
}
"""Bindings to Kubernetes' own roles, and what the scheduler is refused without each."""


def allowed(kubectl: Kubectl, action: Object) -> bool:
    """Whether the scheduler's account may do something now, by the API server's own authorizer."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    asked = kubectl.create({**review, "spec": {"user": ACCOUNT, "resourceAttributes": action}})
    return bool(asked["status"]["allowed"])


@contextlib.contextmanager
def taken(
    kubectl: Kubectl, kind: str, name: str, field: str, left: list[Object], action: Object
) -> Iterator[None]:
    """A role's rules or a binding's subjects are these meanwhile; the API server has taken notice."""
    namespace = action.get("namespace", "")
    place = ["-n", namespace] if namespace else []

    def write(value: object, *, may: bool) -> None:
        kubectl.run(*place, "patch", kind, name, "--type=merge", "-p", json.dumps({field: value}))
        eventually(lambda: allowed(kubectl, action) is may, what=f"{name}: {action} allowed: {may}")

    before = kubectl.get(kind, name, namespace=namespace)[field]
    write(left, may=False)
    try:
        yield
    finally:
        write(before, may=True)


def bindings(kubectl: Kubectl) -> set[tuple[str, str]]:
    """What gives the scheduler's account rights."""
    wanted = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    listed = (
        kubectl.items("clusterrolebindings")
        + json.loads(kubectl.run("get", "rolebindings", "--all-namespaces", "-o", "json").stdout)["items"]
    )
    return {
        (each["kind"].lower(), each["metadata"]["name"])
        for each in listed
        if wanted in each.get("subjects", [])
    }


@pytest.mark.usefixtures("installed_scheduler")
def test_every_right_is_needed(
    release: Installation, control_plane: ControlPlane, cache: Path, tmp_path: Path, pool: Pool
) -> None:
    """From a cold start a pod is bound, and nothing is refused; without any one right, just that is."""
    kubectl = release.kubectl
    assert bindings(kubectl) == {*KUBERNETES, ("rolebinding", NAME)}
    rules = kubectl.get("role", NAME, namespace=NAMESPACE)["rules"]
    own = [
        Right("Role", resource, tuple(rule.get("resourceNames", ())), verb)
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    lease = {"group": "coordination.k8s.io", "namespace": NAMESPACE, "name": KOORD_SCHEDULER}
    actions = {right: {**lease, "resource": right.resource, "verb": right.verb} for right in own}
    for action in (*KUBERNETES.values(), *actions.values()):
        eventually(lambda action=action: allowed(kubectl, action), what=f"{action} allowed")  # type: ignore[misc]

    kubectl.delete("lease", KOORD_SCHEDULER, namespace=NAMESPACE)
    with scheduling(release, control_plane, cache, tmp_path / "all") as process:
        node = pool.add("node", 8)
        pool.send("web", "LSR", "2")
        assert pool.bound("web") == node
        assert FORBIDDEN.findall(process.log()) == []

    def refused(action: Object) -> set[tuple[str, str]]:
        """What a scheduler is refused until it is the one that is wanted, or for a while."""
        wanted = action["verb"], action["resource"]
        seen: set[tuple[str, str]] = set()

        def look() -> bool:
            seen.update(FORBIDDEN.findall(lacking.log()))
            return wanted in seen

        with (
            stopping(start(release, cache, tmp_path / "-".join(wanted))) as lacking,
            contextlib.suppress(NotInTimeError),
        ):
            eventually(look, seconds=60)
        return seen

    seen = {}
    for right, action in actions.items():
        with taken(kubectl, "role", NAME, "rules", without(rules, right), action):
            seen[action["verb"], action["resource"]] = refused(action)
    for (kind, name), action in KUBERNETES.items():
        with taken(kubectl, kind, name, "subjects", [], action):
            seen[action["verb"], action["resource"]] = refused(action)
    assert {wanted: found for wanted, found in seen.items() if wanted not in found} == {}
