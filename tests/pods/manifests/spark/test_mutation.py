"""Fields of a role beside its pod template, as the operator's webhook merges them."""

import pytest

from tests.pods.manifests.spark.builders import INIT, OTHER, A, B, application, pods, with_template


@pytest.mark.parametrize("role", ["driver", "executor"])
@pytest.mark.parametrize(
    ("template", "fields", "made"),
    [
        ({"tolerations": [A]}, {"tolerations": [B]}, {"tolerations": [A, B]}),
        ({"hostAliases": [A]}, {"hostAliases": [B]}, {"hostAliases": [A, B]}),
        ({"initContainers": [INIT]}, {"initContainers": [INIT, OTHER]}, {"initContainers": [INIT, OTHER]}),
        ({"affinity": {"a": 1}}, {"affinity": {"b": 1}}, {"affinity": {"b": 1}}),
        ({"dnsConfig": {"a": 1}}, {"dnsConfig": {"b": 1}}, {"dnsConfig": {"b": 1}}),
        ({"securityContext": {"a": 1}}, {"podSecurityContext": {"b": 1}}, {"securityContext": {"b": 1}}),
        ({"nodeSelector": {"a": "1", "b": "1"}}, {"nodeSelector": {"b": "2"}},
         {"nodeSelector": {"a": "1", "b": "2"}}),
        ({"priorityClassName": "t", "priority": 5}, {"priorityClassName": "f"},
         {"priorityClassName": "f", "priority": None}),
        ({"priorityClassName": "t", "priority": 5}, {}, {"priorityClassName": "t", "priority": 5}),
        ({"terminationGracePeriodSeconds": 1}, {"terminationGracePeriodSeconds": 2},
         {"terminationGracePeriodSeconds": 2}),
        ({"runtimeClassName": "t"}, {"runtimeClassName": "f"}, {"runtimeClassName": "f"}),
        ({"schedulerName": "t"}, {"schedulerName": "f"}, {"schedulerName": "f"}),
        ({"schedulerName": "t"}, {}, {"schedulerName": "t"}),
        ({"hostNetwork": True}, {"hostNetwork": False}, {"hostNetwork": True}),
        ({}, {"hostNetwork": True}, {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}),
        ({"shareProcessNamespace": True}, {"shareProcessNamespace": False}, {"shareProcessNamespace": True}),
        ({"restartPolicy": "Always"}, {}, {"restartPolicy": "Never"}),
    ],
)  # fmt: skip
def test_a_field_beside_the_template(role, template, fields, made):
    """What the operator appends is appended, what it replaces is replaced, the rest of the template stays."""
    spec = with_template(role, template, fields)["spec"]
    assert {field: spec.get(field) for field in made} == made


@pytest.mark.parametrize(
    ("template", "fields", "made"),
    [
        ({"env": [A]}, {"env": [B]}, {"env": [A, B]}),
        ({"ports": [A]}, {"ports": [B]}, {"ports": [A, B]}),
        ({"lifecycle": {"a": 1}}, {"lifecycle": {"b": 1}}, {"lifecycle": {"b": 1}}),
        ({"securityContext": {"a": 1}}, {"securityContext": {"b": 1}}, {"securityContext": {"b": 1}}),
        ({"image": "template"}, {"image": "field"}, {"image": "field"}),
        ({"image": "template"}, {}, {"image": "template"}),
        ({"args": ["x"]}, {}, {"args": ["x", "driver"]}),
        ({"resources": {"limits": {"cpu": "3", "memory": "9Gi", "a/b": "1"}}}, {},
         {"resources": {"requests": {"cpu": "1", "memory": "1408Mi"},
                        "limits": {"cpu": "3", "memory": "1408Mi", "a/b": "1"}}}),
        ({"resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "3"}}},
         {"coreRequest": "500m", "coreLimit": "2", "memoryLimit": "4g", "gpu": {"name": "g", "quantity": 2}},
         {"resources": {"requests": {"cpu": "500m", "memory": "1408Mi"},
                        "limits": {"cpu": "2", "memory": "4Gi", "g": "2"}}}),
        ({}, {"memoryLimit": "5Gi", "gpu": {"name": "g", "quantity": 0}},
         {"resources": {"requests": {"cpu": "1", "memory": "1408Mi"}, "limits": {"memory": "5Gi"}}}),
    ],
)  # fmt: skip
def test_a_field_of_the_container_beside_the_template(template, fields, made):
    """The same in Spark's container, whose resources are Spark's and the operator's."""
    containers = [{"name": "sidecar"}, {"name": "spark-kubernetes-driver", **template}]
    spec = with_template(template={"containers": containers}, fields=fields)["spec"]
    assert [c["name"] for c in spec["containers"]] == ["sidecar", "spark-kubernetes-driver"]
    assert {field: spec["containers"][1].get(field) for field in made} == made


def test_volumes_are_those_that_a_role_mounts():
    """The operator adds a volume of the application to the pods that mount it only."""
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]
    made = pods(application(volumes=volumes, driver={"volumeMounts": [{"name": "b"}, {"name": "none"}]}))
    assert made["driver"]["spec"]["volumes"] == volumes[1:]
    assert made["driver"]["spec"]["containers"][0]["volumeMounts"] == [{"name": "b"}]
    assert "volumes" not in made["executor"]["spec"]
