"""What the doctor says of what nodes offer, and of who publishes it."""

import pytest

from tests.cli.doctor.builders import BATCH, HOME_PODS, NODES, PODS


def test_nodes_without_batch_resources(doctor, cluster):
    """Pods would stay Pending: it is said what publishes them."""
    cluster.put(NODES, "n-2", status={"allocatable": BATCH | {"kubernetes.io/batch-cpu": "0"}})
    assert "1 of 2 advertise" in doctor()[1]["warning"]
    cluster.delete(NODES, "n-1")
    code, found = doctor()
    assert code == 1
    assert "stay Pending" in found["error"]
    assert "koordlet" in found["error"]
    cluster.delete(NODES, "n-2")
    assert "nodes: none exists" in doctor()[1]["warning"]


def publishes(manager):
    """Metadata of a node whose batch resources are somebody's."""
    fields = {"f:status": {"f:allocatable": {"f:kubernetes.io/batch-cpu": {}}}}
    return {"managedFields": [{"manager": "kubelet"}, {"manager": manager, "fieldsV1": fields}]}


OURS, THEIRS = "colocation-webhook-capacity", "koord-manager"


def controller(cluster, name="c-1", phase="Running", **report):
    """Put a pod of our controller, and what it says of itself."""
    cluster.put(
        PODS,
        name,
        "home",
        metadata={"labels": {"app.kubernetes.io/component": "controller"}},
        spec={"containers": [{"args": ["controller", "--in-cluster"]}]},
        status={"phase": phase},
    )
    cluster.objects[f"{HOME_PODS}/{name}:8082/proxy"] = {("", "readyz"): {"capacity": report}}


def test_who_publishes(doctor, cluster):
    """Nobody, somebody else, our controller; both are one too many, and figures without a controller old."""
    cluster.put(
        PODS,
        "evictor",
        "home",
        metadata={"labels": {"app.kubernetes.io/component": "controller"}},
        spec={"containers": [{"args": ["controller", "--in-cluster", "--no-capacity", "--evict"]}]},
        status={"phase": "Running"},
    )
    assert "publishers: our controller is not installed, and nobody publishes" in doctor()[1]["ok"]
    cluster.put(NODES, "n-1", metadata=publishes(THEIRS), status={"allocatable": BATCH})
    assert "publishers: koord-manager publishes on 1 nodes" in doctor()[1]["ok"]
    cluster.put(NODES, "n-2", metadata=publishes(OURS), status={"allocatable": BATCH})
    assert "its figures stand on 1 nodes" in doctor()[1]["warning"]
    controller(cluster, publishes=True)
    found = doctor()[1]
    assert "our controller runs, and koord-manager publishes, too" in found["warning"]
    assert "our controller publishes on 1 nodes (c-1)" in found["ok"]
    cluster.delete(NODES, "n-1")
    assert doctor()[1]["warning"] == ""


def test_a_controller_that_does_not_publish(doctor, cluster):
    """It is said why, for each replica."""
    controller(cluster, standby="koord-manager renews its Lease a/koordinator-manager: it publishes")
    controller(cluster, "c-2", phase="Pending")
    said = doctor()[1]["warning"]
    assert "no replica of our controller publishes: c-1: koord-manager renews its Lease" in said
    assert "c-2: its pod does not run" in said
    cluster.objects[f"{HOME_PODS}/c-1:8082/proxy"] = {}
    assert "c-1: /readyz cannot be read" in doctor()[1]["warning"]


@pytest.mark.parametrize(
    "text", ['{"state": "held"}', '{"state": "withdrawn"}', "{", "[]", '{"state": "applied"}']
)
def test_late_metrics(doctor, cluster, text):
    """Nodes on which nothing new is let in are named."""
    controller(cluster, publishes=True)
    metadata = {**publishes(OURS), "annotations": {"colocation-webhook.io/batch-capacity": text}}
    cluster.put(NODES, "n-1", metadata=metadata, status={"allocatable": BATCH})
    assert ("metrics of n-1 are late" in doctor()[1]["warning"]) is ("held" in text or "withdrawn" in text)
