"""A pod that no node would take is woken once, when one would, and its scheduler has not asked by itself."""

import pytest

from tests.binding.builders import nrt, store
from tests.scheduling.builders import Told, loaded, synced, waiting
from tests.scheduling.test_extender import measured
from webhook.binding.caches import TOPOLOGIES
from webhook.kube.paths import PODS
from webhook.protocol import ANNOTATION_WOKEN
from webhook.scheduling.settings import read_settings
from webhook.scheduling.waking import AGAIN_SECONDS, FORGOTTEN_SECONDS, SETTLED_SECONDS


@pytest.fixture
def pod(told):
    """A pod that is stored and that waits, for its only node is hot."""
    synced(told)
    of = waiting(qos="LS")
    store(told.replica.fake, PODS, of)
    at(told, 15_000)
    assert told.filter(of, "node-1")[0] == []
    return of


def at(told, milli):
    """So much of node-1 is used."""
    told.tell(nodes=[loaded("node-1")], metrics=[measured(told, "node-1", milli)])


def woken(told, seconds=0.0):
    """What the pod's annotation says, once all is done that is due after so many seconds."""
    told.clock.seconds += seconds
    while told.scheduling.upkeep.step() < 0.1:
        pass
    return told.replica.fake.objects[PODS]["d", "p"]["metadata"]["annotations"].get(ANNOTATION_WOKEN)


def test_a_node_that_has_cooled_down_wakes_the_pod_that_waits(told, pod):
    """Not before a scheduler that something else has woken would have asked, nor while no node would do."""
    assert woken(told, SETTLED_SECONDS) is None
    at(told, 1_000)
    assert woken(told) is None
    assert woken(told, SETTLED_SECONDS) is not None
    assert told.filter(pod, "node-1")[0] == ["node-1"]


def test_a_pod_that_is_asked_about_by_itself_is_left_alone(told, pod):
    """Once a node passes, nothing waits any more."""
    at(told, 1_000)
    assert told.filter(pod, "node-1")[0] == ["node-1"]
    at(told, 1_000)
    assert woken(told, SETTLED_SECONDS) is None


def test_a_pod_is_woken_once_a_minute_at_most(told, pod):
    """However often it is refused and could go somewhere, and not at all while nobody asks."""
    at(told, 1_000)
    first = woken(told, SETTLED_SECONDS)
    assert first is not None
    assert woken(told, 600) == first, "nobody has asked since"
    at(told, 15_000)
    assert told.filter(pod, "node-1")[0] == []
    at(told, 1_000)
    second = woken(told, SETTLED_SECONDS)
    assert second > first
    at(told, 15_000)
    assert told.filter(pod, "node-1")[0] == []
    at(told, 1_000)
    assert woken(told, AGAIN_SECONDS - SETTLED_SECONDS) == second
    at(told, 1_000)
    assert woken(told, SETTLED_SECONDS) > second


@pytest.mark.usefixtures("pod")
def test_a_pod_that_no_scheduler_asks_about_is_forgotten(told):
    """A scheduler asks every five minutes, whatever happens."""
    for _ in range(int(FORGOTTEN_SECONDS // SETTLED_SECONDS) + 1):
        at(told, 15_000)
        assert woken(told, SETTLED_SECONDS) is None
    at(told, 1_000)
    assert woken(told, SETTLED_SECONDS) is None


@pytest.mark.usefixtures("pod")
def test_a_pod_that_is_gone_or_another_is_left_alone(told):
    """The patch names the uid, and what the API server refuses ends nothing."""
    fake = told.replica.fake
    other = waiting(qos="LS")
    other["metadata"]["uid"] = "another"
    store(fake, PODS, other)
    at(told, 1_000)
    assert woken(told, SETTLED_SECONDS) is None
    del fake.objects[PODS]["d", "p"]
    while told.scheduling.upkeep.step() < 0.1:
        pass


def test_nobody_is_woken_where_that_is_switched_off(fake):
    """A service without the right to patch pods leaves them alone."""
    told = synced(Told(fake, read_settings({"wakePods": False})))
    of = waiting(qos="LS")
    store(fake, PODS, of)
    at(told, 15_000)
    assert told.filter(of, "node-1")[0] == []
    at(told, 1_000)
    assert woken(told, SETTLED_SECONDS) is None


def test_a_pod_that_waits_for_a_set_is_woken_where_load_is_off(fake):
    """A topology that comes wakes nobody by itself."""
    told = synced(Told(fake, read_settings({"loadAware": False})))
    store(fake, PODS, waiting())
    fake.objects[TOPOLOGIES].clear()
    told.replica.hear()
    assert told.filter(waiting(), "node-1")[0] == []
    assert woken(told, SETTLED_SECONDS) is None
    store(fake, TOPOLOGIES, nrt())
    told.replica.hear()
    assert woken(told, SETTLED_SECONDS) is not None


def test_a_namespace_that_opts_out_wakes_its_pods(fake):
    """They get no CPU set any more, and go where there is none."""
    opted_in = {"d": True}
    told = synced(Told(fake, opted_in=opted_in.get))
    store(fake, PODS, waiting())
    told.tell(nodes=[loaded("node-9")], metrics=[measured(told, "node-9", 1_000)])
    assert told.filter(waiting(), "node-9")[0] == []
    assert woken(told, SETTLED_SECONDS) is None
    told.tell(nodes=[loaded("node-9")], metrics=[measured(told, "node-9", 1_000)])
    opted_in["d"] = False
    assert woken(told, SETTLED_SECONDS) is not None
