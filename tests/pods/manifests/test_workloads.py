"""Each kind of manifest, by group and name, has one reader."""

import pytest

from webhook.pods.documents import Document
from webhook.pods.manifests.podtemplates import WorkloadError
from webhook.pods.manifests.workloads import NotShown, pods_of

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c"}]}}


def made(kind, version="apps/v1", spec=None):
    """Return the pods of an object, or why there are none."""
    value = {"apiVersion": version, "kind": kind, "metadata": {"name": "w"}}
    return pods_of(Document({**value, "spec": spec or {"template": TEMPLATE}}, "f"))


@pytest.mark.parametrize(
    ("kind", "version", "origins"),
    [
        ("Deployment", "apps/v1", ["Deployment w"]),
        ("Job", "batch/v1", ["Job w"]),
        ("ReplicationController", "v1", ["ReplicationController w"]),
        (
            "SparkApplication",
            "sparkoperator.k8s.io/v1beta2",
            ["SparkApplication w, driver", "SparkApplication w, executor"],
        ),
    ],
)
def test_a_kind_has_its_reader(kind, version, origins):
    """What it makes is known, so nothing is guessed."""
    found = made(kind, version)
    assert [(pod.origin, pod.guessed_from) for pod in found] == [(origin, "") for origin in origins]


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("Job", "batch.volcano.sh/v1alpha1"),
        ("Deployment", "example.org/v1"),
        ("Pod", "example.org/v1"),
        ("CronJob", "tenant.example/v1"),
        ("SparkApplication", "spark.apache.org/v1"),
        ("StatefulSet", "apps.kruise.io/v1beta1"),
        ("Rollout", "argoproj.io/v1alpha1"),
    ],
)
def test_a_kind_of_another_group_is_another_kind(kind, version):
    """A template in it is a guess; without one the kind is not known, and nothing of it is an error."""
    (found,) = made(kind, version)
    assert found.guessed_from == "spec.template"
    assert made(kind, version, {"tasks": []}) is NotShown.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("Service", "v1"),
        ("ConfigMap", "v1"),
        ("ControllerRevision", "apps/v1"),
        ("HorizontalPodAutoscaler", "autoscaling/v2"),
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
        ("ClusterColocationProfile", "config.koordinator.sh/v1alpha1"),
        ("NodeCPUAllocation", "colocation-webhook.io/v1alpha1"),
        ("ClusterPolicy", "kyverno.io/v1"),
        ("Workload", "kueue.x-k8s.io/v1beta1"),
    ],
)
def test_other_kinds_create_no_pods(kind, version):
    """Those of Kubernetes, ours, and those with templates of pods that others create."""
    assert made(kind, version) is NotShown.NO_PODS


@pytest.mark.parametrize("kind", ["FlinkDeployment", "PipelineRun", "Certificate", "SparkConnect"])
def test_a_kind_that_is_not_known_says_so(kind):
    """It may make pods, and how is not seen in it."""
    found = made(kind, "example.org/v1", {"taskManager": {"resource": {"cpu": 1}}})
    assert found is NotShown.UNKNOWN
    assert "kind not known" in found


@pytest.mark.parametrize(
    "document",
    [
        1,
        [],
        "x",
        {},
        {"kind": 3, "apiVersion": "v1"},
        {"kind": "Pod"},
        {"kind": "Pod", "apiVersion": 1},
        {"kind": "Pod", "apiVersion": "v1"},
        {"kind": "Job", "apiVersion": "batch/v1", "spec": []},
    ],
)
def test_what_is_no_manifest_is_named(document):
    """File and line, and what is missing; kubectl refuses an object without apiVersion, too."""
    with pytest.raises(WorkloadError, match=r"^f\.yaml:7"):
        pods_of(Document(document, "f.yaml:7"))
