"""What the API server demands of a pod's spec as a whole."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import container, pod

PROBE = {"tcpSocket": {"port": 80}}
DEVICE = container(volumeDevices=[{"name": "v", "devicePath": "/a"}])
RESTARTS = container(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])
BOTH = [{"containerPort": 9, "protocol": "TCP", "hostPort": 9}, {"containerPort": 8, "hostPort": 9}]


def ports(*found):
    """Return a container with ports."""
    return container(ports=list(found))


def sleeping(seconds, **spec):
    """Return a pod that sleeps before it stops."""
    return pod(container(lifecycle={"preStop": {"sleep": {"seconds": seconds}}}), **spec)


def from_file(**source):
    """Return a pod with a variable from a file of a volume."""
    reference = {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}
    return pod(container(env=[{"name": "A", "valueFrom": reference}]), volumes=[{"name": "v"} | source])


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
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
    "no name servers": (
        pod(dnsPolicy="None"),
        pod(dnsPolicy="None", dnsConfig={"nameservers": ["10.0.0.1"]}),
        "spec",
    ),
    "a lifecycle of an init container": (
        pod(initContainers=[container("init", lifecycle={})]),
        pod(initContainers=[container("init", lifecycle={}, restartPolicy="Always")]),
        "spec",
    ),
    "ports of one init container": (
        pod(initContainers=[container("init", ports=BOTH)]),
        pod(initContainers=[container("init", ports=BOTH[:1]), container("second", ports=BOTH[:1])]),
        "spec",
    ),
    "two volumes of a name": (
        pod(volumes=[{"name": "v"}, {"name": "v", "emptyDir": {}}]),
        pod(volumes=[{"name": "v"}, {"name": "w", "emptyDir": {}}]),
        "spec.volumes",
    ),
    "two gates of a name": (
        pod(schedulingGates=[{"name": "a"}, {"name": "a"}]),
        pod(schedulingGates=[{"name": "a"}, {"name": "b"}]),
        "spec.schedulingGates",
    ),
    "a container for debugging": (
        pod(ephemeralContainers=[container("debug")]),
        pod(ephemeralContainers=[]),
        "spec.ephemeralContainers",
    ),
    "a device that is none": (
        pod(DEVICE, volumes=[{"name": "v", "emptyDir": {}}]),
        pod(DEVICE, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
        "spec",
    ),
    "a file of a ConfigMap": (from_file(configMap={"name": "c"}), from_file(), "spec"),
    "a sleep beyond the grace": (sleeping(31), sleeping(30), "spec"),
    "a grace that is too short": (
        sleeping(5, terminationGracePeriodSeconds=4),
        sleeping(5, terminationGracePeriodSeconds=5),
        "spec",
    ),
    "a negative grace": (
        sleeping(2, terminationGracePeriodSeconds=-1),
        sleeping(1, terminationGracePeriodSeconds=-1),
        "spec",
    ),
    "a restart for a resize": (pod(RESTARTS, restartPolicy="Never"), pod(RESTARTS), "spec"),
    "four name servers": (
        pod(dnsConfig={"nameservers": ["10.0.0.1"] * 4}),
        pod(dnsConfig={"nameservers": ["10.0.0.1"] * 3}),
        "spec.dnsConfig",
    ),
    "many search domains": (
        pod(dnsConfig={"searches": ["a.b"] * 33}),
        pod(dnsConfig={"searches": ["a.b"] * 32}),
        "spec.dnsConfig",
    ),
    "long search domains": (
        pod(dnsConfig={"searches": ["a" * 128] * 16}),
        pod(dnsConfig={"searches": ["a" * 127] * 16}),
        "spec.dnsConfig",
    ),
    "a long name of the host": (
        pod(hostnameOverride="a" * 65),
        pod(hostnameOverride="a" * 64),
        "spec.hostnameOverride",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)
