"""Pod templates into the pods that a controller would create."""

import pytest

from webhook.pods.manifests.podtemplates import TEMPLATES, WorkloadError, template_pods
from webhook.protocol import set_by_controllers

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c"}]}}
PLACES = {kind: (group, path) for (group, kind), path in TEMPLATES.items()}
WORKLOADS = [kind for kind in PLACES if kind != "Pod"]


def workload(kind, **fields):
    """Return an object of a kind with a pod template; ``fields`` are siblings of the template."""
    group, (*outer, inner) = PLACES[kind]
    spec = {inner: TEMPLATE, **fields}
    for key in reversed(outer):
        spec = {key: spec}
    version = f"{group}/v1".removeprefix("/")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "ns"}, **spec}


@pytest.mark.parametrize("kind", WORKLOADS)
def test_every_kind_with_a_template(kind):
    """One pod, with the labels of the template and of the controller, a name and an owner."""
    (found,) = template_pods(workload(kind), "f.yaml:1")
    assert (found.origin, found.namespace, found.replicas) == (f"{kind} w", "ns", 1)
    metadata = found.pod["metadata"]
    assert metadata["labels"]["app"] == "x"
    assert metadata.get("name") or metadata.get("generateName")
    assert metadata["ownerReferences"][0]["controller"]
    assert found.pod["spec"]["containers"] == TEMPLATE["spec"]["containers"]
    assert found.pod["spec"] is not TEMPLATE["spec"]
    assert TEMPLATE["spec"].keys() == {"containers"}


def test_what_controllers_add():
    """Labels that a profile could select by."""
    made = {kind: template_pods(workload(kind), "f")[0].pod["metadata"] for kind in WORKLOADS}
    assert "pod-template-hash" in made["Deployment"]["labels"]
    assert made["Deployment"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    assert made["StatefulSet"]["name"] == "w-0"
    assert made["Job"]["labels"]["batch.kubernetes.io/job-name"] == "w"
    assert made["CronJob"]["ownerReferences"][0]["kind"] == "Job"


def test_what_controllers_add_is_theirs():
    """No profile may change these labels."""
    for kind in WORKLOADS:
        (made,) = template_pods(workload(kind), "f")
        added = set(made.pod["metadata"]["labels"]) - {"app"}
        assert all(map(set_by_controllers, added)), added
        assert bool(added) is (kind not in {"ReplicaSet", "ReplicationController", "PodTemplate"})


CHOSEN = {"matchLabels": {"app": "x"}}


@pytest.mark.parametrize(
    ("kind", "fields", "selector"),
    [
        *(
            (kind, {"selector": CHOSEN}, CHOSEN)
            for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
        ),
        ("ReplicationController", {"selector": {"app": "x"}}, CHOSEN),
        ("ReplicationController", {}, CHOSEN),
        ("Job", {}, {"matchLabels": {"batch.kubernetes.io/controller-uid": "preview"}}),
        ("Job", {"selector": CHOSEN}, {"matchLabels": {"batch.kubernetes.io/controller-uid": "preview"}}),
        ("Job", {"selector": CHOSEN, "manualSelector": True}, CHOSEN),
        ("CronJob", {}, {"matchLabels": {"batch.kubernetes.io/controller-uid": "preview"}}),
        ("Deployment", {}, None),
        ("PodTemplate", {}, None),
    ],
)
def test_by_what_a_controller_knows_its_pods(kind, fields, selector):
    """The selector of the workload, or the one that the API server gives it."""
    (made,) = template_pods(workload(kind, **fields), "f")
    assert made.selector == selector


def test_a_pod_is_itself():
    """Without what the server manages."""
    pod = {
        "kind": "Pod",
        "metadata": {"name": "p", "managedFields": []},
        "spec": TEMPLATE["spec"],
        "status": {"phase": "Running"},
    }
    (found,) = template_pods(pod, "f")
    assert found.pod == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": TEMPLATE["spec"],
    }
    assert found.phase == "Running"


@pytest.mark.parametrize(
    ("made", "replicas"),
    [
        (workload("Deployment", replicas=3), 3),
        (workload("StatefulSet", replicas=0), 0),
        (workload("Job", parallelism=4), 4),
        (workload("CronJob", parallelism=2), 2),
        (workload("DaemonSet", replicas=5), 1),
    ],
)
def test_how_many_pods_are_asked_for(made, replicas):
    """Replicas or parallelism; a DaemonSet has one pod on each node."""
    assert [found.replicas for found in template_pods(made, "f")] == [replicas]


@pytest.mark.parametrize("replicas", [-1, "3", 1.5, True])
def test_a_number_of_pods_that_is_none_is_named(replicas):
    """The message has field, value and remedy."""
    with pytest.raises(WorkloadError, match=r"^f: Deployment w: spec\.replicas: .* is not a number of pods"):
        template_pods(workload("Deployment", replicas=replicas), "f")


@pytest.mark.parametrize("document", [{"kind": "Pod"}, {"kind": "Job", "spec": []}])
def test_a_missing_template_is_named(document):
    """The message has file, line and field."""
    with pytest.raises(WorkloadError, match=r"^f\.yaml:7: .*spec\.containers is missing"):
        template_pods(document, "f.yaml:7")
