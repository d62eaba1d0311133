"""The QoS class and the priority class that a pod counts as on its node."""

from collections.abc import Mapping
from typing import Any

from webhook.pods.pod import SECTIONS, containers, labels, spec
from webhook.pods.priority import raw_class
from webhook.protocol import (
    BATCH,
    LABEL_QOS_CLASS,
    NATIVE_RESOURCES,
    PROD,
    QOS_CLASSES,
    QOS_OF_KUBERNETES,
    KubeQoS,
    QoSClass,
)


def kube_qos(pod: Mapping[str, Any]) -> KubeQoS:
    """Return Kubernetes' own class: as its status says, else as requests and limits have it."""
    try:
        return KubeQoS(str((pod.get("status") or {}).get("qosClass")))
    except ValueError:
        return _computed(pod)


def qos_class(pod: Mapping[str, Any]) -> str:
    """Return the QoS class: the label's, else Kubernetes' own in Koordinator's words."""
    label = labels(pod).get(LABEL_QOS_CLASS)
    return str(label if label in QOS_CLASSES else QOS_OF_KUBERNETES[kube_qos(pod)])


def priority_class(pod: Mapping[str, Any]) -> str:
    """Return the priority class: the one that the pod states, else by QoS class: BE is batch, others prod."""
    stated = raw_class(labels(pod), spec(pod).get("priority"))
    return stated or (BATCH if qos_class(pod) == QoSClass.BE else PROD)


def _computed(pod: Mapping[str, Any]) -> KubeQoS:
    guaranteed, anything = True, False
    everyone = [each.value.get("resources") or {} for each in containers(pod)]
    pod_level = spec(pod).get("resources")
    for resources in [pod_level] if pod_level else everyone:
        requests, limits = ({**(resources.get(section) or {})} for section in SECTIONS)
        anything |= any(requests.get(each) or limits.get(each) for each in NATIVE_RESOURCES)
        guaranteed &= all(
            limits.get(each) and requests.get(each, limits[each]) == limits[each] for each in NATIVE_RESOURCES
        )
    if not anything:
        return KubeQoS.BEST_EFFORT
    return KubeQoS.GUARANTEED if guaranteed else KubeQoS.BURSTABLE
