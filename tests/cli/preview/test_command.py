"""What would happen to the pods of a manifest."""

import json

import pytest
import yaml

from tests.cli.conftest import profile

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: x}}
spec:
  containers: [{name: c, resources: {limits: {cpu: 500m, memory: 1Gi}}}]
"""


def test_the_spark_application_of_the_examples(run, examples):
    """Driver and executor, translated, with the reason of every change."""
    result = run("preview", "--objects", examples / "objects", examples / "manifests/spark-tc-complex.yaml")
    assert result.exit_code == 0
    assert "Pod spark-tc-complex-driver  changed" in result.stdout
    assert "+         kubernetes.io/batch-memory: 3456Mi" in result.stdout
    assert "✓ spark-demo" in result.stdout
    assert "· online-services  namespaceSelector: tier=online, the namespace has no tier" in result.stdout
    assert "~ spec.priority = 5000  (was 0)" in result.stdout
    assert "colocation-webhook.io/" not in result.stdout
    assert "2 pods: 2 changed, 0 unchanged, 0 denied" in result.stdout
    assert "\x1b" not in result.stdout


def test_every_example_is_shown(run, examples):
    """None is denied; a Service is reported as ignored; a BE pod that no profile takes is warned of."""
    result = run("preview", "--objects", examples / "objects", *sorted((examples / "manifests").iterdir()))
    assert result.exit_code == 0
    assert "8 pods: 4 changed, 4 unchanged, 0 denied" in result.stdout
    assert "Service web creates no pods, ignored" in result.stderr
    assert "! spec.containers[0].resources: native cpu and memory in a BE pod" in result.stdout


def test_colours(run, examples):
    """On demand also where there is no terminal."""
    command = ("preview", "--objects", examples / "objects", examples / "manifests/web-deployment.yaml")
    assert "\x1b[32m" in run(*command, "--color", "always").stdout
    assert "\x1b" not in run(*command, "--color", "never").stdout


def test_standard_input_and_namespace(run, objects):
    """``-`` is read; -n is for manifests that name no namespace."""
    chosen = profile(
        "p", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "here"}}, qosClass="LS"
    )
    directory = objects(chosen)
    assert "changed" in run("preview", "--objects", directory, "-n", "here", "-", stdin=POD).stdout
    elsewhere = run("preview", "--objects", directory, "-", stdin=POD).stdout
    assert "unchanged" in elsewhere
    assert "no file describes namespace default" in elsewhere


def test_the_pod_arrives_as_the_api_server_sends_it(run, objects):
    """Requests from limits, scheduler, priority and preemptionPolicy by the class."""
    classes = json.dumps(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "mine"},
            "value": 7,
            "preemptionPolicy": "Never",
        }
    )
    pod = yaml.safe_load(POD)
    pod["spec"]["priorityClassName"] = "mine"
    result = run("preview", "--objects", objects(classes), "-o", "json", "-", stdin=json.dumps(pod))
    spec = json.loads(result.stdout)["pods"][0]["before"]["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (7, "Never")
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}


def test_denials_give_exit_status_1(run, objects):
    """Of the mutating webhook, of the validating one, and of the API server."""
    missing = objects(profile("p", priorityClassName="none"))
    result = run("preview", "--objects", missing, "-", stdin=POD)
    assert result.exit_code == 1
    assert "✗ spec.priorityClassName: profile" in result.stdout
    assert "· p  matched, but the pod is denied" in result.stdout
    denied = objects(profile("p", qosClass="BE", priorityClassName="koord-prod"))
    invalid = run("preview", "--objects", denied, "-", stdin=POD)
    assert invalid.exit_code == 1
    assert "qos-priority/BE-prod" in invalid.stdout
    unknown = POD + "  priorityClassName: nobody\n"
    refused = run("preview", "--objects", objects(), "-", stdin=unknown)
    assert refused.exit_code == 1
    assert "no PriorityClass 'nobody'" in refused.stdout


def test_rules_can_be_set(run, objects):
    """As for the service."""
    directory = objects(profile("p", qosClass="BE", priorityClassName="koord-prod"))
    rule = ("--rule", "qos-priority/BE-prod=warn")
    result = run("preview", "--objects", directory, *rule, "-", stdin=POD)
    assert result.exit_code == 0
    assert "Warnings" in result.stdout


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_machines_get_everything(run, examples, form):
    """Pods before and after, patch, explanation with causes."""
    manifest = examples / "manifests/spark-tc-complex.yaml"
    result = run("preview", "--objects", examples / "objects", "-o", form, manifest)
    driver, executor = yaml.safe_load(result.stdout)["pods"]
    assert driver["outcome"] == executor["outcome"] == "changed"
    assert driver["explanation"]["operations"][0]["causes"][0]["source"] == "spark-demo"
    assert driver["after"]["metadata"]["labels"]["koordinator.sh/qosClass"] == "BE"
    assert "koordinator.sh/qosClass" not in driver["before"]["metadata"]["labels"]


def test_only_so_many_profiles_are_explained(run, objects):
    """The applied ones first, then the nearest misses; the rest is counted."""
    far = [profile(f"a{i}", namespaceSelector={"matchLabels": {"no": "no"}}) for i in range(20)]
    near = profile("z-near", selector={"matchLabels": {"app": "y"}})
    directory = objects(*far, near, profile("zz", qosClass="LS"))
    result = run("preview", "--objects", directory, "--profiles", "2", "-", stdin=POD)
    assert "✓ zz" in result.stdout
    assert "· z-near  selector: app=y, the pod has app=x" in result.stdout
    assert "and 20 more" in result.stdout


def test_a_probability_falls_otherwise_with_another_seed(run, objects):
    """And the same way with the same one."""
    directory = objects(profile("p", qosClass="LS", probability=50))
    seen = {
        seed: run("preview", "--objects", directory, "--seed", seed, "-", stdin=POD).stdout
        for seed in map(str, range(12))
    }
    assert {"0 changed" in text for text in seen.values()} == {True, False}
    assert run("preview", "--objects", directory, "--seed", "3", "-", stdin=POD).stdout == seen["3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "standard input:2:1: not YAML"),
        ("just text", "standard input:1: not a Kubernetes object"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}",
            "Deployment d: spec.template.spec.containers is missing",
        ),
        ("apiVersion: v1\nkind: Pod\nspec: {containers: [!!binary YQ==]}", "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_read(run, objects, text, message):
    """One line, exit status 1."""
    result = run("preview", "--objects", objects(), "-", stdin=text)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Pod\nmetadata: {labels: [a]}\nspec: {containers: [{name: c}]}",
        "apiVersion: v1\nkind: Pod\nspec: {containers: [1]}",
        (
            "apiVersion: apps/v1\nkind: Deployment\n"
            "spec: {template: {metadata: {labels: x}, spec: {containers: [{resources: 3}]}}}"
        ),
        (
            "apiVersion: v1\nkind: Pod\n"
            "spec: {resources: {limits: {cpu: 1}, requests: x}, containers: [{resources: 1}]}"
        ),
    ],
)
def test_a_broken_pod_is_denied_like_in_the_service(run, objects, text):
    """The denial names the field."""
    result = run("preview", "--objects", objects(profile("p", qosClass="BE")), "-", stdin=text)
    assert result.exit_code == 1
    assert "must be a" in result.stdout


def test_files_are_required(run, objects):
    """Wrong use."""
    assert run("preview", "--objects", objects()).exit_code == 2
    assert run("preview", "--objects", objects(), "/nowhere.yaml").exit_code in {1, 2}


VERSIONS = {"Job": "batch/v1", "ReplicationController": "v1", "Rollout": "argoproj.io/v1alpha1"}


def web(kind, selector, **fields):
    """Return a workload whose pods have the labels app=web and other=x."""
    template = {
        "metadata": {"labels": {"app": "web", "other": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"selector": selector, "template": template, **fields}
    version = VERSIONS.get(kind, "apps/v1")
    return json.dumps({"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": spec})


APP = {"matchLabels": {"app": "web"}}
SELECTING = {
    "Deployment": web("Deployment", APP),
    "ReplicaSet": web("ReplicaSet", APP),
    "StatefulSet": web("StatefulSet", APP),
    "DaemonSet": web(
        "DaemonSet", {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}
    ),
    "Job": web("Job", APP, manualSelector=True),
    "ReplicationController": web("ReplicationController", {"app": "web"}),
    "ReplicationController without a selector": web("ReplicationController", None),
    "Rollout": web("Rollout", APP),
}
CHANGING = {
    "labels": {"labels": {"app": "x"}},
    "labelSuffixes": {"labelSuffixes": {"app": "-colo"}},
    "labelKeysMapping": {"labelKeysMapping": {"other": "app"}},
    "patch": {"patch": {"metadata": {"labels": {"app": "x"}}}},
    "patch, null": {"patch": {"metadata": {"labels": {"app": None}}}},
}


@pytest.mark.parametrize("workload", SELECTING)
@pytest.mark.parametrize("field", CHANGING)
def test_pods_that_their_controller_would_not_know(run, objects, workload, field):
    """Exit status 1; selector, label, profile, field, and what would happen."""
    directory = objects(profile("p", **CHANGING[field]))
    result = run("preview", "--objects", directory, "-", stdin=SELECTING[workload])
    assert result.exit_code == 1
    kind = workload.partition(" ")[0]
    assert f"✗ the pod no longer meets spec.selector of {kind} web (app=web): it would have " in result.stdout
    assert f"by profile p, {field.partition(',')[0]}: " in result.stdout
    assert ("could not create another" if kind == "StatefulSet" else "others without end") in result.stdout
    assert "1 pod: 0 changed, 0 unchanged, 0 denied, 1 orphaned" in result.stdout
    shown = run("preview", "--objects", directory, "-o", "json", "-", stdin=SELECTING[workload])
    (pod,) = json.loads(shown.stdout)["pods"]
    assert (pod["outcome"], pod["denials"]) == ("orphaned", [])
    assert pod["orphaned"] in result.stdout


@pytest.mark.parametrize(
    ("operator", "values", "labels"),
    [
        ("NotIn", ["x"], {"app": "x"}),
        ("NotIn", ["x"], {"new/key": "x"}),
        ("DoesNotExist", [], {"new/key": "x"}),
        ("In", ["web", "api"], {"app": "other"}),
    ],
)
def test_every_clause_of_a_selector(run, objects, operator, values, labels):
    """A label that is added counts as one that is changed."""
    (key,) = labels
    clause = {"key": key, "operator": operator, **({"values": values} if values else {})}
    manifest = web("Deployment", {"matchExpressions": [clause]})
    result = run("preview", "--objects", objects(profile("p", labels=labels)), "-", stdin=manifest)
    assert result.exit_code == 1
    assert f"it would have {key}={labels[key]}, by profile p, labels" in result.stdout


OTHER = {"matchLabels": {"other": "x"}}
HAS_APP = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}


@pytest.mark.parametrize(
    ("manifest", "spec"),
    [
        (web("Deployment", OTHER), {"labelSuffixes": {"app": "-colo"}}),
        (web("StatefulSet", OTHER), {"labels": {"app": "x"}}),
        (web("Job", None), {"labels": {"app": "x"}}),
        (web("Deployment", APP), {"labelKeysMapping": {"app": "new"}}),
        (web("Deployment", HAS_APP), {"labels": {"app": "x"}}),
        (web("Deployment", {"matchLabels": {"no": "match"}}), {"labels": {"app": "x"}}),
        (web("Rollout", {"app": "web"}), {"labels": {"app": "x"}}),
        (web("Rollout", "app=web"), {"labels": {"app": "x"}}),
        (POD, {"labels": {"app": "y"}}),
    ],
)
def test_pods_that_their_controller_knows(run, objects, manifest, spec):
    """A label by which the workload does not select may change; what is no LabelSelector is not compared."""
    result = run("preview", "--objects", objects(profile("p", **spec)), "-", stdin=manifest)
    assert result.exit_code == 0
    assert "1 pod: 1 changed, 0 unchanged, 0 denied\n" in result.stdout
