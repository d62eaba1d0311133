"""Manifests whose pods arrive at webhooks in many forms; each test creates them in namespaces of its own."""

from __future__ import annotations

from typing import Any

from tests.e2e.cluster.kubectl import Object

LABELS = {"app": "previewed"}


def container(name: str = "main", image: str = "none", **fields: Any) -> Object:
    """A container without figures, unless they are given."""
    return {"name": name, "image": image, **fields}


def pod(*containers: Object, name: str = "p", metadata: Object | None = None, **spec: Any) -> Object:
    """A bare pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": LABELS, **(metadata or {})},
        "spec": {"containers": list(containers) or [container()], **spec},
    }


def workload(kind: str, version: str, **spec: Any) -> Object:
    """A workload whose selector and template have the same labels."""
    metadata = {"labels": LABELS, "annotations": {"note": "of the template"}}
    template = {"metadata": metadata, "spec": {"containers": [container()], **spec.pop("pod", {})}}
    if kind == "ReplicationController":
        spec["selector"] = LABELS
    elif kind != "Job":
        spec["selector"] = {"matchLabels": LABELS}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "w"},
        "spec": {**spec, "template": template},
    }


def _figures(**resources: Object) -> Object:
    return {"resources": resources}


FIGURES = {
    "cpu": 1,
    "memory": "1024Mi",
    "ephemeral-storage": "1.5Gi",
    "example.org/a": "1000",
    "example.org/b": "1k",
}
_VOLUMES = [
    {"name": "none"},
    {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
    {"name": "config", "configMap": {"name": "c"}},
    {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o400}},
    {"name": "host", "hostPath": {"path": "/tmp"}},  # noqa: S108 — nothing is mounted
    {
        "name": "down",
        "downwardAPI": {
            "items": [
                {"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "c", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}},
            ]
        },
    },
    {
        "name": "projected",
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "t"}},
                {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                {"configMap": {"name": "c"}},
            ]
        },
    },
    {
        "name": "claimed",
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
            }
        },
    },
]
_PROBED = container(
    ports=[{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP", "name": "dns"}],
    env=[
        {"name": "A", "value": "b"},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1024Ki"}}},
    ],
    livenessProbe={"httpGet": {"port": 80}},
    readinessProbe={"tcpSocket": {"port": 80}, "periodSeconds": 3},
    startupProbe={"grpc": {"port": 80}, "failureThreshold": 9},
    lifecycle={"preStop": {"httpGet": {"port": 80, "path": "/end"}}},
)
_IMAGES = (
    "a",
    "a:latest",
    "a:1",
    "reg.example:5000/a",
    "reg.example:5000/a:1",
    "a/b:latest",
    f"a@sha256:{'0' * 64}",
    f"a:1@sha256:{'0' * 64}",
)
_MOUNTED = "/var/run/secrets/kubernetes.io/serviceaccount"

BARE: dict[str, Object] = {
    "nothing": pod(),
    "limits only": pod(container(**_figures(limits={"cpu": "2", "memory": "1Gi"}))),
    "quantities in many notations": pod(
        container(**_figures(requests=FIGURES, limits={"example.org/a": "1000", "example.org/b": "1k"})),
        container("b", **_figures(requests={"cpu": "0.5", "memory": "1e9"}, limits={"cpu": "1500m"})),
        container("c", **_figures(requests={"cpu": "0.0001", "memory": "1000"}, limits={"memory": "1023Mi"})),
        container("d", **_figures(requests={"cpu": "2000m", "memory": "1.5Mi"}, limits={"memory": "3e6"})),
    ),
    "init containers and sidecars": pod(
        initContainers=[
            container("side", restartPolicy="Always", **_figures(limits={"cpu": "100m"})),
            container("init", **_figures(requests={"memory": "1Gi"})),
        ]
    ),
    "a class that does not preempt": pod(priorityClassName="previewed-never"),
    "a system class": pod(priorityClassName="system-node-critical"),
    "a priority as the class says": pod(
        priorityClassName="previewed-never", priority=7, preemptionPolicy="Never"
    ),
    "a priority as no class says": pod(priority=0, preemptionPolicy="PreemptLowerPriority"),
    "limits at the pod's level": pod(
        container(**_figures(requests={"cpu": "1"})), resources={"limits": {"cpu": "4", "memory": "1Gi"}}
    ),
    "tolerations of its own": pod(
        tolerations=[
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
            {"key": "dedicated", "value": "x"},
        ]
    ),
    "tolerates everything": pod(tolerations=[{"operator": "Exists"}]),
    "tolerates without effect": pod(
        tolerations=[{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]
    ),
    "an account of its own": pod(serviceAccountName="previewed"),
    "an account by its old field": pod(serviceAccount="previewed"),
    "no token": pod(automountServiceAccountToken=False),
    "a token where the token goes": pod(
        container(volumeMounts=[{"name": "own", "mountPath": _MOUNTED}]), volumes=[{"name": "own"}]
    ),
    "volumes": pod(volumes=_VOLUMES),
    "probes and ports": pod(_PROBED),
    "the host's network": pod(_PROBED, hostNetwork=True, dnsPolicy="Default", enableServiceLinks=False),
    "images": pod(*(container(f"c{i}", image) for i, image in enumerate(_IMAGES))),
    "a name to be made": pod(metadata={"name": None, "generateName": "made-", "annotations": {"a": "b"}}),
    "what is empty": pod(
        container(resources={}, volumeMounts=[], imagePullPolicy="", terminationMessagePath=""),
        dnsPolicy="",
        terminationGracePeriodSeconds=0,
        volumes=[],
        tolerations=None,
        securityContext=None,
    ),
}
"""Pods by what is special about them; each is named p unless its name is to be made."""

LIMITED: dict[str, Object] = {
    "no figures": pod(),
    "some figures": pod(
        container(**_figures(requests={"cpu": "100m"}, limits={"memory": "64Mi"})),
        container("b", **_figures(limits={"cpu": "1"})),
        initContainers=[container("i"), container("j", **_figures(requests={"cpu": "1m", "memory": "1Mi"}))],
    ),
    "annotated": pod(metadata={"annotations": {"kubernetes.io/limit-ranger": "mine", "z": "z"}}),
}
"""Pods for a namespace with a LimitRange."""

WORKLOADS: dict[str, Object] = {
    "Deployment": workload("Deployment", "apps/v1"),
    "ReplicaSet": workload("ReplicaSet", "apps/v1", replicas=1),
    "ReplicationController": workload("ReplicationController", "v1"),
    "StatefulSet": workload(
        "StatefulSet",
        "apps/v1",
        serviceName="none",
        volumeClaimTemplates=[
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        ],
        pod={"volumes": [{"name": "other"}]},
    ),
    "DaemonSet": workload(
        "DaemonSet", "apps/v1", pod={"tolerations": [{"key": "dedicated", "operator": "Exists"}]}
    ),
    "Job": workload("Job", "batch/v1", pod={"restartPolicy": "Never"}),
    "Job by index": workload(
        "Job",
        "batch/v1",
        completionMode="Indexed",
        completions=1,
        pod={"restartPolicy": "OnFailure", "initContainers": [container("i")]},
    ),
    "CronJob": {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "w"},
        "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {"spec": workload("Job", "batch/v1", pod={"restartPolicy": "Never"})["spec"]},
        },
    },
}
"""Workloads whose pods kube-controller-manager makes."""

REFUSED: dict[str, Object] = {
    "a class that is not there": pod(priorityClassName="previewed-none"),
    "another priority than the class's": pod(priorityClassName="previewed-never", priority=8),
    "a priority without a class": pod(priority=9500),
    "another policy than the class's": pod(
        priorityClassName="previewed-never", preemptionPolicy="PreemptLowerPriority"
    ),
}
"""Pods that the API server refuses before it calls webhooks."""
