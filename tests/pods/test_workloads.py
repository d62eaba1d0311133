"""Manifests into pods."""

import pytest

from webhook.pods.workloads import TEMPLATES, WorkloadError, pods_of

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c"}]}}


def workload(kind):
    """Return an object of a kind with a pod template."""
    spec = TEMPLATE
    for key in reversed(TEMPLATES[kind]):
        spec = {key: spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w", "namespace": "ns"}, **spec}


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_kind_with_a_template(kind):
    """One pod, with the labels of the template and of the controller, a name and an owner."""
    (found,) = pods_of(workload(kind), "f.yaml:1")
    assert (found.origin, found.namespace) == (f"{kind} w", "ns")
    metadata = found.pod["metadata"]
    assert metadata["labels"]["app"] == "x"
    assert metadata.get("name") or metadata.get("generateName")
    assert metadata["ownerReferences"][0]["controller"]
    assert found.pod["spec"] == TEMPLATE["spec"]
    assert found.pod["spec"] is not TEMPLATE["spec"]


def test_what_controllers_add():
    """Labels that a profile could select by."""
    made = {kind: pods_of(workload(kind), "f")[0].pod["metadata"] for kind in TEMPLATES}
    assert "pod-template-hash" in made["Deployment"]["labels"]
    assert made["Deployment"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    assert made["StatefulSet"]["name"] == "w-0"
    assert made["Job"]["labels"]["batch.kubernetes.io/job-name"] == "w"
    assert made["CronJob"]["ownerReferences"][0]["kind"] == "Job"


def test_a_pod_is_itself():
    """But for what the server manages."""
    pod = {"kind": "Pod", "metadata": {"name": "p", "managedFields": []}, "spec": TEMPLATE["spec"]}
    (found,) = pods_of(pod, "f")
    assert found.pod["metadata"] == {"name": "p"}


def test_lists_are_opened_and_other_kinds_passed_over():
    """A Service makes no pods; a custom kind with spec.template does."""
    rollout = {"kind": "Rollout", "metadata": {"name": "r"}, "spec": {"template": TEMPLATE}}
    assert [p.origin for p in pods_of(rollout, "f")] == ["Rollout r"]
    assert pods_of({"kind": "Service", "metadata": {"name": "s"}, "spec": {}}, "f") is None
    listed = {"kind": "List", "items": [workload("Job"), {"kind": "Service"}]}
    assert [p.origin for p in pods_of(listed, "f")] == ["Job w"]


@pytest.mark.parametrize(
    "document", [1, [], "x", {}, {"kind": 3}, {"kind": "Pod"}, {"kind": "Job", "spec": []}]
)
def test_what_is_no_manifest_is_named(document):
    """File and line, and what is missing."""
    with pytest.raises(WorkloadError, match=r"^f\.yaml:7"):
        pods_of(document, "f.yaml:7")
