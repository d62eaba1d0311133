"""A pod is read with all its faults."""

import pytest

from tests.agent.plan.builders import a_pod, raw_pod
from webhook.agent.plan.agentpod import Mode, read_agent_pod


@pytest.mark.parametrize(
    ("annotation", "mode", "findings"),
    [(None, "enforce", 0), ("observe", "observe", 0), ("ignore", "ignore", 0), ("of", "observe", 1)],
)
def test_the_annotation_says_what_may_be_done(annotation, mode, findings):
    """An unknown word writes nothing, and a finding names it."""
    marks = {} if annotation is None else {"colocation-webhook.io/agent": annotation}
    pod = a_pod(annotations=marks)
    assert pod.mode is Mode(mode)
    assert len(pod.findings) == findings


def test_containers_are_known_by_the_ids_of_the_runtime():
    """Of all kinds of containers; one that has not started has no id."""
    raw = raw_pod()
    raw["status"]["initContainerStatuses"] = [
        {"name": "init", "containerID": "containerd://abc"},
        {"name": "late"},
    ]
    assert read_agent_pod(raw).containers == {"abc": "init", "web-main": "main"}


def test_a_static_pod_has_another_uid_for_the_kubelet():
    """Its cgroup is named by the hash that its mirror's annotation holds."""
    assert a_pod(annotations={"kubernetes.io/config.mirror": "hash"}).uid == "hash"


@pytest.mark.parametrize("raw", [{}, {"metadata": None, "spec": None, "status": None}])
def test_nothing_has_to_be_there(raw):
    """An object without anything is read as a pod of no class."""
    assert read_agent_pod(raw).kube_qos == "BestEffort"
