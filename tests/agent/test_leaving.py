"""What becomes of what was written, when an agent is told to end."""

import pytest

from tests.kube.fakeapi import FakeApi
from webhook.agent.leaving import RemovalError, remove, why_leaving
from webhook.kube.access import Access
from webhook.kube.client import Client

DAEMONSETS = "/apis/apps/v1/daemonsets"
AGENTS = ("colocation", "agents")
PATH = "/apis/apps/v1/namespaces/colocation/daemonsets/agents"


@pytest.fixture
def api():
    """An API server with the agents' DaemonSet."""
    with FakeApi() as fake:
        put(fake)
        yield fake


def put(api, mode="enforce", **metadata):
    """Store the DaemonSet."""
    annotations = {} if mode is None else {"colocation-webhook.io/agent": mode}
    api.put(DAEMONSETS, "agents", "colocation", metadata={"annotations": annotations, **metadata})


@pytest.mark.parametrize(
    ("mode", "metadata", "why"),
    [
        ("enforce", {}, ""),
        (None, {}, ""),
        ("anything", {}, ""),
        ("observe", {}, "has the mode observe"),
        (
            "enforce",
            {"deletionTimestamp": "2026-01-31T08:00:00Z"},
            "is being deleted",
        ),
    ],
)
def test_what_the_daemonset_says(api, mode, metadata, why):
    """Deleted, or told to observe: nobody will go on; with anything else the next agent will."""
    put(api, mode, **metadata)
    assert why_leaving(api.api(), AGENTS) == (f"DaemonSet colocation/agents {why}" if why else "")


def test_a_daemonset_that_is_gone(api):
    """As after a deletion that does not wait for the pods."""
    api.delete(DAEMONSETS, "agents", "colocation")
    assert why_leaving(api.api(), AGENTS) == "DaemonSet colocation/agents is gone"


@pytest.mark.parametrize("status", [401, 403, 410, 429, 500, 503])
def test_an_answer_that_says_nothing(api, status):
    """No right any more, or an API server with trouble: all stays as it is."""
    api.failures["GET", PATH] = [(status, {"kind": "Status", "code": status})] * 3
    assert why_leaving(api.api(), AGENTS) == ""


def test_no_answer():
    """Nobody listens."""
    with FakeApi() as api:
        client = Client(Access(server=f"http://127.0.0.1:{api.port}"))
    assert why_leaving(client, AGENTS) == ""


class Time:
    """Time that passes only by waiting; ``then`` is what happens in the second wait."""

    def __init__(self, then=lambda: None):
        self.now, self.waits, self.then = 0.0, 0, then

    def clock(self):
        """Seconds."""
        return self.now

    def sleep(self, seconds):
        """Wait."""
        self.now += seconds
        self.waits += 1
        if self.waits == 2:
            self.then()


def removing(api, time, seconds=60):
    """Remove the agents."""
    remove(api.api(), AGENTS, seconds, clock=time.clock, sleep=time.sleep)


def in_the_foreground(api):
    """The DaemonSet stays, marked, until its pods are gone."""
    put(api, deletionTimestamp="2026-01-31T08:00:00Z")
    api.failures["DELETE", PATH] = [(200, {"kind": "DaemonSet"})]


def test_agents_are_removed_when_the_last_has_ended(api):
    """The DaemonSet goes after its pods: that is waited for; a call that fails meanwhile costs nothing."""
    in_the_foreground(api)
    api.failures["GET", PATH] = [(500, {"kind": "Status"})]
    time = Time(lambda: api.delete(DAEMONSETS, "agents", "colocation"))
    removing(api, time)
    assert time.waits == 2
    assert api.requests["DELETE", PATH] == 1


def test_another_daemonset_of_that_name_is_not_waited_for(api):
    """Somebody has made it again."""
    in_the_foreground(api)
    time = Time(lambda: put(api))
    removing(api, time)
    assert time.waits == 2


def test_agents_that_do_not_end_are_named(api):
    """With the command that shows on which nodes they are."""
    in_the_foreground(api)
    with pytest.raises(RemovalError, match="kubectl -n colocation get pods -o wide"):
        removing(api, Time())


def test_there_are_no_agents(api):
    """Fine; and whoever may not delete them is told so."""
    api.failures["DELETE", PATH] = [(403, {"kind": "Status", "message": "you may not"})]
    with pytest.raises(RemovalError, match="you may not"):
        removing(api, Time())
    api.delete(DAEMONSETS, "agents", "colocation")
    removing(api, Time())
