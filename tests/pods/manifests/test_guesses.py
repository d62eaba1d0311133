"""Pod templates in kinds whose controllers are not known."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.pods.documents import objects_of, read_documents
from webhook.pods.manifests.guesses import guessed_pods
from webhook.pods.manifests.workloads import group_of

EXAMPLES = Path(__file__).parents[3] / "examples" / "other-kinds"
TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def guessed(spec, kind="Thing", group="example.org"):
    """Return the guesses of an object with this spec, by their path."""
    document = {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": "w", "namespace": "ns"},
        "spec": spec,
    }
    return {pod.guessed_from: pod for pod in guessed_pods(document, group)}


@pytest.mark.parametrize(
    ("file", "paths"),
    [
        (
            "pytorch-job",
            ["spec.pytorchReplicaSpecs.Master.template", "spec.pytorchReplicaSpecs.Worker.template"],
        ),
        ("mpi-job", ["spec.mpiReplicaSpecs.Launcher.template", "spec.mpiReplicaSpecs.Worker.template"]),
        ("ray-cluster", ["spec.headGroupSpec.template", "spec.workerGroupSpecs[0].template"]),
        ("volcano-job", ["spec.tasks[0].template"]),
        ("argo-workflow", ["spec.templates[1]", "spec.templates[2]"]),
        ("flink-deployment", []),
    ],
)
def test_the_examples(file, paths):
    """What each holds; Flink's operator makes pods of figures."""
    (document,) = read_documents((EXAMPLES / f"{file}.yaml").read_bytes(), file)
    (one,) = objects_of(document)
    found = guessed_pods(one.value, group_of(one.value["apiVersion"]))
    assert [pod.guessed_from for pod in found] == paths
    for pod in found:
        assert pod.namespace == "spark-demo"
        assert pod.origin == f"{one.value['kind']} {one.value['metadata']['name']}, {pod.guessed_from}"
        (owner,) = pod.pod["metadata"]["ownerReferences"]
        assert (owner["apiVersion"], owner["kind"]) == (one.value["apiVersion"], one.value["kind"])


def places():
    """Return paths of keys and list positions below ``spec``, as custom resources have them."""
    keys = st.sampled_from(("template", "podTemplate", "worker", "spec", "groups", "jobTemplate", "Master"))
    return st.lists(st.one_of(keys, st.just(0)), min_size=1, max_size=6)


@given(places())
def test_a_template_is_found_wherever_it_stands(place):
    """One pod of it, of which the path says where it stands."""
    inner = TEMPLATE
    for key in reversed(place):
        inner = [inner] if key == 0 else {key: inner}
    path = "".join(f"[{key}]" if key == 0 else f".{key}" for key in place)
    found = guessed({"inner": inner})
    assert list(found) == [f"spec.inner{path}"]
    (pod,) = found.values()
    assert pod.pod["spec"] == TEMPLATE["spec"]
    assert pod.pod["metadata"]["labels"] == {"app": "x"}


@pytest.mark.parametrize(
    "spec",
    [
        {"template": {"spec": {"figures": 3}}},
        {"template": {"spec": {"containers": []}}},
        {"template": {"spec": {"containers": "x"}}},
        {"template": {"spec": {"containers": ["x"]}}},
        {"target": {"template": {"data": {"a": "b"}}}},
        {"patch": {"spec": {"containers": [{"name": "c"}]}}},
        {"rules": [{"validate": {"pattern": {"spec": {"containers": [{"image": "*"}]}}}}]},
        {"containers": [{"name": "c"}]},
        "text",
        None,
        [],
    ],
)
def test_what_has_no_template_is_no_pod(spec):
    """A template of something else, a patch, a pattern, a wrong type."""
    assert guessed(spec) == {}
    assert guessed(spec, group="argoproj.io") == {}


@pytest.mark.parametrize(("replicas", "count"), [(3, 3), (0, 0), (None, 1), ("auto", 1), (-1, 1), (True, 1)])
def test_how_many(replicas, count):
    """A number beside the template counts; what is none may be something else."""
    (pod,) = guessed({"groups": [{"replicas": replicas, "template": TEMPLATE}]}).values()
    assert pod.replicas == count


def test_what_stands_at_the_usual_place_is_like_a_workload():
    """Its selector is known, and its name needs no path."""
    selector = {"matchLabels": {"app": "x"}}
    (pod,) = guessed({"selector": selector, "template": TEMPLATE}).values()
    assert (pod.origin, pod.selector, pod.guessed_from) == ("Thing w", selector, "spec.template")


def test_a_scheduler_for_all():
    """It counts where the template names none."""
    own = {"spec": {**TEMPLATE["spec"], "schedulerName": "own"}}
    found = guessed({"schedulerName": "volcano", "tasks": [{"template": TEMPLATE}, {"template": own}]})
    assert [pod.pod["spec"]["schedulerName"] for pod in found.values()] == ["volcano", "own"]


def test_argos_templates():
    """Fields of the Workflow count where the template states none; a CronWorkflow holds a Workflow."""
    spec = {
        "podMetadata": {"labels": {"a": "1", "b": "1"}},
        "nodeSelector": {"all": "x"},
        "templates": [
            {"name": "steps", "steps": [[{"name": "s", "template": "run"}]]},
            {
                "name": "run",
                "metadata": {"labels": {"b": "2"}},
                "container": {"image": "i"},
                "sidecars": [{"name": "side"}],
                "nodeSelector": {"own": "y"},
            },
            {"name": "set", "containerSet": {"containers": [{"name": "a"}, {"name": "b"}]}},
            {"name": "broken", "container": "x"},
            3,
        ],
    }
    run, both = guessed({"workflowSpec": spec}, "CronWorkflow", "argoproj.io").values()
    assert [container["name"] for container in run.pod["spec"]["containers"]] == ["main", "side"]
    assert run.pod["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert run.pod["spec"]["nodeSelector"] == {"own": "y"}
    assert [container["name"] for container in both.pod["spec"]["containers"]] == ["a", "b"]
    assert both.pod["spec"]["nodeSelector"] == {"all": "x"}
    assert run.guessed_from == "spec.workflowSpec.templates[1]"
