"""What the API server demands of objects: fields that exclude or need each other."""

import pytest

from tests.builders import container, pod
from webhook.admission.profiles.validity import faults

POD_LEVEL = {"requests": {"cpu": "2"}, "limits": {"cpu": "2", "memory": "1Gi"}}
SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
KEYS = {"matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"}}}
TERM = {"topologyKey": "zone"}
PROBE = {"tcpSocket": {"port": 80}}


def affine(term):
    """Return an affinity to other pods by one term."""
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def fielded(key):
    """Return an affinity to nodes by a field."""
    fields = [{"key": key, "operator": "In", "values": ["a"]}]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def reading(**reference):
    """Return volumes with a file of the downward API."""
    items = [{"path": "p", "resourceFieldRef": {"resource": "limits.cpu"} | reference}]
    return [{"name": "v", "downwardAPI": {"items": items}}]


def ports(*found):
    """Return a container with ports."""
    return container(ports=list(found))


def projected(paths):
    """Return a projected volume with a file of each kind of source."""
    sources = [{kind: {"name": "n", "items": [{"key": "k", "path": path}]}} for kind, path in paths.items()]
    return [{"name": "v", "projected": {"sources": sources}}]


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
    "two files of a projection on a path": (
        pod(volumes=projected({"secret": "a/b", "configMap": "a/b"})),
        pod(volumes=projected({"secret": "a/b", "configMap": "a/c"})),
        "spec.volumes[v].projected",
    ),
    "two containers of a name": (
        pod(initContainers=[container()]),
        pod(initContainers=[container("init")]),
        "spec",
    ),
    "an init container's probe": (
        pod(initContainers=[container("init", livenessProbe=PROBE)]),
        pod(initContainers=[container("init", livenessProbe=PROBE, restartPolicy="Always")]),
        "spec",
    ),
    "names of ports": (
        pod(ports({"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"})),
        pod(ports({"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "b"})),
        "spec.containers[main]",
    ),
    "a port of the node taken twice": (
        pod(ports({"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9})),
        pod(
            ports({"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9, "protocol": "UDP"})
        ),
        "spec",
    ),
    "the host's network": (
        pod(ports({"containerPort": 1, "hostPort": 9}), hostNetwork=True),
        pod(ports({"containerPort": 9, "hostPort": 9}), hostNetwork=True),
        "spec",
    ),
    "a port twice on the host's network": (
        pod(ports({"containerPort": 9}), container("b", ports=[{"containerPort": 9}]), hostNetwork=True),
        pod(ports({"containerPort": 9}), container("b", ports=[{"containerPort": 9}])),
        "spec",
    ),
    "whose processes": (
        pod(hostPID=True, shareProcessNamespace=True),
        pod(hostPID=True, shareProcessNamespace=False),
        "spec",
    ),
    "a node and a gate": (
        pod(nodeName="n", schedulingGates=[{"name": "g"}]),
        pod(schedulingGates=[{"name": "g"}]),
        "spec",
    ),
    "no name servers": (
        pod(dnsPolicy="None"),
        pod(dnsPolicy="None", dnsConfig={"nameservers": ["10.0.0.1"]}),
        "spec",
    ),
    "the sum of the containers": (
        pod(container(requests={"cpu": "3"}), resources=POD_LEVEL),
        pod(container(requests={"cpu": "2"}), resources=POD_LEVEL),
        "spec",
    ),
    "the sum of limits without requests": (
        pod(container(limits={"cpu": "1500m"}), container("b", limits={"cpu": "1"}), resources=POD_LEVEL),
        pod(container(limits={"cpu": "1"}), container("b", limits={"cpu": "1"}), resources=POD_LEVEL),
        "spec",
    ),
    "the limit of a container": (
        pod(container(requests={"memory": "1"}, limits={"memory": "2Gi"}), resources=POD_LEVEL),
        pod(container(requests={"memory": "1"}, limits={"memory": "1024Mi"}), resources=POD_LEVEL),
        "spec",
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
    "escalation": (
        pod(container(securityContext={"privileged": True, "allowPrivilegeEscalation": False})),
        pod(container(securityContext={"privileged": True})),
        "spec.containers[main].securityContext",
    ),
    "a local profile": (
        pod(securityContext={"seccompProfile": {"type": "Localhost"}}),
        pod(securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}}),
        "spec.securityContext.seccompProfile",
    ),
    "a sysctl twice": (
        pod(securityContext={"sysctls": [{"name": "a", "value": "1"}, {"name": "a", "value": "1"}]}),
        pod(securityContext={"sysctls": [{"name": "a", "value": "1"}, {"name": "b", "value": "1"}]}),
        "spec.securityContext",
    ),
    "domains of a preference": (
        pod(topologySpreadConstraints=[SPREAD | {"whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}]),
        pod(topologySpreadConstraints=[SPREAD | {"minDomains": 2}]),
        "spec.topologySpreadConstraints[zone]",
    ),
    "keys without a selector": (
        pod(affinity=affine(TERM | {"matchLabelKeys": ["app"]})),
        pod(
            affinity=affine(TERM | {"matchLabelKeys": ["app"], "labelSelector": {"matchLabels": {"a": "b"}}})
        ),
        "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]",
    ),
    "a key in both": (
        pod(labels={"a": "b"}, affinity=affine(TERM | KEYS)),
        pod(affinity=affine(TERM | KEYS)),
        "",
    ),
    "a key in both of a constraint": (
        pod(labels={"a": "b"}, topologySpreadConstraints=[SPREAD | KEYS]),
        pod(topologySpreadConstraints=[SPREAD | KEYS]),
        "",
    ),
    "a field of nodes": (
        pod(affinity=fielded("zone")),
        pod(affinity=fielded("metadata.name")),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]",
    ),
    "a file without its container": (
        pod(volumes=reading()),
        pod(volumes=reading(containerName="main")),
        "spec.volumes[v].downwardAPI.items[0]",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_excludes_or_needs_each_other(refused, taken, at) -> None:
    """Admission §3.10: found where it is new, with a remedy; not where it was before, nor in the twin."""
    (fault,) = faults(taken, refused)
    assert fault.at == at
    assert list(faults(refused, refused | {"metadata": refused["metadata"] | {"name": "other"}})) == []
    assert list(faults(refused, taken)) == []


def test_a_flaw_that_was_there_hides_no_other() -> None:
    """Admission §3.10: what is wrong is told apart by what it concerns."""
    wrong = pod(container(requests={"cpu": "2"}, limits={"cpu": "1"}))
    worse = pod(container(requests={"cpu": "3", "memory": "2"}, limits={"cpu": "1", "memory": "1"}))
    assert ["memory" in fault.problem for fault in faults(wrong, worse)] == [True]
