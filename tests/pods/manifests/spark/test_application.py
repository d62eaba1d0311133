"""SparkApplications into pods, held against pods that a real operator and Spark made."""

import json

import pytest
import yaml

from tests.pods.manifests.spark.builders import application, pods, resources
from webhook.pods.manifests.podtemplates import WorkloadError


def test_the_driver_is_the_one_that_the_operator_makes(examples):
    """Labels (but for made-up values), names, figures, owner and account equal the recorded pod's."""
    manifest = yaml.safe_load((examples / "manifests/spark-tc-complex.yaml").read_text())
    made = pods(manifest)["driver"]
    real = json.loads((examples / "reviews/spark-driver.json").read_text())["request"]["object"]
    assert set(made["metadata"]["labels"]) == set(real["metadata"]["labels"])
    made_up = {"spark-app-selector", "spark-version", "sparkoperator.k8s.io/submission-id"}
    for label, value in real["metadata"]["labels"].items():
        assert label in made_up or made["metadata"]["labels"][label] == value
    assert made["metadata"]["name"] == real["metadata"]["name"]
    assert resources(made) == resources(real)
    for field in ("name", "image"):
        assert made["spec"]["containers"][0][field] == real["spec"]["containers"][0][field]
    for field in ("restartPolicy", "serviceAccountName"):
        assert made["spec"][field] == real["spec"][field]
    (owner,), (real_owner,) = made["metadata"]["ownerReferences"], real["metadata"]["ownerReferences"]
    assert owner | {"uid": ""} == real_owner | {"uid": ""}


def test_the_executor_is_the_one_that_spark_makes(examples):
    """Container, figures and Spark's own labels equal the recorded pod's."""
    made = pods(application(executor={"memory": "3g", "coreLimit": "1"}))["executor"]
    real = json.loads((examples / "reviews/spark-executor.json").read_text())["request"]["object"]
    assert resources(made) == resources(real)
    assert set(real["metadata"]["labels"]) < set(made["metadata"]["labels"])
    assert made["spec"]["containers"][0]["name"] == real["spec"]["containers"][0]["name"]


@pytest.mark.parametrize(
    ("spec", "driver", "executor"),
    [
        ({}, "1408Mi", "1408Mi"),
        ({"type": "Python"}, "1433Mi", "1433Mi"),
        ({"memoryOverheadFactor": "0.5"}, "1536Mi", "1536Mi"),
        ({"sparkConf": {"spark.kubernetes.memoryOverheadFactor": "0.5"}}, "1536Mi", "1536Mi"),
        ({"driver": {"memory": "2g", "memoryOverhead": "1g"}}, "3072Mi", "1408Mi"),
        ({"sparkConf": {"spark.executor.memory": "2g"}}, "1408Mi", "2432Mi"),
        ({"sparkConf": {"spark.executor.memory": "2g"}, "executor": {"memory": "1g"}}, "1408Mi", "1408Mi"),
        (
            {
                "sparkConf": {
                    "spark.memory.offHeap.enabled": "true",
                    "spark.memory.offHeap.size": "1073741824",
                }
            },
            "1408Mi",
            "2432Mi",
        ),
    ],
)
def test_memory(spec, driver, executor):
    """The spec wins over sparkConf; each role has its own figures."""
    made = pods(application(**spec))
    for role, expected in (("driver", driver), ("executor", executor)):
        for section in ("requests", "limits"):
            assert resources(made[role])[section]["memory"] == expected


def test_fields_of_the_pod():
    """Labels, annotations, scheduling, account, sidecars, init containers, GPU, template."""
    document = application(
        sparkConf={"spark.kubernetes.driver.label.team": "data", "spark.kubernetes.driver.annotation.a": "b"},
        nodeSelector={"pool": "spark"},
        driver={
            "labels": {"version": "1"},
            "annotations": {"c": "d"},
            "serviceAccount": "spark",
            "priorityClassName": "koord-batch",
            "schedulerName": "volcano",
            "tolerations": [{"operator": "Exists"}],
            "sidecars": [{"name": "log"}],
            "initContainers": [{"name": "fetch"}],
            "gpu": {"name": "nvidia.com/gpu", "quantity": 1},
            "template": {
                "metadata": {"labels": {"from": "template"}},
                "spec": {"containers": [{"name": "main", "workingDir": "/w"}, {"name": "other"}]},
            },
        },
    )
    document["metadata"]["labels"] = {"owner": "me"}
    pod = pods(document)["driver"]
    labels = pod["metadata"]["labels"]
    assert {"team": "data", "version": "1", "from": "template", "owner": "me"}.items() <= labels.items()
    assert "sparkoperator.k8s.io/mutated-by-spark-operator" not in labels
    assert pod["metadata"]["annotations"] == {"a": "b", "c": "d"}
    spec = pod["spec"]
    assert [c["name"] for c in spec["containers"]] == ["other", "main", "log"]  # Spark puts its own last
    assert spec["containers"][1]["workingDir"] == "/w"
    # The operator looks for the name "spark-kubernetes-driver", and takes the first container without it.
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert spec["initContainers"] == [{"name": "fetch"}]
    assert (spec["serviceAccountName"], spec["priorityClassName"]) == ("spark", "koord-batch")
    assert (spec["schedulerName"], spec["nodeSelector"]) == ("volcano", {"pool": "spark"})


def test_a_scheduled_application_is_its_template():
    """ScheduledSparkApplication keeps the application at spec.template."""
    document = application()
    scheduled = {**document, "kind": "ScheduledSparkApplication", "spec": {"template": document["spec"]}}
    assert set(pods(scheduled)) == {"driver", "executor"}


def test_client_mode_has_no_driver_pod():
    """The driver runs wherever it was started."""
    assert set(pods(application(mode="client"))) == {"executor"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"driver": {"memory": "1Gi"}}, "spec.driver.memory: '1Gi' is not a size"),
        ({"memoryOverheadFactor": "half"}, "spec.memoryOverheadFactor: 'half' is not a number"),
        ({"driver": []}, "spec.driver: must be a map"),
        ({"driver": {"sidecars": "x"}}, "spec.driver.sidecars: must be a list of maps"),
        ({"driver": {"template": {"spec": {"containers": [1]}}}}, "template.spec.containers: must be a list"),
    ],
)
def test_what_spark_would_refuse_names_the_field(spec, message):
    """Object, field, value and what it must be."""
    with pytest.raises(WorkloadError) as caught:
        pods(application(**spec))
    assert message in str(caught.value)
    assert "f.yaml:1: SparkApplication app" in str(caught.value)


def test_a_run_of_a_schedule_carries_its_name():
    """The operator names each application after schedule and time, and labels it."""
    document = application()
    document |= {"kind": "ScheduledSparkApplication", "spec": {"template": document["spec"]}}
    driver = pods(document)["driver"]
    assert driver["metadata"]["name"] == "app-preview-driver"
    assert driver["metadata"]["labels"]["sparkoperator.k8s.io/scheduled-app-name"] == "app"
    assert driver["metadata"]["labels"]["sparkoperator.k8s.io/app-name"] == "app-preview"
