"""What is written into a node's status, and when."""

import datetime as dt
import json
from typing import Any

import pytest

from tests.capacity.cluster import NOW, batch_pod, config, inventory, metric, node
from webhook.capacity.estimate import Capacity
from webhook.capacity.sloconfig import strategy_of
from webhook.controller.caches import KnownNode, node_store
from webhook.controller.publication import annotation, apply_body, due_in

BATCH_CPU, BATCH_MEMORY = "kubernetes.io/batch-cpu", "kubernetes.io/batch-memory"
ALL = {
    BATCH_CPU: "19200",
    BATCH_MEMORY: "89335319757",
    "kubernetes.io/mid-cpu": "0",
    "kubernetes.io/mid-memory": "0",
}


def known(
    published: dict[str, str] | None = None, *, state: str = "applied", owned: bool = True
) -> KnownNode:
    """Return a node that offers so much already."""
    raw = node(annotations={"colocation-webhook.io/batch-capacity": json.dumps({"state": state})})
    raw["metadata"]["uid"] = "u"
    ours = {"f:status": {"f:capacity": {f"f:{name}": {} for name in ALL}}}
    manager = "colocation-webhook-capacity" if owned else "kubelet"
    raw["metadata"]["managedFields"] = [{"manager": manager, "fieldsV1": ours}]
    raw["status"]["allocatable"].update(ALL if published is None else published)
    return node_store().listed(raw)[1]  # type: ignore[return-value]


def due(of: KnownNode, *objects: dict[str, Any], since: float | None = 60.0, **settings: Any) -> bool:
    """Whether a node has to be written, so many seconds after the last write."""
    return wait(of, *objects, since=since, **settings) == 0.0


def wait(of: KnownNode, *objects: dict[str, Any], since: float | None, **settings: Any) -> float:
    """In how many seconds it has to be."""
    found = inventory(node(), config(**settings), *objects)
    strategy = strategy_of(found.configuration, {}, {})
    return due_in(of, found.capacity("node-1", NOW), strategy, since)


def test_nothing_changed() -> None:
    """What stands there already is not written again, not even after the time for it."""
    assert not due(known(), metric())
    assert not due(known(), metric(), since=None)
    assert not due(known(), metric(), since=1000.0)


@pytest.mark.parametrize(
    ("batch_cpu", "since", "written"),
    [
        ("18000", 60, False),
        ("17454", 60, True),
        ("21333", 60, False),
        ("21334", 60, True),
        ("18000", 300, True),
        ("18000", None, True),
        ("1", 9.9, False),
        ("1", 10, True),
    ],
)
def test_thresholds(batch_cpu: str, since: float | None, written: bool) -> None:  # noqa: FBT001 — a column
    """More than a tenth is written, less after five minutes, and nothing twice in ten seconds."""
    assert due(known({**ALL, BATCH_CPU: batch_cpu}), metric(), since=since) is written


@pytest.mark.parametrize("batch_cpu", ["18000", "17454", "1", ALL[BATCH_CPU]])
@pytest.mark.parametrize("since", [0.0, 9.0, 10.0, 299.0, 300.0, 1000.0])
def test_a_wait_only_gets_shorter(batch_cpu: str, since: float) -> None:
    """While nothing changes, so much of it is over as time has passed: nobody needs to look meanwhile."""
    of = known({**ALL, BATCH_CPU: batch_cpu})
    assert wait(of, metric(), since=since) == max(0.0, wait(of, metric(), since=0.0) - since)


def test_what_appears_or_disappears_is_written() -> None:
    """A resource that is missing, or too many, or all of them not ours."""
    assert due(known({}), metric())
    assert due(known({name: ALL[name] for name in (BATCH_CPU, BATCH_MEMORY)}), metric())
    assert due(known(owned=False), metric())
    assert due(known(), enable=False)  # to be taken off
    assert not due(known({}, owned=False), enable=False)
    assert not due(known({}, owned=False), batch_pod("a/b", "700"), enable=False)  # somebody else's node


def test_a_floor_is_written_at_once() -> None:
    """Bound pods that need more than is published do not wait for a tenth of it."""
    late = metric(at=(NOW - dt.timedelta(seconds=300)).isoformat())
    few = {**dict.fromkeys(ALL, "0"), BATCH_CPU: "7000"}
    assert due(known(few, state="held"), late, batch_pod("a/b", "7001"))
    assert not due(known(few, state="held"), late, batch_pod("a/b", "7000"))


def offered(*objects: dict[str, Any]) -> Capacity:
    """Return what the node offers."""
    return inventory(node(), config(), *objects).capacity("node-1", NOW)


def test_the_body() -> None:
    """Figures in both maps, the whole amount for third parties, and our annotation; for one machine only."""
    body = apply_body(known(), offered(metric()), NOW)
    assert body["metadata"]["uid"] == "u"
    assert body["status"] == {"capacity": ALL, "allocatable": ALL}
    origin = json.loads(body["metadata"]["annotations"]["node.koordinator.sh/originExtendedAllocatable"])
    assert origin == {"resources": {BATCH_CPU: "19200", BATCH_MEMORY: "89335319757"}}


def test_the_annotation() -> None:
    """It says state, policy, age and the terms of the batch figures, in at most 2 KiB."""
    found = json.loads(annotation(offered(metric(("a/p", "2", "1Gi"))), NOW))
    assert found["state"] == "applied"
    assert found["policy"] == "koordinator"
    assert found["metricAgeSeconds"] == 42
    assert found["terms"][BATCH_CPU] == {
        "capacity": 32000,
        "margin": 12800,
        "reserved": 0,
        "pods": 2000,
        "nothing": 0,
    }
    assert len(annotation(offered(metric()), NOW)) < 2048
