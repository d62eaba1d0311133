"""SparkConnects into pods."""

import pytest

from webhook.pods.manifests.podtemplates import WorkloadError
from webhook.pods.manifests.spark.connect import connect_pods


def made(server=None, executor=None, **spec):
    """Return the pods of a small SparkConnect: server and executor."""
    document = {
        "apiVersion": "sparkoperator.k8s.io/v1alpha1",
        "kind": "SparkConnect",
        "metadata": {"name": "connect", "namespace": "ns", "labels": {"team": "x"}},
        "spec": {
            "sparkVersion": "4.0.0",
            "image": "spark",
            "server": server or {},
            "executor": executor or {},
            **spec,
        },
    }
    return connect_pods(document, "f.yaml:1")


def test_the_server_is_its_template():
    """Name, labels and image are the operator's; cores and memory are for Spark, not for the pod."""
    template = {"spec": {"containers": [{"name": "log", "image": "l"}, {"name": "spark-kubernetes-driver"}]}}
    server, _ = made({"cores": 4, "memory": "8g", "template": template})
    assert server.origin == "SparkConnect connect, server"
    labels = server.pod["metadata"]["labels"]
    assert labels["sparkoperator.k8s.io/connect-name"] == "connect"
    assert labels["spark-role"] == "connect-server"
    assert "team" not in labels
    assert server.pod["metadata"]["name"] == "connect-server"
    assert server.pod["spec"]["containers"] == [
        {"name": "log", "image": "l"}, {"name": "spark-kubernetes-driver", "image": "spark"},
    ]  # fmt: skip


def test_executors_are_those_of_client_mode():
    """The factor of the JVM, whatever runs in them, no Python workers; the server's pod owns them."""
    conf = {"spark.executor.pyspark.memory": "4g", "spark.executor.memory": "9g"}
    _, executor = made(executor={"instances": 3, "cores": 2, "memory": "8g"}, sparkConf=conf)
    container = executor.pod["spec"]["containers"][0]
    assert container["resources"]["requests"] == {"cpu": "2", "memory": f"{8192 + 819}Mi"}
    assert executor.replicas == 3
    metadata = executor.pod["metadata"]
    assert metadata["name"] == "connect-exec-1"
    assert metadata["ownerReferences"][0]["name"] == "connect-server"
    assert {"team": "x", "spark-role": "executor", "spark-app-name": "spark-connect-server",
            "sparkoperator.k8s.io/connect-name": "connect"}.items() <= metadata["labels"].items()  # fmt: skip


def test_the_template_of_executors_is_kept():
    """Its image wins over that of the SparkConnect."""
    template = {
        "spec": {
            "priorityClassName": "p",
            "containers": [{"name": "spark-kubernetes-executor", "image": "e"}],
        }
    }
    _, executor = made(executor={"template": template})
    assert executor.pod["spec"]["priorityClassName"] == "p"
    assert executor.pod["spec"]["containers"][0]["image"] == "e"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"executor": {"memory": "1Gi"}}, "spec.executor.memory: '1Gi' is not a size"),
        ({"executor": {"instances": "x"}}, "spec.executor.instances: 'x' is not a number"),
        ({"server": {"template": []}}, "spec.server.template: must be a map"),
        ({"sparkConf": 1}, "spec.sparkConf: must be a map"),
    ],
)
def test_what_is_wrong_is_named(fields, message):
    """Object, field, value and what it must be."""
    with pytest.raises(WorkloadError) as caught:
        made(**fields)
    assert str(caught.value).startswith(f"f.yaml:1: SparkConnect connect: {message}")
