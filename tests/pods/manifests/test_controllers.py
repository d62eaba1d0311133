"""What controllers add to the pods of their templates; tests/e2e compares it with the real ones."""

import copy

import pytest

from webhook.pods.manifests.controllers import MADE_UP, complete


def completed(kind, spec=None, **fields):
    """Return a pod of a workload named w, completed."""
    owner = {"apiVersion": "v1", "kind": kind, "name": "w", "uid": MADE_UP, "controller": True}
    pod = {
        "metadata": {"generateName": "w-", "labels": {"app": "x"}, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "c"}], **fields},
    }
    complete(pod, kind, "w", spec or {})
    return pod


@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        ("Deployment", ("ReplicaSet", f"w-{MADE_UP}")),
        ("CronJob", ("Job", f"w-{MADE_UP}")),
        ("Job", ("Job", "w")),
    ],
)
def test_who_owns_a_pod(kind, owner):
    """The object that the controller makes in between."""
    (found,) = completed(kind)["metadata"]["ownerReferences"]
    assert (found["kind"], found["name"]) == owner


@pytest.mark.parametrize("start", [0, 5])
def test_a_stateful_sets_first_pod(start):
    """Its name is its host name; its claims are volumes, instead of those of their names."""
    spec = {
        "ordinals": {"start": start},
        "serviceName": "s",
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}, {"metadata": 3}],
    }
    own = f"w-{start}"
    made = completed("StatefulSet", spec, volumes=[{"name": "data", "emptyDir": {}}, {"name": "x"}])
    assert made["metadata"]["name"] == made["spec"]["hostname"] == own
    assert made["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == str(start)
    assert made["spec"]["subdomain"] == "s"
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{own}"}}
    assert made["spec"]["volumes"] == [claim, {"name": "x"}]


def test_a_daemon_sets_pod_goes_to_one_node():
    """Other affinities stay, a toleration of the same taint is replaced."""
    zone = {"podAffinity": {"x": 1}, "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    taint = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
    own = [{**taint, "tolerationSeconds": 5}, {"key": "mine"}]
    spec = completed("DaemonSet", affinity=zone, tolerations=own)["spec"]
    assert spec["affinity"]["podAffinity"] == {"x": 1}
    assert spec["affinity"]["nodeAffinity"].keys() == {
        "preferredDuringSchedulingIgnoredDuringExecution",
        "requiredDuringSchedulingIgnoredDuringExecution",
    }
    assert spec["tolerations"][:2] == [taint, {"key": "mine"}]
    assert len(spec["tolerations"]) == 7
    assert len(completed("DaemonSet", hostNetwork=True)["spec"]["tolerations"]) == 7


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_an_indexed_jobs_first_pod(kind):
    """Label, annotation, host name and a variable in each container that has none of its name."""
    name = "w" if kind == "Job" else f"w-{MADE_UP}"
    own = {"name": "i", "env": [{"name": "JOB_COMPLETION_INDEX", "value": "x"}]}
    made = completed(kind, {"completionMode": "Indexed"}, initContainers=[own])
    index = "batch.kubernetes.io/job-completion-index"
    assert made["metadata"]["labels"][index] == made["metadata"]["annotations"][index] == "0"
    assert made["metadata"]["generateName"] == f"{name}-0-"
    assert made["spec"]["hostname"] == f"{name}-0"
    assert made["spec"]["initContainers"] == [own]
    assert made["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    assert made["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet"])
@pytest.mark.parametrize("labels", [3, None, ["a"]])
def test_fields_of_a_wrong_type_stay(kind, labels):
    """Whoever checks shapes says what is wrong."""
    owner = {"kind": kind, "name": "w"}
    pod = {
        "metadata": {"labels": labels, "finalizers": 3, "ownerReferences": [owner]},
        "spec": {
            "containers": [3, {"env": 5}],
            "tolerations": 3,
            "volumes": 3,
            "affinity": 3,
            "initContainers": 3,
        },
    }
    before = copy.deepcopy(pod)
    spec = {"ordinals": 3, "volumeClaimTemplates": [{"metadata": {"name": "d"}}], "completionMode": "Indexed"}
    complete(pod, kind, "w", spec)
    if labels:
        assert pod["metadata"]["labels"] == before["metadata"]["labels"]
    assert pod["spec"]["containers"] == before["spec"]["containers"]
    assert pod["spec"]["volumes"] == pod["spec"]["tolerations"] == 3
