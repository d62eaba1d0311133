"""A replica with an old view gives way to one with a fresh view, and to nobody else."""

import logging

import pytest

from tests.waiting import Stop
from webhook.cluster.source import SourceStatus
from webhook.kube.cache.reflector import KindStatus
from webhook.server.freshness import ASK_AGAIN_SECONDS, Freshness

KINDS = ("namespaces", "profiles")


class Replica:
    """A clock, what is watched, and a peer that can be asked."""

    def __init__(self, limit=180.0):
        self.now = 1000.0
        self.kinds = {name: KindStatus(synced=True, contact_at=1000.0) for name in KINDS}
        self.peer = None
        self.asked = 0
        self.freshness = Freshness(
            self, limit, find_peer=self.find, clock=lambda: self.now, timer=lambda: self.now
        )

    @property
    def status(self):
        """What a source says of itself."""
        return SourceStatus(kinds=self.kinds)

    def find(self):
        """Return the peer and count."""
        self.asked += 1
        return self.peer

    def later(self, seconds, *heard):
        """Let time pass; some kinds are heard of at its end."""
        self.now += seconds
        for name in heard:
            self.kinds[name] = KindStatus(synced=True, contact_at=self.now)
        self.freshness.look()


def test_one_kind_that_is_not_heard_of_counts_however_well_the_others_do():
    """The others' contacts do not hide it; its age is told."""
    replica = Replica()
    replica.later(170, "profiles")
    assert replica.freshness.stale == {}
    replica.later(20, "profiles")
    assert replica.freshness.stale == {"namespaces": 190.0}
    replica.later(1, *KINDS)
    assert replica.freshness.stale == {}


def test_it_gives_way_only_while_another_can_serve():
    """An old view is served without a fresh peer, and not with one; a fresh view of its own always is."""
    replica = Replica()
    replica.later(200)
    assert not replica.freshness.yields
    replica.peer = "10.0.0.2:8081"
    replica.later(ASK_AGAIN_SECONDS)
    assert replica.freshness.yields
    replica.peer = None
    replica.later(ASK_AGAIN_SECONDS)
    assert not replica.freshness.yields
    replica.peer = "10.0.0.2:8081"
    replica.later(ASK_AGAIN_SECONDS)
    assert replica.freshness.yields
    # Heard of the API server: ready at once, before the next look.
    replica.kinds = {name: KindStatus(synced=True, contact_at=replica.now) for name in KINDS}
    assert not replica.freshness.yields


def test_peers_are_left_alone_while_the_view_is_fresh_and_not_asked_all_the_time():
    """A fresh replica asks nobody; an old one every five seconds."""
    replica = Replica()
    for _ in range(100):
        replica.later(1)
    assert replica.asked == 0
    replica.later(100)
    for _ in range(10):
        replica.later(1)
    assert replica.asked == 3


def test_what_is_not_synced_or_not_watched_is_not_old():
    """A kind that was never read makes a replica unready by itself; files have no age."""
    replica = Replica()
    replica.kinds = {"namespaces": KindStatus()}
    replica.later(1000)
    assert replica.freshness.stale == {}
    replica.kinds = {}
    replica.later(1000)
    assert not replica.freshness.yields


def test_each_change_is_said_once(caplog):
    """Old, not ready, ready with an old view, fresh: one line each."""
    caplog.set_level(logging.INFO)
    replica = Replica()
    replica.later(200)
    replica.later(1)
    replica.peer = "10.0.0.2:8081"
    replica.later(ASK_AGAIN_SECONDS)
    replica.later(ASK_AGAIN_SECONDS)
    replica.peer = None
    replica.later(ASK_AGAIN_SECONDS)
    replica.later(1, *KINDS)
    replica.later(1, *KINDS)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert "namespaces for 200 s, profiles for 200 s (--max-view-age 180)" in said[0]
    assert said[1:] == [
        "not ready, because 10.0.0.2:8081 is, with a fresh view",
        "ready with an old view, because no other replica has a fresh one",
        "the view is fresh again",
    ]


def test_the_watch_outlives_a_fault_of_ours(caplog):
    """It is logged, and the next look is made."""
    replica = Replica()

    replica.now += 200
    replica.freshness._warned = None
    replica.freshness.watch(Stop(after=2), 1)
    assert caplog.text.count("checking the age of the view: internal error") == 2


@pytest.mark.parametrize("limit", [1.0, 180.0, 3600.0])
def test_the_limit_is_the_setting(limit):
    """One second less is fresh, one more is old."""
    replica = Replica(limit)
    replica.later(limit)
    assert not replica.freshness.stale
    replica.later(0.1)
    assert set(replica.freshness.stale) == set(KINDS)
