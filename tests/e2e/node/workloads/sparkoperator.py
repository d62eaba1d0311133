"""The pods of the seed's SparkApplication on a real node: a driver as recorded, and the executor it makes.

The driver is the pod that the Spark operator's spark-submit sent (``tests/data/reviews``). What it mounts,
Spark's properties and the template of its executors, is written here, for nobody recorded it; the figures and
labels in it are those of the recorded executor. What is otherwise because of this node stands in ``driver``
here and in ``deviations`` and ``on_this_machine`` of spark.py, nowhere else.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

from tests.e2e.admission.test_spark_pods import REVIEWS, spark_pod
from tests.e2e.cluster.kubectl import Object
from tests.e2e.node.workloads import spark

GO: Final = "go"
"""The file that ends the time in which driver and executor only wait."""
_DRIVER: Final = spark_pod(REVIEWS / "spark-operator-driver.json")
_EXECUTOR: Final = spark_pod(REVIEWS / "spark-operator-executor.json")
_LABELS: Final = _EXECUTOR["metadata"]["labels"]
_HERE: Final = Path(__file__).parent
_OF_ITS_RUN: Final = {"spark-app-selector", "spark-version"}
"""Labels by which a recorded executor differs from any other."""


def driver(namespace: str, folder: Path) -> Object:
    """The driver as recorded, but for what this node has not.

    Args:
        namespace: where it is.
        folder: of this machine; the file ``GO`` is made there when both have been looked at.
    """
    pod = copy.deepcopy(_DRIVER)
    pod["metadata"]["namespace"] = namespace
    spec, container = pod["spec"], _container(pod)
    spec["serviceAccountName"] = "spark"  # as recorded
    # There is no registry: a small image, and Spark, Java and Python of this machine.
    machine = spark.on_this_machine(container["name"], _HERE, folder)
    container["image"] = spark.IMAGE
    container["env"].append({"name": "SPARK_HOME", "value": str(spark.HOME)})
    container["volumeMounts"] += machine["containers"][0]["volumeMounts"]
    spec["volumes"] += machine["volumes"]
    # There is no network of pods, and the node's ports are not the driver's alone.
    spec["hostNetwork"] = machine["hostNetwork"]
    del container["ports"]
    # pyspark has no spark-examples.jar with the seed's SparkTC: Spark's pi.py, which waits to be looked at.
    program = [f"local://{_HERE / 'waiting_pi.py'}", str(folder / GO), spark.PI.removeprefix("local://"), "8"]
    entry = container["args"].index("--class")
    container["args"][entry:] = ["--class", "org.apache.spark.deploy.PythonRunner", *program]
    return pod


def configuration(url: str, namespace: str) -> list[Object]:
    """The two ConfigMaps that the driver mounts; ``url``: of the API server."""
    template, properties = (each["configMap"] for each in _DRIVER["spec"]["volumes"] if "configMap" in each)
    mounts = {each["name"]: each["mountPath"] for each in _container(_DRIVER)["volumeMounts"]}
    mounted = Path(mounts["pod-template-volume"], template["items"][0]["path"])
    lines = [f"{name}={text}\n" for name, text in _properties(url, namespace, mounted).items()]
    texts = ((template, json.dumps(_template())), (properties, "".join(lines)))
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": namespace, "name": source["name"]},
            "data": {source["items"][0]["key"]: text},
        }
        for source, text in texts
    ]


def assert_as_recorded(executor: Object) -> None:
    """An executor that Spark has made is the recorded one, but for ids, addresses and a webhook's changes."""
    labels = executor["metadata"]["labels"]
    wanted = {name: text for name, text in _LABELS.items() if name not in _OF_ITS_RUN}
    assert labels.items() >= wanted.items(), labels
    stored, recorded = _container(executor), _container(_EXECUTOR)
    for name in ("name", "args", "resizePolicy", "securityContext"):
        assert stored[name] == recorded[name], stored[name]
    told, before = _environment(executor), _environment(_EXECUTOR)
    assert _names(told) == _names(before) | {"SPARK_HOME"}, told
    for name in ("SPARK_EXECUTOR_CORES", "SPARK_EXECUTOR_MEMORY", "SPARK_EXECUTOR_ID"):
        assert told[name] == before[name], told[name]
    assert executor["spec"]["restartPolicy"] == _EXECUTOR["spec"]["restartPolicy"]


def _template() -> Object:
    """Of executors: the application's own volume, as recorded, and what this node needs."""
    container = _container(_EXECUTOR)
    spec = spark.on_this_machine(container["name"])
    spec["volumes"] += [each for each in _EXECUTOR["spec"]["volumes"] if each["name"] == "test-volume"]
    mounts = [each for each in container["volumeMounts"] if each["name"] == "test-volume"]
    spec["containers"][0]["volumeMounts"] += mounts
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


def _properties(url: str, namespace: str, template: Path) -> dict[str, str]:
    container, told = _container(_EXECUTOR), _environment(_EXECUTOR)
    own = {name: text for name, text in _LABELS.items() if not name.startswith("spark-")}
    return {
        "spark.master": f"k8s://{url}",
        "spark.kubernetes.submitInDriver": "true",
        "spark.app.name": _LABELS["spark-app-name"],
        "spark.app.id": _DRIVER["metadata"]["labels"]["spark-app-selector"],
        "spark.kubernetes.namespace": namespace,
        "spark.kubernetes.driver.pod.name": _DRIVER["metadata"]["name"],
        "spark.kubernetes.container.image": spark.IMAGE,
        "spark.driver.memory": told["SPARK_EXECUTOR_MEMORY"],
        "spark.executor.memory": told["SPARK_EXECUTOR_MEMORY"],
        "spark.executor.cores": told["SPARK_EXECUTOR_CORES"],
        "spark.kubernetes.executor.limit.cores": container["resources"]["limits"]["cpu"],
        "spark.executor.instances": "1",
        **{f"spark.kubernetes.executor.label.{name}": text for name, text in own.items()},
        **spark.deviations(url, template),
        "spark.kubernetes.executor.podTemplateContainerName": container["name"],
    }


def _container(pod: Object) -> Object:
    (found,) = pod["spec"]["containers"]
    container: Object = found
    return container


def _names(environment: dict[str, Any]) -> set[str]:
    """Of all but Java's options: each port that an application names is one more."""
    return {name for name in environment if not name.startswith("SPARK_JAVA_OPT_")}


def _environment(pod: Object) -> dict[str, Any]:
    return {each["name"]: each.get("value", "") for each in _container(pod)["env"]}
