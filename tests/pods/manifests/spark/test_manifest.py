"""Errors name the field, whatever stands there."""

import copy
import itertools

import pytest

from tests.pods.manifests.spark.builders import INIT, OTHER, A
from webhook.pods.manifests.podtemplates import WorkloadError
from webhook.pods.manifests.spark.application import spark_pods
from webhook.pods.manifests.spark.connect import connect_pods
from webhook.pods.manifests.spark.manifest import Manifest

WHOLE = {
    "kind": "SparkApplication",
    "metadata": {"name": "app", "namespace": "ns", "labels": {"a": "b"}},
    "spec": {
        "type": "Scala", "mode": "cluster", "sparkVersion": "4.0.0", "image": "i", "imagePullSecrets": ["s"],
        "mainApplicationFile": "a.jar", "memoryOverheadFactor": "0.2", "nodeSelector": {"a": "b"},
        "sparkConf": {"spark.executor.memory": "1g"}, "volumes": [{"name": "v"}],
        "batchScheduler": "yunikorn", "batchSchedulerOptions": {"queue": "q"}, "executor": {"instances": 2},
        "dynamicAllocation": {"enabled": True, "minExecutors": 2},
        "driver": {
            "cores": 1, "memory": "1g", "memoryLimit": "2g", "serviceAccount": "s", "podName": "p",
            "labels": {"a": "b"}, "annotations": {"a": "b"}, "env": [{"name": "e"}], "ports": [{"name": "p"}],
            "tolerations": [A], "initContainers": [INIT], "sidecars": [OTHER], "nodeSelector": {"a": "b"},
            "gpu": {"name": "g", "quantity": 1}, "volumeMounts": [{"name": "v"}], "priorityClassName": "p",
            "template": {
                "metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}},
                "spec": {
                    "tolerations": [A], "initContainers": [INIT], "imagePullSecrets": [{"name": "s"}],
                    "hostAliases": [{}], "nodeSelector": {"a": "b"}, "volumes": [{"name": "w"}],
                    "serviceAccountName": "s",
                    "containers": [
                        {"name": "spark-kubernetes-driver", "image": "i", "args": ["a"], "ports": [{}],
                         "env": [{"name": "e"}], "volumeMounts": [{"name": "w"}],
                         "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}},
                    ],
                },
            },
        },
    },
}  # fmt: skip


def places(value, path=()):
    """Return the path of each value within a value, from the outside in."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = [place for place in places(WHOLE) if place not in {(), ("kind",)}]


JUNK = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    [],
    [1],
    ["x"],
    [[]],
    [{}],
    {},
    {"x": 1},
    {"name": {}},
    [{"name": []}],
]


def test_the_whole_application_makes_pods():
    """What the next test breaks is right."""
    assert len(spark_pods(WHOLE, "f")) == 2


@pytest.mark.parametrize(
    ("kind", "reader"),
    [
        ("SparkApplication", spark_pods),
        ("ScheduledSparkApplication", spark_pods),
        ("SparkConnect", connect_pods),
    ],
)
def test_a_wrong_type_is_named(kind, reader):
    """Whatever stands in the place of any field, there are pods or the field is named."""
    refused = 0
    for place, junk in itertools.product(PLACES, JUNK):
        document = copy.deepcopy(WHOLE) | {"kind": kind}
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = copy.deepcopy(junk)
        if kind == "ScheduledSparkApplication":
            document["spec"] = {"template": document["spec"]}
        if kind == "SparkConnect" and isinstance(document["spec"], dict):
            document["spec"]["server"] = document["spec"].pop("driver", None)
        try:
            reader(document, "f.yaml:1")
        except WorkloadError as error:
            refused += 1
            assert str(error).startswith(f"f.yaml:1: {kind} ")
    assert refused > len(PLACES)


def test_a_map_knows_where_it_stands():
    """Maps within maps name their whole path; values are read as the operator passes them on."""
    inner = Manifest({"a": {"b": {"c": True, "d": 1.5, "e": None}}}, "f: Kind x").map("a").map("b")
    assert inner.texts() == {"c": "true", "d": "1.5", "e": ""}
    assert str(inner.error("c", "is wrong")) == "f: Kind x: a.b.c: is wrong"
