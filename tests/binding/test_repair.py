"""Bound pods whose annotation and ledger entry differ are repaired."""

import pytest

from tests.binding.builders import (
    STATUS,
    Replica,
    annotation,
    bind,
    held,
    known,
    pod,
    ready,
    recorded,
    settle,
    store,
)
from webhook.kube.paths import PODS


def test_a_pod_bound_without_a_set_gets_one(fake, replica):
    """The webhook was away: ledger first, then the annotation, and an Event."""
    bind(replica, pod("before"))
    store(fake, PODS, pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert held(fake) == {"before": "0,8", "p": "1,9"}
    assert annotation(fake) == "1,9"
    assert recorded(replica) == [("CPUSetRepaired", "got CPUs 1,9 of node-1 after it was bound")]


def test_an_answer_that_came_too_late_is_carried_out(fake, replica):
    """The ledger has the entry, the pod was bound without: it gets the set that it was given."""
    made = store(fake, PODS, pod())
    replica.hear()
    replica.cpuset(made)
    fake.store(PODS, ("d", "p"), pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "0,8"}, "0,8")


@pytest.mark.parametrize("cpuset", [None, "0,8", "7"])
def test_a_static_pod_gets_and_holds_nothing(fake, replica, cpuset):
    """What is written to its mirror does not reach it; an entry of before goes, and the CPUs are free."""
    bind(replica, pod("static"))
    assert held(fake) == {"static": "0,8"}
    mirror = {"kubernetes.io/config.mirror": "abc"}
    store(fake, PODS, pod("static", node="node-1", cpuset=cpuset, annotations=mirror))
    replica.hear()
    settle(replica)
    assert (held(fake), annotation(fake, "static")) == ({}, cpuset)
    assert recorded(replica) == []
    assert replica.cpuset(known(replica, pod())) == "0,8"


def test_a_set_of_more_cpus_than_the_pod_may_hold_is_put_right(fake, replica):
    """In a namespace that opted in; the first CPUs of it are the pod's."""
    bind(replica, pod(), cpuset="1-9")
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "1-2"}, "1-2")


def test_elsewhere_it_is_said_what_such_a_pod_holds(fake):
    """By the condition: the annotation is its author's."""
    replica = Replica(fake, opted_in=lambda _: False)
    store(fake, PODS, pod(node="node-1", cpuset="1-9"))
    replica.hear()
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "1-2"}, "1-9")
    said = "d/p: its annotation names 9 CPUs, its request and limit come to 2: no more are held"
    assert ready(fake) == ("False", "Unrepaired", said)
    replica.endpoint.close()


def test_other_namespaces_are_left_alone(fake):
    """A pod without a set, bound where nobody opted in, stays as it is; a set it has is entered."""
    replica = Replica(fake, opted_in=lambda _: False)
    store(fake, PODS, pod(node="node-1"))
    store(fake, PODS, pod("foreign", node="node-1", cpuset="3,11"))
    replica.hear()
    settle(replica)
    assert annotation(fake) is None
    assert held(fake) == {"foreign": "3,11"}


def test_a_set_that_two_hold_is_taken_from_the_later(fake, replica):
    """Somebody gave CPUs that were given: in a namespace that opted in the later pod gets others."""
    bind(replica, pod())
    replica.clock.seconds += 5
    bind(replica, pod("late"), cpuset="0,8")
    settle(replica, 4)
    assert held(fake) == {"late": "1,9", "p": "0,8"}
    assert (annotation(fake), annotation(fake, "late")) == ("0,8", "1,9")
    assert ready(fake)[:2] == ("True", "Consistent")


def test_what_cannot_be_repaired_is_said(fake):
    """Held twice where nobody opted in: an Event on the pod, a condition on the ledger, and both stay."""
    replica = Replica(fake, opted_in=lambda _: False)
    bind(replica, pod(), cpuset="0,8")
    settle(replica)
    bind(replica, pod("late"), cpuset="0,9")
    settle(replica)
    assert held(fake) == {"late": "0,9", "p": "0,8"}
    status, reason, message = ready(fake)
    assert (status, reason) == ("False", "HeldTwice")
    assert "both hold 0" in message
    assert recorded(replica) == [("CPUSetMissing", "its CPUs 0 are held by d/p, too")]


def test_a_pod_that_finds_no_room_is_told_and_tried_again(fake, replica):
    """Bound while the webhook was away, onto a node that is full."""
    bind(replica, pod("large", cpu="15"), cpuset="0-14")
    store(fake, PODS, pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert annotation(fake) is None
    assert ready(fake) == (
        "False", "Unrepaired", "d/p: needs 2 CPUs; node-1 has 1 free (0 and 1 on its NUMA nodes)",
    )  # fmt: skip
    fake.delete(PODS, "large", "d")
    replica.hear()
    replica.clock.seconds += 30
    settle(replica, 4)
    assert annotation(fake) is not None
    assert ready(fake)[:2] == ("True", "Consistent")


def test_an_annotation_that_cannot_be_read_is_replaced(fake, replica):
    """In a namespace that opted in."""
    store(fake, PODS, pod(node="node-1", annotations={STATUS: "{"}))
    replica.hear()
    settle(replica)
    assert annotation(fake) == "0,8"
