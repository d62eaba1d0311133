"""What the API server demands of containers."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import container, pod

PROBE = {"tcpSocket": {"port": 80}}
CLAIM = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
RULE = {"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}


def reading(**reference):
    """Return volumes with a file of the downward API."""
    items = [{"path": "p", "resourceFieldRef": {"resource": "limits.cpu"} | reference}]
    return [{"name": "v", "downwardAPI": {"items": items}}]


def ports(*found):
    """Return a container with ports."""
    return container(ports=list(found))


def variable(**source):
    """Return a pod with a variable of a source."""
    return pod(container(env=[{"name": "A", "valueFrom": source}]))


def mounted(**fields):
    """Return a pod with a mount."""
    return pod(container(volumeMounts=[{"name": "v", "mountPath": "/a"} | fields]), volumes=[{"name": "v"}])


def devices(*found):
    """Return a pod with block devices."""
    return pod(
        container(volumeDevices=list(found)), volumes=[*CLAIM, {"name": "w"} | CLAIM[0] | {"name": "w"}]
    )


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
    "a field that no variable can read": (
        pod(container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}])),
        pod(
            container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}}])
        ),
        "spec.containers[main].env[A].valueFrom",
    ),
    "a field that no volume can read": (
        pod(
            volumes=[
                {
                    "name": "v",
                    "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "status.podIP"}}]},
                }
            ]
        ),
        pod(
            volumes=[
                {
                    "name": "v",
                    "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.labels"}}]},
                }
            ]
        ),
        "spec.volumes[v].downwardAPI.items[0]",
    ),
    "names of ports": (
        pod(ports({"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"})),
        pod(ports({"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "b"})),
        "spec.containers[main]",
    ),
    "the grace of a readiness probe": (
        pod(container(readinessProbe=PROBE | {"terminationGracePeriodSeconds": 5})),
        pod(container(livenessProbe=PROBE | {"terminationGracePeriodSeconds": 5})),
        "spec.containers[main]",
    ),
    "two successes": (
        pod(container(livenessProbe=PROBE | {"successThreshold": 2})),
        pod(container(readinessProbe=PROBE | {"successThreshold": 2})),
        "spec.containers[main]",
    ),
    "two sub-paths": (
        pod(
            container(volumeMounts=[{"name": "v", "mountPath": "/a", "subPath": "a", "subPathExpr": "b"}]),
            volumes=[{"name": "v"}],
        ),
        pod(
            container(volumeMounts=[{"name": "v", "mountPath": "/a", "subPath": "a"}]),
            volumes=[{"name": "v"}],
        ),
        "spec.containers[main].volumeMounts[/a]",
    ),
    "a file without its container": (
        pod(volumes=reading()),
        pod(volumes=reading(containerName="main")),
        "spec.volumes[v].downwardAPI.items[0]",
    ),
    "a resource that cannot be read": (
        variable(resourceFieldRef={"resource": "limits.disk"}),
        variable(resourceFieldRef={"resource": "limits.hugepages-2Mi"}),
        "spec.containers[main].env[A].valueFrom.resourceFieldRef",
    ),
    "a divisor of memory": (
        variable(resourceFieldRef={"resource": "limits.memory", "divisor": "1m"}),
        variable(resourceFieldRef={"resource": "limits.memory", "divisor": "1024Ki"}),
        "spec.containers[main].env[A].valueFrom.resourceFieldRef",
    ),
    "a divisor of cpu": (
        variable(resourceFieldRef={"resource": "requests.cpu", "divisor": "2"}),
        variable(resourceFieldRef={"resource": "requests.cpu", "divisor": "0.001"}),
        "spec.containers[main].env[A].valueFrom.resourceFieldRef",
    ),
    "a label of no name": (
        variable(fieldRef={"fieldPath": "metadata.labels['a b']"}),
        variable(fieldRef={"fieldPath": "metadata.annotations['A.b/C']"}),
        "spec.containers[main].env[A].valueFrom",
    ),
    "the node's old name": (
        variable(fieldRef={"fieldPath": "spec.hostname"}),
        variable(fieldRef={"fieldPath": "spec.host"}),
        "spec.containers[main].env[A].valueFrom",
    ),
    "below read only": (
        mounted(recursiveReadOnly="Enabled"),
        mounted(recursiveReadOnly="Enabled", readOnly=True),
        "spec.containers[main].volumeMounts[/a]",
    ),
    "below read only, and propagated": (
        mounted(recursiveReadOnly="IfPossible", readOnly=True, mountPropagation="HostToContainer"),
        mounted(recursiveReadOnly="Disabled", readOnly=True, mountPropagation="HostToContainer"),
        "spec.containers[main].volumeMounts[/a]",
    ),
    "a device twice": (
        devices({"name": "v", "devicePath": "/a"}, {"name": "v", "devicePath": "/b"}),
        devices({"name": "v", "devicePath": "/a"}, {"name": "w", "devicePath": "/b"}),
        "spec.containers[main]",
    ),
    "a device where a mount is": (
        pod(
            container(
                volumeDevices=[{"name": "v", "devicePath": "/a"}],
                volumeMounts=[{"name": "w", "mountPath": "/a"}],
            ),
            volumes=[*CLAIM, {"name": "w"}],
        ),
        pod(
            container(
                volumeDevices=[{"name": "v", "devicePath": "/a"}],
                volumeMounts=[{"name": "w", "mountPath": "/b"}],
            ),
            volumes=[*CLAIM, {"name": "w"}],
        ),
        "spec.containers[main]",
    ),
    "a resize policy twice": (
        pod(container(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "NotRequired"}] * 2)),
        pod(
            container(
                resizePolicy=[
                    {"resourceName": each, "restartPolicy": "NotRequired"} for each in ("cpu", "memory")
                ]
            )
        ),
        "spec.containers[main].resizePolicy",
    ),
    "rules without a policy": (
        pod(container(restartPolicyRules=[RULE])),
        pod(container(restartPolicyRules=[RULE], restartPolicy="Never")),
        "spec.containers[main].restartPolicyRules",
    ),
    "too many rules": (
        pod(container(restartPolicyRules=[RULE] * 21, restartPolicy="Never")),
        pod(container(restartPolicyRules=[RULE] * 20, restartPolicy="Never")),
        "spec.containers[main].restartPolicyRules",
    ),
    "a rule without codes": (
        pod(container(restartPolicyRules=[{"action": "Restart"}], restartPolicy="Never")),
        pod(container(restartPolicyRules=[RULE], restartPolicy="Never")),
        "spec.containers[main].restartPolicyRules[0]",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)
