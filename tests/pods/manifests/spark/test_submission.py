"""What spark-submit gets: which of two fields wins, labels, batch schedulers, executors."""

import pytest

from tests.pods.manifests.spark.builders import application, pods, resources
from webhook.pods.manifests.podtemplates import WorkloadError
from webhook.pods.manifests.spark.application import spark_pods

FIELDS_AND_CONF = [  # the last that the operator passes wins: sparkConf over the application's fields
    ({"memoryOverheadFactor": "0.5"}, {"spark.kubernetes.memoryOverheadFactor": "1.0"}, "2048Mi"),
    ({"memoryOverheadFactor": "0.5"}, {"spark.driver.memoryOverheadFactor": "1.0"}, "2048Mi"),
    ({"memoryOverheadFactor": ""}, {}, "1408Mi"),
    ({"driver": {"memory": "2g"}}, {"spark.driver.memory": "1g"}, "2432Mi"),
    ({"driver": {"memoryOverhead": "1g"}}, {"spark.driver.memoryOverhead": "2g"}, "2048Mi"),
    ({"type": "Python", "mainApplicationFile": "local:///a.jar"}, {}, "1408Mi"),
    ({"type": "Scala", "mainApplicationFile": "local:///a.py"}, {}, "1433Mi"),
    ({"sparkVersion": "3.5.1"}, {"spark.driver.minMemoryOverhead": "1g"}, "1408Mi"),
    ({"sparkVersion": "4.0.0"}, {"spark.driver.minMemoryOverhead": "1g"}, "2048Mi"),
]


@pytest.mark.parametrize(("spec", "conf", "memory"), FIELDS_AND_CONF)
def test_which_of_field_and_sparkconf_wins(spec, conf, memory):
    """Fields of a role win over sparkConf, sparkConf over fields of the application."""
    assert resources(pods(application(**spec, sparkConf=conf))["driver"])["requests"]["memory"] == memory


@pytest.mark.parametrize(
    ("spec", "labels", "annotations"),
    [
        ({"batchScheduler": "volcano"}, {}, {"scheduling.k8s.io/group-name": "spark-app-pg"}),
        ({"batchScheduler": "volcano", "driver": {"annotations": {"scheduling.k8s.io/group-name": "mine"}}},
         {}, {"scheduling.k8s.io/group-name": "mine"}),
        ({"batchScheduler": "yunikorn", "batchSchedulerOptions": {"queue": "root.q"}}, {"queue": "root.q"},
         {"yunikorn.apache.org/task-group-name": "spark-driver"}),
        ({"batchScheduler": "kube-scheduler"}, {"scheduling.x-k8s.io/pod-group": "app-pg"}, {}),
    ],
)  # fmt: skip
def test_batch_schedulers(spec, labels, annotations):
    """The pods name the scheduler, whatever a role says, and carry what it groups them by."""
    spec = {"driver": {}, **spec}
    spec["driver"] = {**spec["driver"], "schedulerName": "other"}
    pod = pods(application(**spec))["driver"]
    assert pod["spec"]["schedulerName"] == spec["batchScheduler"]
    assert labels.items() <= pod["metadata"]["labels"].items()
    assert annotations.items() <= pod["metadata"].get("annotations", {}).items()


def test_labels_of_kueue_stay_with_the_application():
    """All labels of the application are handed on but Kueue's; those of a role are the user's own."""
    document = application(driver={"labels": {"kueue.x-k8s.io/x": "own"}})
    document["metadata"]["labels"] = {
        "kueue.x-k8s.io/queue-name": "q",
        "kueue.x-k8s.io/priority-class": "p",
        "team": "x",
        "spark-role": "y",
    }
    made = pods(document)
    assert {key for key in made["executor"]["metadata"]["labels"] if "kueue" in key} == set()
    assert {key for key in made["driver"]["metadata"]["labels"] if "kueue" in key} == {"kueue.x-k8s.io/x"}
    assert {pod["metadata"]["labels"]["team"] for pod in made.values()} == {"x"}
    assert made["driver"]["metadata"]["labels"]["spark-role"] == "driver"  # Spark's own stay


@pytest.mark.parametrize(
    ("spec", "executors"),
    [
        ({}, 2),
        ({"executor": {"instances": 3}}, 3),
        ({"sparkConf": {"spark.executor.instances": "4"}}, 4),
        ({"executor": {"instances": 3}, "sparkConf": {"spark.executor.instances": "4"}}, 3),
    ],
)
def test_how_many_executors_there_are(spec, executors):
    """The spec's number, else that of sparkConf, else Spark's own; there is one driver."""
    assert [p.replicas for p in spark_pods(application(**spec), "f")] == [1, executors]


def test_a_number_of_executors_that_is_none_is_named():
    """The message has field, value and remedy."""
    with pytest.raises(WorkloadError, match=r"spec\.executor\.instances: 'many' is not a number of pods"):
        spark_pods(application(executor={"instances": "many"}), "f")


DYNAMIC = "spark.dynamicAllocation."


@pytest.mark.parametrize(
    ("spec", "executors"),
    [
        ({"dynamicAllocation": {"enabled": True}}, 0),
        ({"dynamicAllocation": {"enabled": True, "minExecutors": 2, "initialExecutors": 5}}, 5),
        ({"dynamicAllocation": {"enabled": True, "minExecutors": 2}, "executor": {"instances": 3}}, 3),
        ({"dynamicAllocation": {"enabled": False, "minExecutors": 5}}, 2),
        ({"sparkConf": {f"{DYNAMIC}enabled": "true", f"{DYNAMIC}minExecutors": "4"}}, 4),
    ],
)  # fmt: skip
def test_executors_to_begin_with(spec, executors):
    """With dynamic allocation the greatest of instances, initial and least number."""
    assert [p.replicas for p in spark_pods(application(**spec), "f")] == [1, executors]
