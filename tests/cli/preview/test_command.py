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


DEPLOYMENTS = [
    json.dumps(
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": f"w{i}", "namespace": f"ns{i % 3}"},
            "spec": {
                "selector": {"matchLabels": {"app": "x"}},
                "template": {
                    "metadata": {"labels": {"app": "x"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            },
        }
    )
    for i in range(10)
    for kind, version in (
        ("Deployment", "apps/v1"),
        ("StatefulSet", "apps/v1"),
        ("Job", "batch/v1"),
        ("Thing", "x.org/v1"),
    )
]


def test_a_probability_for_each_workload(run, objects):
    """Some are changed and some are not, others with another seed, and the same ones with the same seed."""
    marks = {"colocation-webhook.io/probability-scope": "workload"}
    half = json.loads(profile("half", probability="50%", labels={"hit": "yes"}))
    half["metadata"]["annotations"] = marks
    directory = objects(json.dumps(half))
    manifest = "\n---\n".join(DEPLOYMENTS)
    outcomes = {}
    for seed in ("", "a", "b", "c"):
        command = ("preview", "--objects", directory, "--seed", seed, "-o", "json", "-")
        pods, again = (json.loads(run(*command, stdin=manifest).stdout)["pods"] for _ in range(2))
        outcomes[seed] = [pod["outcome"] for pod in pods]
        assert outcomes[seed] == [pod["outcome"] for pod in again]
        assert 5 <= outcomes[seed].count("changed") <= 35
        assert len({pod["before"]["metadata"]["ownerReferences"][0]["uid"] for pod in pods}) == len(pods)
    assert len({tuple(found) for found in outcomes.values()}) == 4


def test_pods_of_one_workload_are_alike(run, objects):
    """All roles of one object have one owner, so they fall the same way."""
    half = json.loads(profile("half", probability="50%", labels={"hit": "yes"}))
    half["metadata"]["annotations"] = {"colocation-webhook.io/probability-scope": "workload"}
    directory = objects(json.dumps(half))
    template = {"template": {"spec": {"containers": [{"name": "c"}]}}}
    jobs = [
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {"name": f"j{i}"},
            "spec": {"pytorchReplicaSpecs": {"Master": template, "Worker": template}},
        }
        for i in range(20)
    ]
    shown = run("preview", "--objects", directory, "-o", "json", "-", stdin="\n".join(map(json.dumps, jobs)))
    outcomes = [pod["outcome"] for pod in json.loads(shown.stdout)["pods"]]
    assert outcomes[::2] == outcomes[1::2]
    assert set(outcomes) == {"changed", "unchanged"}


def test_a_document_that_cannot_be_read_does_not_hide_the_others(run, objects):
    """It is named, counted in the last line and in JSON, and costs exit status 1."""
    broken = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {}\n"
    binary = "apiVersion: v1\nkind: Pod\nspec: {containers: [!!binary YQ==]}\n"
    manifest = f"a: [\n---\n{POD}---\n{broken}---\n{binary}"
    result = run("preview", "--objects", objects(profile("p", qosClass="LS")), "-", stdin=manifest)
    assert result.exit_code == 1
    assert "Pod p  changed" in result.stdout
    assert "1 pod: 1 changed, 0 unchanged, 0 denied; not shown: 3 that cannot be read\n" in result.stdout
    assert "Deployment d: spec.template.spec.containers is missing" in result.stderr
    shown = run("preview", "--objects", objects(), "-o", "json", "-", stdin=manifest)
    assert shown.exit_code == 1
    assert len(json.loads(shown.stdout)["errors"]) == 3


def test_kinds_that_are_not_known(run, examples):
    """Templates in them are shown as guesses; the rest is counted, in JSON too; neither is a failure."""
    command = ("preview", "--objects", examples / "objects", examples / "other-kinds")
    result = run(*command)
    assert result.exit_code == 0
    assert "how a Job of batch.volcano.sh/v1alpha1 makes pods is not known here" in result.stdout
    assert "9 pods: 7 changed, 2 unchanged, 0 denied; not shown: 1 of unknown kinds\n" in result.stdout
    assert (
        "FlinkDeployment clicks: kind not known: its pods, if it creates any, are not shown" in result.stderr
    )
    found = json.loads(run(*command, "-o", "json").stdout)
    assert {pod["guessedFrom"] is not None for pod in found["pods"]} == {True}
    (ignored,) = found["passedOver"]
    assert ignored["object"] == "FlinkDeployment clicks"


@pytest.mark.parametrize("manifest", ["", "---\n", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"])
def test_nothing_to_show_is_a_failure(run, objects, manifest):
    """A pipeline that lost its input is not taken for one without changes."""
    result = run("preview", "--objects", objects(), "-", stdin=manifest)
    assert result.exit_code == 1
    assert "nothing to show: no pod, and no object that creates pods" in result.stderr


def priority_class(name, value, **fields):
    """Write a PriorityClass."""
    meta = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
    return json.dumps({**meta, "value": value, **fields})


@pytest.mark.parametrize(
    ("classes", "spec", "wanted"),
    [
        ([], {}, (None, 0, "PreemptLowerPriority")),
        ([("a", 7, {"globalDefault": True})], {}, ("a", 7, "PreemptLowerPriority")),
        ([("a", 7, {"globalDefault": True, "preemptionPolicy": "Never"})], {}, ("a", 7, "Never")),
        (
            [("b", 9, {"globalDefault": True}), ("a", -7, {"globalDefault": True})],
            {},
            ("a", -7, "PreemptLowerPriority"),
        ),
        (
            [("a", 7, {"globalDefault": True}), ("b", 9, {})],
            {"priorityClassName": "b"},
            ("b", 9, "PreemptLowerPriority"),
        ),
        ([("a", 7, {})], {"priorityClassName": "a", "priority": 7}, ("a", 7, "PreemptLowerPriority")),
        ([], {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}, (None, 0, "PreemptLowerPriority")),
    ],
)
def test_priority_as_the_api_server_sets_it(run, objects, classes, spec, wanted):
    """By the class that the pod names, else the global default of the lowest value, else 0."""
    directory = objects(*(priority_class(name, value, **fields) for name, value, fields in classes))
    pod = yaml.safe_load(POD)
    pod["spec"] |= spec
    result = run("preview", "--objects", directory, "-o", "json", "-", stdin=json.dumps(pod))
    assert result.exit_code == 0
    before = json.loads(result.stdout)["pods"][0]["before"]["spec"]
    assert tuple(before.get(f) for f in ("priorityClassName", "priority", "preemptionPolicy")) == wanted


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"priority": 5}, "spec.priority"),
        ({"priorityClassName": "a", "priority": 8}, "spec.priority"),
        ({"preemptionPolicy": "Never"}, "spec.preemptionPolicy"),
        ({"priorityClassName": "a", "preemptionPolicy": "Never"}, "spec.preemptionPolicy"),
        ({"priorityClassName": "other"}, "spec.priorityClassName"),
        ({"priorityClassName": 3}, "spec.priorityClassName"),
    ],
)
def test_priorities_that_the_api_server_refuses(run, objects, spec, field):
    """What the pod says of its priority is not what its class says."""
    pod = yaml.safe_load(POD)
    pod["spec"] |= spec
    result = run("preview", "--objects", objects(priority_class("a", 7)), "-", stdin=json.dumps(pod))
    assert result.exit_code == 1
    assert f"✗ {field}: " in result.stdout


def test_a_global_default_decides_about_a_profile_that_sets_a_qos_class_only(run, objects):
    """The pod is of the default's class, so it is not translated, and validation denies it."""
    be = profile("be-only", selector={"matchLabels": {"app": "x"}}, qosClass="BE")
    directory = objects(be, priority_class("site-default", 9500, globalDefault=True))
    result = run("preview", "--objects", directory, "-", stdin=POD)
    assert result.exit_code == 1
    assert "(rule qos-priority/BE-prod)" in result.stdout
    assert "batch-cpu" not in result.stdout
    assert "every pod that matches and names no PriorityClass" in run("check", "--objects", directory).stdout


def limit_range(**item):
    """Write a LimitRange of containers in the namespace default."""
    meta = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "default"}}
    return json.dumps({**meta, "spec": {"limits": [{"type": "Container", **item}]}})


@pytest.mark.parametrize(
    ("labels", "rule"),
    [("BE", None), ("LSR", "request-equals-limit"), ("LSE", "whole-cpus")],
)
def test_limit_range_defaults_are_the_pods_own(run, objects, labels, rule):
    """They are translated, and the rules judge them."""
    figures = {"default": {"cpu": "500m", "memory": "512Mi"}, "defaultRequest": {"cpu": "250m"}}
    classes = {"BE": "koord-batch"}
    made = profile("p", selector={"matchLabels": {"app": "x"}}, qosClass=labels,
                   priorityClassName=classes.get(labels, "koord-prod"))  # fmt: skip
    pod = yaml.safe_load(POD)
    del pod["spec"]["containers"][0]["resources"]
    result = run(
        "preview",
        "--objects",
        objects(made, limit_range(**figures)),
        "-o",
        "json",
        "-",
        stdin=json.dumps(pod),
    )
    (found,) = json.loads(result.stdout)["pods"]
    own = found["before"]["spec"]["containers"][0]["resources"]
    assert own == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    }
    if rule is None:
        translated = found["after"]["spec"]["containers"][0]["resources"]
        assert translated["requests"] == {
            "kubernetes.io/batch-cpu": "250",
            "kubernetes.io/batch-memory": "512Mi",
        }
    else:
        assert f"(rule {rule})" in found["denials"][0]


def test_what_the_containers_request_counts_at_the_pods_level(run, objects):
    """A limit there without a request gets it before validation, as in the API server."""
    pod = yaml.safe_load(POD)
    pod["metadata"]["labels"]["koordinator.sh/qosClass"] = "LSR"
    pod["spec"] |= {"priorityClassName": "koord-prod", "resources": {"limits": {"cpu": "2"}}}
    for cpu, exit_code in (("2", 0), ("1", 1)):
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
        result = run("preview", "--objects", objects(), "-", stdin=json.dumps(pod))
        assert result.exit_code == exit_code, result.stdout


def test_a_pod_of_a_cluster_was_changed_already(run, tmp_path, examples):
    """What it was changed by, and what another one like it would get: nothing new."""
    manifest = tmp_path / "pod.json"
    pod = json.loads((examples / "reviews" / "spark-driver.json").read_text())["request"]["object"]
    manifest.write_text(json.dumps(pod))
    preview = ("preview", "--objects", examples / "objects", manifest)
    (first,) = json.loads(run(*preview, "-o", "json").output)["pods"]
    assert first["outcome"] == "changed"
    live = first["after"] | {"status": {"phase": "Pending"}}
    manifest.write_text(json.dumps(live))
    text = run(*preview).output
    assert "already changed by spark-demo; below: what a new one would get" in text
    assert "0 changed, 1 unchanged" in text
    assert "Changes" not in text
    live["metadata"]["annotations"]["colocation-webhook.io/profiles"] = 1
    manifest.write_text(json.dumps(live))
    assert "already changed" not in run(*preview).output
