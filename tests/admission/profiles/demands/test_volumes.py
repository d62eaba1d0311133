"""What the API server demands of volumes."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import pod

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
ISCSI = {"targetPortal": "a", "iqn": "iqn.2001-04.com.example:a"}
AZURE = {"diskName": "d", "diskURI": "https://a"}
SNAPSHOT = {"kind": "VolumeSnapshot", "name": "s"}
PVC = {"kind": "PersistentVolumeClaim", "name": "s"}


def projected(paths):
    """Return a projected volume with a file of each kind of source."""
    sources = [{kind: {"name": "n", "items": [{"key": "k", "path": path}]}} for kind, path in paths.items()]
    return [{"name": "v", "projected": {"sources": sources}}]


def volume(**source):
    """Return a pod with a volume of a source."""
    return pod(volumes=[{"name": "v"} | source])


def made(metadata=None, **spec):
    """Return a pod with a claim that is made with it."""
    template = {"spec": CLAIM | spec} | ({"metadata": metadata} if metadata else {})
    return volume(ephemeral={"volumeClaimTemplate": template})


def named(name, *volumes):
    """Return a pod of a name with volumes."""
    found = pod(volumes=list(volumes))
    return found | {"metadata": found["metadata"] | {"name": name}}


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
    "two files of a projection on a path": (
        pod(volumes=projected({"secret": "a/b", "configMap": "a/b"})),
        pod(volumes=projected({"secret": "a/b", "configMap": "a/c"})),
        "spec.volumes[v].projected",
    ),
    "a claim that is used and made": (
        pod(
            volumes=[
                *made()["spec"]["volumes"],
                {"name": "w", "persistentVolumeClaim": {"claimName": "pod-1-v"}},
            ]
        ),
        pod(
            volumes=[
                *made()["spec"]["volumes"],
                {"name": "w", "persistentVolumeClaim": {"claimName": "pod-2-v"}},
            ]
        ),
        "",
    ),
    "a claim of a long name": (
        named("a" * 252, *made()["spec"]["volumes"]),
        named("a" * 251, *made()["spec"]["volumes"]),
        "",
    ),
    "a claim without a size": (
        made(resources={"requests": {"storage": "0"}}),
        made(resources={"requests": {"storage": "1", "what": "1"}}),
        "spec.volumes[v].ephemeral.volumeClaimTemplate.spec",
    ),
    "a claim of one pod": (
        made(accessModes=["ReadWriteOncePod", "ReadOnlyMany"]),
        made(accessModes=["ReadWriteOncePod"]),
        "spec.volumes[v].ephemeral.volumeClaimTemplate.spec",
    ),
    "a claim with more metadata": (
        made({"finalizers": ["example.com/a"]}),
        made({"labels": {"a": "b"}, "annotations": {"controller.kubernetes.io/pod-deletion-cost": "x"}}),
        "spec.volumes[v].ephemeral.volumeClaimTemplate",
    ),
    "a source without its group": (
        made(dataSource=SNAPSHOT),
        made(dataSource=PVC),
        "spec.volumes[v].ephemeral.volumeClaimTemplate.spec.dataSource",
    ),
    "two sources": (
        made(dataSource=PVC, dataSourceRef=PVC | {"name": "t"}),
        made(dataSource=PVC, dataSourceRef=PVC),
        "spec.volumes[v].ephemeral.volumeClaimTemplate.spec",
    ),
    "CHAP without its secret": (
        volume(iscsi=ISCSI | {"chapAuthSession": True}),
        volume(iscsi=ISCSI | {"chapAuthSession": True, "secretRef": {"name": "s"}}),
        "spec.volumes[v].iscsi",
    ),
    "a long portal": (
        volume(iscsi=ISCSI | {"targetPortal": "a" * 63, "initiatorName": "iqn.2001-04.com.example:a"}),
        volume(iscsi=ISCSI | {"targetPortal": "a" * 63}),
        "spec.volumes[v]",
    ),
    "names of two kinds": (
        volume(fc={"targetWWNs": ["a"], "wwids": ["b"], "lun": 1}),
        volume(fc={"wwids": ["b"]}),
        "spec.volumes[v].fc",
    ),
    "a name without its unit": (
        volume(fc={"targetWWNs": ["a"], "lun": 256}),
        volume(fc={"targetWWNs": ["a"], "lun": 255}),
        "spec.volumes[v].fc",
    ),
    "a dataset by a path": (
        volume(flocker={"datasetName": "a/b"}),
        volume(flocker={"datasetUUID": "a/b"}),
        "spec.volumes[v].flocker",
    ),
    "a long tenant": (
        volume(quobyte={"registry": "a:1", "volume": "v", "tenant": "x" * 65}),
        volume(quobyte={"registry": "a:1", "volume": "v", "tenant": "x" * 64}),
        "spec.volumes[v].quobyte",
    ),
    "a disk of another kind": (
        volume(azureDisk=AZURE | {"kind": "Managed"}),
        volume(azureDisk=AZURE),
        "spec.volumes[v].azureDisk",
    ),
    "a managed disk": (
        volume(azureDisk=AZURE | {"diskURI": "/subscriptions/a"}),
        volume(azureDisk=AZURE | {"diskURI": "/subscriptions/a", "kind": "Managed"}),
        "spec.volumes[v].azureDisk",
    ),
    "an option of Kubernetes' own": (
        volume(flexVolume={"driver": "a", "options": {"x.K8s.io/a": "b"}}),
        volume(flexVolume={"driver": "a", "options": {"xk8s.io/a": "b"}}),
        "spec.volumes[v].flexVolume",
    ),
    "a secret without a name": (
        volume(cinder={"volumeID": "a", "secretRef": {}}),
        volume(cinder={"volumeID": "a", "secretRef": {"name": "A b"}}),
        "spec.volumes[v].cinder",
    ),
    "a secret of no name": (
        volume(csi={"driver": "a", "nodePublishSecretRef": {"name": "A b"}}),
        volume(csi={"driver": "A", "nodePublishSecretRef": {"name": "a"}}),
        "spec.volumes[v].csi",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)
