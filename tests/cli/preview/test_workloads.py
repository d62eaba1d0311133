"""The pods of workloads: whether their controller knows them, and how they differ."""

import json

import pytest

from tests.cli.conftest import profile
from tests.cli.preview.builders import POD

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
