"""A node's pods, read."""

import pytest

from tests.agent.builders import node_pod, pod
from webhook.agent.measuring.usage import Use
from webhook.agent.pods import pod_store
from webhook.protocol import ANNOTATION_MIRROR_POD, ANNOTATION_RESOURCE_STATUS, KubeQoS


def test_a_pod_with_classes_requests_and_cpus() -> None:
    """Cores and bytes; the class of the label, and Kubernetes' own, by which its cgroup is found."""
    read = node_pod(
        qos="Guaranteed",
        metadata={
            "labels": {"koordinator.sh/qosClass": "LSE", "koordinator.sh/priority-class": "koord-prod"},
            "annotations": {ANNOTATION_RESOURCE_STATUS: '{"cpuset": "0-1"}'},
        },
        spec={"containers": [{"name": "m", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}]},
    )
    assert (read.namespace, read.name, read.uid) == ("shop", "web", "uid-web")
    assert (read.kube_qos, read.qos, read.label) == (KubeQoS.GUARANTEED, "LSE", "LSE")
    assert (read.priority_class, read.request, read.cpus) == ("koord-prod", Use(2.0, 2.0**30), {0, 1})
    assert not read.finished
    assert not read.ending
    assert not read.koordlet
    assert read.findings == ()


def test_a_static_pod_is_known_by_its_own_uid() -> None:
    """Its mirror pod has another one."""
    read = node_pod(metadata={"annotations": {ANNOTATION_MIRROR_POD: "0123abcd"}})
    assert read.uid == "0123abcd"


def test_what_cannot_be_read_is_named_and_left_out() -> None:
    """Annotations and quantities with errors cost nothing but themselves."""
    read = node_pod(
        metadata={"annotations": {ANNOTATION_RESOURCE_STATUS: '{"cpuset": "5-3"}'}},
        spec={"containers": [{"name": "m", "resources": {"requests": {"cpu": "much"}}}]},
    )
    assert read.cpus is None
    assert read.request == Use(0.0, 0.0)
    assert [finding.split(":")[0] for finding in read.findings] == ["pod shop/web"] * 2


def test_koordlet_is_known_by_its_label() -> None:
    """Whatever namespace it runs in."""
    assert node_pod(metadata={"labels": {"koord-app": "koordlet"}}).koordlet
    assert not node_pod(metadata={"labels": {"koord-app": "koord-manager"}}).koordlet


def test_pods_that_end_are_seen() -> None:
    """Being deleted, and finished."""
    assert node_pod(metadata={"deletionTimestamp": "2026-01-31T08:00:00Z"}).ending
    assert node_pod(status={"phase": "Failed"}).finished


def test_the_store_keeps_pods_by_name() -> None:
    """As the watch brings them."""
    store = pod_store()
    store.changed(pod("a"))
    store.changed(pod("b"))
    store.deleted(pod("a"))
    assert [each.name for each in store.values.values()] == ["b"]


@pytest.mark.parametrize("uid", ["../../etc", "a/../b", "", ".", "a b", "a.b", "u" * 129])
def test_a_uid_that_would_be_another_path_is_none(uid: str) -> None:
    """Anybody may write the annotation of a mirror pod: such a pod is not looked for among cgroups."""
    read = node_pod(metadata={"uid": uid, "annotations": {ANNOTATION_MIRROR_POD: uid}})
    assert read.uid == ""
    assert "is none that a kubelet gives" in read.findings[0]
