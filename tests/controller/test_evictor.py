"""The evictor at a fake API server."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from tests.controller.evictions import NODES, PODS, Evictions
from tests.eviction.builders import memory_ask
from tests.kube.fakeapi import FakeApi
from webhook.controller.evictionstate import REQUESTS
from webhook.controller.evictor import EvictionSettings
from webhook.eviction.budget import Budget
from webhook.kube.client import ApiError
from webhook.kube.timestamps import timestamp

STATUS = f"{REQUESTS}/n1/status"


@pytest.fixture
def world() -> Iterator[Evictions]:
    """A node with four batch pods; no replica runs."""
    with FakeApi() as api:
        made = Evictions(api)
        made.pods("a", "b", "c", "d")
        yield made
        for each in made.replicas:
            each.end()


def test_as_many_as_are_needed(world: Evictions) -> None:
    """5 GiB are asked for and pods use 3: two go, with the figures in an Event, and in the status."""
    world.short()
    one = world.replica()
    one.step(world)
    assert world.left() == {"c", "d"}
    assert [(event.name, event.uid, event.reason) for event in one.events.found] == [
        ("a", "uid-a", "EvictedForNode"),
        ("b", "uid-b", "EvictedForNode"),
    ]
    assert one.events.found[0].message == (
        "evicted from n1: BEMemoryEvict: 73.0Gi of 100.0Gi memory are used: at least 70 %, 68 % is the aim: "
        "5.0Gi to release; koord-batch, priority 5000"
    )
    noted = [(each["name"], each["form"], each["time"]) for each in world.status()["evictions"]]
    assert noted == [(name, "BEMemoryEvict", "2026-01-31T08:00:00Z") for name in ("a", "b")]
    assert one.count("evicted") == 2


def test_the_same_figures_once(world: Evictions) -> None:
    """Until there are newer ones, and for four seconds, nobody else goes; then who is still needed."""
    world.short()
    one = world.replica()
    for _ in range(3):
        one.step(world)
        world.wait(1)
    assert len(world.left()) == 2
    world.short()  # measured three seconds after the eviction
    one.step(world)
    assert len(world.left()) == 2
    world.wait(1)
    one.step(world)
    assert len(world.left()) == 0


def test_pods_on_their_way_count(world: Evictions) -> None:
    """A pod that was asked to end counts as released for a minute, and no longer."""
    ending = {"deletionTimestamp": "2026-01-31T08:00:20Z", "deletionGracePeriodSeconds": 30}
    world.pods("e", "f", metadata={**ending, "uid": "uid-e"})
    world.api.objects[PODS]["shop", "f"]["metadata"]["uid"] = "uid-f"
    one = world.replica()
    world.short()
    one.step(world)
    assert world.left() == set("abcdef")
    world.wait(51)
    world.short()
    one.step(world)
    assert world.left() == set("cdef")


def test_a_disruption_budget(world: Evictions) -> None:
    """Who is protected stays, costs no budget and no error; the next ones go with the next figures."""
    world.api.protected = {"a", "b"}
    one = world.replica(settings=EvictionSettings(Budget(2, 2, 2)))
    world.short()
    one.step(world)
    assert world.left() == set("abcd")
    assert [each.get("outcome") for each in world.status()["evictions"]] == ["refused"] * 2
    world.wait(5)
    world.short()
    one.step(world)
    assert world.left() == {"a", "b"}
    assert (one.count("protected"), one.count("evicted")) == (2, 2)
    assert [event.name for event in one.events.found] == ["c", "d"]
    world.api.protected.clear()
    world.wait(60)
    world.short()
    one.step(world)
    assert world.left() == set()


def test_a_disruption_budget_that_forbids_all(world: Evictions, caplog: Any) -> None:
    """Nobody goes, and what is said names who is kept; once."""
    world.api.protected = set("abcd")
    one = world.replica()
    for _ in range(4):
        world.short()
        one.step(world)
        world.wait(5)
    assert world.left() == set("abcd")
    said = [line for line in caplog.text.splitlines() if "no pod is left that may go for it" in line]
    assert len(said) == 1
    assert said[0].endswith(
        "; refused by the Eviction API, as for a PodDisruptionBudget: shop/a, shop/b, shop/c and 1 more"
    )
    state = {"state": "unmet"}
    assert one.registry.get_sample_value("colocation_webhook_eviction_requests", state) == 1


def test_refusals_that_could_not_be_noted(world: Evictions) -> None:
    """The agent measured meanwhile, and the status says still that both go: others are asked and noted."""
    world.api.protected = {"a", "b"}
    one = world.replica(settings=EvictionSettings(Budget(2, 2, 2)))
    world.short()

    def measured() -> None:
        before = world.api.objects[REQUESTS]["", "n1"]
        at = timestamp(world.now + dt.timedelta(seconds=1))
        after = {**before, "metadata": dict(before["metadata"]), "spec": before["spec"] | {"observedAt": at}}
        world.api.store(REQUESTS, ("", "n1"), after)

    world.api.late["POST", "/api/v1/namespaces/shop/pods/b/eviction"] = measured
    one.step(world)
    assert world.left() == set("abcd")
    assert [each.get("outcome") for each in world.status()["evictions"]] == [None] * 2
    world.wait(1)
    one.step(world)
    assert world.left() == {"a", "b"}
    assert [each["name"] for each in world.status()["evictions"]] == ["c", "d"]


def test_one_budget_for_all_nodes(world: Evictions) -> None:
    """Three a minute in the cluster, whichever nodes ask; a replica that takes over counts on."""
    world.node("n2")
    world.pods("k", "l", "m", node="n2")
    settings = EvictionSettings(Budget(3, 2, 9))
    one = world.replica(settings=settings)
    world.short()
    world.short(node="n2")
    one.step(world)
    assert len(world.left()) == 4
    one.lease.release()
    world.wait(30)
    two = world.replica("two", settings)
    world.short()
    world.short(node="n2")
    two.step(world)
    assert len(world.left()) == 4
    world.wait(31)
    world.short()
    world.short(node="n2")
    two.step(world)
    assert len(world.left()) == 1


def test_a_lease_that_cannot_be_renewed(world: Evictions) -> None:
    """It evicts nobody, and neither readiness nor metrics say that it does."""
    one = world.replica("one")
    one.step(world)
    assert one.evictor.standby == ""
    world.short()
    one.evictor._standby._elected = refuse
    with pytest.raises(ApiError):
        one.evictor.step()
    assert one.evictor.standby == "the Lease cannot be renewed"
    assert one.registry.get_sample_value("colocation_webhook_eviction_acts") == 0
    assert world.left() == set("abcd")


def refuse() -> bool:
    """Fail as a Lease does while the API server is away."""
    raise ApiError("no answer", status=503)


def test_two_that_believe_to_lead(world: Evictions) -> None:
    """The same figures are acted upon once: the status was written by the other one."""
    one, two = world.replica("one"), world.replica("two")
    two.evictor._leads = two.evictor._standby._elected = lambda: True
    world.short()
    for each in (one, two):
        each.heard(world)
    world.api.mute = True
    version = two.watched.requests.values["", "n1"].version
    one.evictor.step()
    two.watched.requests.changed(  # it has not heard of the first one's note
        {**world.api.objects[REQUESTS]["", "n1"], "status": {}}
        | {"metadata": {**world.api.objects[REQUESTS]["", "n1"]["metadata"], "resourceVersion": version}}
    )
    two.evictor.step()
    assert len(world.left()) == 2
    assert two.events.found == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"uid": "another"}, "it belongs to another node"),
        ({"manager": "kubectl"}, "kubectl wrote it, and not colocation-webhook-agent alone"),
        ({"node": "n9"}, "there is no such node"),
    ],
)
def test_requests_that_are_not_served(
    world: Evictions, caplog: Any, asked: dict[str, Any], says: str
) -> None:
    """Of another node, of somebody else, of none: a finding, said once, and nobody goes."""
    one = world.replica()
    world.short(**asked)
    for _ in range(3):
        one.step(world)
        world.wait(1)
    assert world.left() == set("abcd")
    assert caplog.text.count(says) == 1
    state = {"state": "invalid"}
    assert one.registry.get_sample_value("colocation_webhook_eviction_requests", state) == 1


def test_an_old_request(world: Evictions, caplog: Any) -> None:
    """An agent that ended asks for nothing any more."""
    one = world.replica()
    world.short()
    world.wait(16)
    one.step(world)
    world.wait(5)
    one.step(world)
    assert world.left() == set("abcd")
    assert caplog.text.count("s old: its agent writes it no more") == 1


def test_an_absurd_request(world: Evictions, caplog: Any) -> None:
    """A release that does not follow from its figures, or figures of another machine."""
    one = world.replica()
    world.ask(memory_ask()._replace(release=1))
    one.step(world)
    assert "release: 1 does not follow from its figures" in caplog.text
    world.ask(memory_ask(capacity=50 * 2**30))
    one.step(world)
    assert "where the node has" in caplog.text
    assert world.left() == set("abcd")


def test_a_node_that_is_gone(world: Evictions) -> None:
    """Its request, which the garbage collector will delete, evicts nobody; nor once another has its name."""
    one = world.replica()
    world.short()
    world.api.delete(NODES, "n1")
    one.heard(world)
    while one.watched.node("n1") is not None:
        pass
    one.step(world)
    world.node("n1", "new")
    while one.watched.node("n1") is None:
        pass
    one.step(world)
    assert world.left() == set("abcd")


def test_nobody_is_left(world: Evictions, caplog: Any) -> None:
    """What remains is said once, with the reason; when all is well and bad again, once more."""
    one = world.replica()
    for name in "bcd":
        world.api.delete(PODS, name, "shop")
    for _ in range(2):
        world.short()
        one.step(world)
        one.step(world)
        world.wait(5)
        state = {"state": "unmet"}  # also while newer figures are awaited
        assert one.registry.get_sample_value("colocation_webhook_eviction_requests", state) == 1
    assert world.left() == set()
    assert caplog.text.count("no pod is left that may go for it") == 1
    world.ask()
    one.step(world)
    world.short()
    one.step(world)
    assert caplog.text.count("no pod is left that may go for it") == 2


def test_online_pods_stay(world: Evictions) -> None:
    """Whatever uses the memory."""
    online = {"labels": {"koordinator.sh/qosClass": "LS", "koordinator.sh/priority-class": "koord-prod"}}
    for name in "abcd":
        world.api.delete(PODS, name, "shop")
    world.pods("web", **online)
    one = world.replica()
    world.short(gib=50)
    one.watched.requests.changed(world.api.objects[REQUESTS]["", "n1"])
    one.evictor.step()
    assert world.left() == {"web"}


def test_answers_that_say_nothing(world: Evictions) -> None:
    """Without an answer the round ends; the pod that was asked for counts, those that were not do not."""
    one = world.replica(settings=EvictionSettings(Budget(2, 2, 9)))
    world.api.failures["POST", "/api/v1/namespaces/shop/pods/a/eviction"] = [(503, {"kind": "Status"})]
    world.short()
    with pytest.raises(ApiError):
        one.step(world)
    assert world.left() == set("abcd")
    world.wait(5)
    world.short()
    one.step(world)
    assert world.left() == set("acd")  # one more within the budget, and a is waited for


def test_a_status_that_cannot_be_written(world: Evictions, caplog: Any) -> None:
    """Without a note nobody goes."""
    one = world.replica()
    world.api.failures["PATCH", STATUS] = [(403, {"kind": "Status", "message": "no"})] * 2
    world.short()
    for _ in range(2):
        one.step(world)
    assert world.left() == set("abcd")
    assert caplog.text.count("its status cannot be written, so nobody is evicted") == 1


def test_a_pod_that_is_another_one_by_now(world: Evictions) -> None:
    """The uid is the condition of an eviction."""
    one = world.replica()
    world.short()
    one.heard(world)
    with world.api.lock:
        world.api.objects[PODS]["shop", "a"]["metadata"]["uid"] = "new"
    one.evictor.step()
    assert world.left() == set("acd")
    assert one.count("gone") == 1


def test_who_does_not_lead(world: Evictions) -> None:
    """It evicts nobody, says why, and goes on when it is elected."""
    one, two = world.replica("one"), world.replica("two")
    one.step(world)
    world.short()
    two.step(world)
    assert world.left() == set("abcd")
    assert two.evictor.standby == "not elected"
    assert one.evictor.standby == ""
