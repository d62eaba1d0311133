"""What disturbs CPU sets in place: resizes, CPUs that go and come, deleted ledgers, refused patches."""

from __future__ import annotations

import json
from random import Random

from tests.cpusetchecker.facts import STATUS
from tests.e2e.binding.looker import LEDGERS, TOPOLOGIES
from tests.e2e.cluster.apiclient import MERGE_PATCH, ApiClient
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Object

STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = POLICIES.replace("policies", "policybindings")
SIZES = (1, 1, 2, 2, 3, 4, 6, 8)


def may_have_set(pod: Object) -> bool:
    """Whether a pod is of a class that gets CPU sets."""
    return pod["metadata"].get("labels", {}).get("koordinator.sh/qosClass") in {"LSE", "LSR"}


def resize(calls: ApiClient, dice: Random, pod: Object) -> str:
    """Let a pod ask for another number of CPUs, bound or not; returns what became of it."""
    metadata = pod["metadata"]
    figures = {"cpu": str(dice.choice(SIZES))}
    resources = {"requests": figures, "limits": figures}
    patch = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/resize"
    code, body = calls.call("PATCH", path, patch, content_type=STRATEGIC_MERGE_PATCH)
    if code in {200, 404}:
        return "resized" if code == 200 else "not resized: gone"
    if "failed calling webhook" in body:
        return "not resized: the webhook is away"
    return "resize denied" if "resize-cpu-set" in body else f"not resized: {code}"


def delete_ledger(calls: ApiClient, _dice: Random, node: FakeNode) -> str:
    """Delete a node's ledger."""
    code, _ = calls.call("DELETE", f"{LEDGERS}/{node.name}")
    return "ledgers deleted" if code == 200 else "no ledger to delete"


def take_offline(calls: ApiClient, dice: Random, node: FakeNode) -> str:
    """Switch some CPUs of a node off, and those on again that were off."""
    off = set(dice.sample(range(node.cpus), dice.choice((0, 1, 2, node.cpus // 8))))
    rows = [place for place in node.places() if place["id"] not in off]
    _annotate(calls, node, "node.koordinator.sh/cpu-topology", {"detail": rows})
    return "CPUs offline" if off else "CPUs online"


def pin(calls: ApiClient, dice: Random, node: FakeNode) -> str:
    """Let the kubelet's static policy give CPUs of a node to a pod of its own, in place of others."""
    first = dice.randrange(node.cpus)
    cpus = sorted({first, (first + dice.choice((0, 1, node.cpus // 2))) % node.cpus})
    given = {"namespace": "d", "name": "p", "uid": f"pinned-{node.name}", "managedByKubelet": True}
    pinned = [{**given, "cpuset": ",".join(map(str, cpus))}] if dice.random() < 0.8 else []
    _annotate(calls, node, "node.koordinator.sh/pod-cpu-allocs", pinned)
    return "CPUs pinned" if pinned else "CPUs released"


def refuse_patches(calls: ApiClient, dice: Random, namespace: str) -> None:
    """Deny each change of the CPU set of some pods in a namespace, as a policy of somebody else does."""
    now, before = (
        f"({each}.metadata.?annotations[?'{STATUS}'].orValue(''))" for each in ("object", "oldObject")
    )
    spec = {
        "failurePolicy": "Ignore",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}
            ],
        },
        "validations": [
            {
                "expression": f"!object.metadata.name.endsWith('3') || {now} == {before}",
                "message": "for the test",
                "reason": dice.choice(("Forbidden", "Invalid", "RequestEntityTooLarge")),
            }
        ],
    }
    _make(calls, POLICIES, {"kind": "ValidatingAdmissionPolicy", "spec": spec}, namespace)
    bound = {"policyName": namespace, "validationActions": ["Deny"]}
    binding = {"kind": "ValidatingAdmissionPolicyBinding", "spec": bound}
    _make(calls, BINDINGS, binding, namespace)


def refusals(namespace: str) -> tuple[str, ...]:
    """Return the paths of what refuses patches: all are allowed when these have been deleted."""
    return f"{BINDINGS}/{namespace}", f"{POLICIES}/{namespace}"


def _make(calls: ApiClient, path: str, what: Object, name: str) -> None:
    whole = {"apiVersion": "admissionregistration.k8s.io/v1", **what, "metadata": {"name": name}}
    code, body = calls.call("POST", path, whole)
    assert code == 201, body


def _annotate(calls: ApiClient, node: FakeNode, key: str, value: object) -> None:
    change = {"metadata": {"annotations": {key: json.dumps(value)}}}
    code, body = calls.call("PATCH", f"{TOPOLOGIES}/{node.name}", change, content_type=MERGE_PATCH)
    assert code == 200, body
