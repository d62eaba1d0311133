"""A profile changes a label by which a Deployment selects: its controller makes pods, and is stopped."""

from __future__ import annotations

import time
from typing import Any

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import pod, profile
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.metrics import samples
from tests.e2e.release.replicas import Replica
from tests.e2e.release.service import Service

LABELS = {"app": "web", "without-end": "true"}
NAME = "without-end"
COPIES = 30
"""Pods of the Deployment that does not select by the label: more than the count that is enough."""
MOST = 60
"""Orphans, at most: 123 in 12 s and no end without the breaker."""
STILL_SECONDS = 5.0


def deployment(name: str, namespace: str, replicas: int, selector: dict[str, str]) -> Object:
    """A Deployment whose pods have `LABELS` and those of its selector; no scheduler looks at them."""
    labels = {**LABELS, **selector}
    template = pod("unused", labels, schedulingGates=[{"name": "example.com/never"}])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
    }


def kept(replica: Replica) -> float:
    """For how many controllers a replica leaves labels."""
    return samples(replica.admin("/metrics")[1])["colocation_webhook_labels_kept"]


def pods(kubectl: Kubectl, namespace: str, selector: str) -> int:
    """How many there are."""
    return len(kubectl.items("pods", namespace=namespace, selector=selector))


def condition(kubectl: Kubectl) -> dict[str, Any] | None:
    """The condition LabelsKept of the profile."""
    found = kubectl.get("ccp", NAME).get("status", {}).get("conditions", [])
    return next((each for each in found if each["type"] == "LabelsKept"), None)


def test_pods_without_end(service: Service, namespace: str) -> None:
    """Pods stop growing within seconds; status, Event and metrics say so; the twin's label is changed on."""
    kubectl = service.kubectl
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    chosen = {**where, "selector": {"matchLabels": {"without-end": "true"}}}
    kubectl.create(profile(NAME, **chosen, labelSuffixes={"app": "-colo"}))
    try:
        time.sleep(1.0)
        # The twin first: a count of its pods alone would already be enough.
        kubectl.create(deployment("twin", namespace, COPIES, {"twin": "yes"}))
        changed = "app=web-colo,twin=yes"
        eventually(lambda: pods(kubectl, namespace, changed) == COPIES, what="pods of the twin")
        kubectl.create(deployment("web", namespace, 1, {"app": "web"}))
        eventually(lambda: condition(kubectl), what="condition LabelsKept")
        time.sleep(1.0)
        orphans = pods(kubectl, namespace, "app=web-colo,!twin")
        time.sleep(STILL_SECONDS)
        assert pods(kubectl, namespace, "app=web-colo,!twin") == orphans
        print(f"orphans: {orphans}")
        assert 0 < orphans <= MOST
        # The Deployment has its pod, with the label by which it selects.
        (own,) = kubectl.items("pods", namespace=namespace, selector="app=web")
        (owner,) = own["metadata"]["ownerReferences"]
        found = condition(kubectl)
        assert found is not None
        assert (found["status"], found["reason"]) == ("True", "PodsWithoutEnd")
        assert f"ReplicaSet {namespace}/{owner['name']}" in found["message"]
        (event,) = [
            each for each in kubectl.items("events", namespace=namespace) if each["reason"] == "LabelsKept"
        ]
        assert event["involvedObject"]["name"] == owner["name"]
        assert "exclude the pods by its selector" in event["message"]
        # The other replica, and one that begins now, leave the labels, too.
        eventually(lambda: [kept(each) for each in service.replicas] == [1.0, 1.0], what="all told")
        late = service.new_replica()
        late.start()
        try:
            late.wait_until_ready()
            eventually(lambda: kept(late) == 1.0, what="a new replica told")
        finally:
            late.stop()
        # The twin goes on: the label of its new pods is changed as before.
        kubectl.run("-n", namespace, "scale", "deployment", "twin", f"--replicas={COPIES + 20}")
        eventually(lambda: pods(kubectl, namespace, changed) == COPIES + 20, what="new pods of the twin")
        # Another spec of the profile is another matter.
        kubectl.apply(profile(NAME, **chosen, labelSuffixes={"app": "-colo"}, annotations={"a": "b"}))
        eventually(lambda: [kept(each) for each in service.replicas] == [0.0, 0.0], what="labels free again")
        eventually(lambda: condition(kubectl) is None, what="condition gone")
    finally:
        kubectl.delete("ccp", NAME)
        kubectl.run("-n", namespace, "delete", "deployment", "web", "twin", "--ignore-not-found")
