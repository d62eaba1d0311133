"""SparkConnects into the pods of their server and executors.

Source: the Kubeflow Spark operator 2 (``sparkoperator.k8s.io/v1alpha1``), its
controller ``sparkconnect``. The operator makes the server's pod itself, and Spark runs
in it in client mode; the operator's webhook changes neither pod.
"""

import copy
from typing import Final

from webhook.pods.manifests.controllers import MADE_UP
from webhook.pods.manifests.podtemplates import Object, PodOf, name_of, owner
from webhook.pods.manifests.spark.manifest import Manifest
from webhook.pods.manifests.spark.memory import Application, Conf, Setting, version_of
from webhook.pods.manifests.spark.pod import DRIVER, EXECUTOR, container_name, owner_of_executors, spark_pod
from webhook.pods.manifests.spark.submission import (
    OPERATOR_PREFIX,
    dynamic_allocation,
    executors,
    fields,
    spark_conf,
)

API_VERSION: Final = "sparkoperator.k8s.io/v1alpha1"
SERVER: Final = "server"
SERVER_ROLE: Final = "connect-server"
APPLICATION_NAME: Final = "Spark Connect server"  # as start-connect-server.sh names it
_OF_EXECUTOR: Final = {
    "instances": "spark.executor.instances",
    "cores": "spark.executor.cores",
    "memory": "spark.executor.memory",
}


def connect_pods(document: Object, source: str) -> list[PodOf]:
    """Return the server's pod and one executor's.

    Args:
        document: a SparkConnect.
        source: where it stands, for messages.

    Raises:
        WorkloadError: a field has the wrong type or a value that Spark would refuse.
    """
    kind, name = document["kind"], name_of(document)
    whole = Manifest(document, f"{source}: {kind} {name}")
    metadata, spec = whole.map("metadata"), whole.map("spec")
    namespace, version = metadata.text("namespace"), spec.text("sparkVersion")
    labels = {
        f"{OPERATOR_PREFIX}launched-by-spark-operator": "true",
        f"{OPERATOR_PREFIX}connect-name": name,
    }
    server = _server(name, labels, spec)
    conf = _configuration(name, {**labels, **metadata.map("labels").texts()}, spec)
    template = spec.map(EXECUTOR).map("template")
    application = Application(version=version_of(version) or Application().version)
    with whole.refused():
        executor = spark_pod(
            EXECUTOR, APPLICATION_NAME, owner_of_executors(f"{name}-server"), conf, template, application
        )
        count = executors(conf)
    for pod in (server, executor):
        pod["metadata"]["namespace"] = namespace
        pod["metadata"]["labels"]["spark-version"] = version or MADE_UP
    return [
        PodOf(kind, f"{name}, {SERVER}", namespace, server),
        PodOf(kind, f"{name}, {EXECUTOR}", namespace, executor, count),
    ]


def _server(name: str, labels: dict[str, str], spec: Manifest) -> Object:
    """Return the server's pod: its template, and nothing of ``cores`` and ``memory``."""
    template = spec.map(SERVER).map("template")
    stated = template.map("spec")
    containers = copy.deepcopy(stated.maps("containers")) or [{"name": container_name(DRIVER)}]
    named = (item for item in containers if item.get("name") == container_name(DRIVER))
    container = next(named, containers[0])
    container["image"] = container.get("image") or spec.text("image")
    metadata = template.map("metadata")
    annotations = metadata.map("annotations").texts()
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-server",
            "labels": {**metadata.map("labels").texts(), **labels, "spark-role": SERVER_ROLE},
            **({"annotations": annotations} if annotations else {}),
            "ownerReferences": [owner("SparkConnect", API_VERSION, name)],
        },
        "spec": {**copy.deepcopy(dict(stated.value)), "containers": containers},
    }


def _configuration(name: str, labels: dict[str, str], spec: Manifest) -> Conf:
    """Return the configuration of the server, in the order in which the operator writes it."""
    executor = spec.map(EXECUTOR)
    named = (
        item.get("image")
        for item in executor.map("template").map("spec").maps("containers")
        if item.get("name") == container_name(EXECUTOR)
    )
    image = str(next(named, None) or spec.text("image"))
    conf = {"spark.kubernetes.executor.container.image": Setting(image, f"{spec.path}image")}
    conf |= spark_conf(spec)
    for key, value in labels.items():
        conf[f"spark.kubernetes.executor.label.{key}"] = Setting(value, "metadata.labels")
    conf |= fields(executor, _OF_EXECUTOR)
    conf["spark.kubernetes.executor.podNamePrefix"] = Setting(name, "metadata.name")
    return conf | dynamic_allocation(spec)
