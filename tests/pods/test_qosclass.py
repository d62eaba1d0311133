"""What a pod counts as on its node."""

from typing import Any

import pytest

from webhook.pods.qosclass import kube_qos, priority_class, qos_class
from webhook.protocol import KubeQoS


def _pod(labels: dict[str, str] | None = None, qos: str | None = None, **resources: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "resources": resources}]},
        "status": {"qosClass": qos} if qos else None,
    }


@pytest.mark.parametrize(
    ("pod", "kubernetes", "koordinator"),
    [
        (_pod(), KubeQoS.BEST_EFFORT, "BE"),
        (_pod(requests={"cpu": "1"}), KubeQoS.BURSTABLE, "LS"),
        (_pod(limits={"cpu": "1", "memory": "1Gi"}), KubeQoS.GUARANTEED, "LSR"),
        (_pod(limits={"cpu": "1"}), KubeQoS.BURSTABLE, "LS"),
        (_pod(requests={"kubernetes.io/batch-cpu": "500"}), KubeQoS.BEST_EFFORT, "BE"),
        (_pod(qos="Guaranteed"), KubeQoS.GUARANTEED, "LSR"),
        (_pod(qos="New"), KubeQoS.BEST_EFFORT, "BE"),
        (_pod({"koordinator.sh/qosClass": "LSE"}, "Guaranteed"), KubeQoS.GUARANTEED, "LSE"),
        (_pod({"koordinator.sh/qosClass": "lse"}, "Burstable"), KubeQoS.BURSTABLE, "LS"),
    ],
)
def test_classes_by_status_else_by_resources(pod, kubernetes, koordinator):
    """The label names Koordinator's class if it is one; Kubernetes' own is in the status, or is computed."""
    assert kube_qos(pod) is kubernetes
    assert qos_class(pod) == koordinator


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (_pod(qos="BestEffort"), "koord-batch"),
        (_pod(qos="Burstable"), "koord-prod"),
        (_pod({"koordinator.sh/priority-class": "koord-mid"}), "koord-mid"),
        (_pod({"koordinator.sh/priority-class": "other", "koordinator.sh/qosClass": "BE"}), "koord-batch"),
    ],
)
def test_the_priority_class_that_is_not_stated_follows_from_the_qos_class(pod, expected):
    """BE is batch, every other class prod."""
    assert priority_class(pod) == expected
