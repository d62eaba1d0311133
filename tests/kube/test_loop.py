"""A task's loop outlives every failure, and leads only while it holds the Lease."""

import threading

import pytest

from tests.waiting import Stop
from webhook.kube.client import ApiError
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop

LEASES = "/apis/coordination.k8s.io/v1/namespaces/home/leases"


def raising(*errors):
    """A step that fails in these ways, and then succeeds."""
    left = list(errors)

    def step():
        if left:
            raise left.pop(0)

    return step


@pytest.mark.parametrize(
    ("error", "least", "logged"),
    [
        (ApiError("no answer"), 0.125, "task: no answer"),
        (ApiError("slow down", status=429, retry_after=7.0), 7.0, "task: slow down"),
        (ApiError("leases is forbidden", status=403), 30.0, "task: leases is forbidden"),
        (ZeroDivisionError(), 30.0, "ZeroDivisionError"),
    ],
)
def test_after_a_failure_it_waits_and_goes_on(error, least, logged, caplog):
    """As long as the server asks, longer for a missing permission and for a fault of ours."""
    stop = Stop(after=2)
    run_loop(raising(error), stop, name="task", interval=0.5)
    assert stop.waits[0] >= least
    assert stop.waits[1] == 0.5
    assert logged in caplog.text


def test_failures_can_be_taken_by_the_task(caplog):
    """Its own status then says what is wrong."""
    seen = []
    run_loop(raising(ApiError("away")), Stop(after=1), name="task", failed=seen.append)
    assert [str(error) for error in seen] == ["away"]
    assert not caplog.records


def test_a_step_says_when_the_next_is_due_and_news_come_before():
    """The wait ends early where ``wake`` is set."""
    stop = Stop(after=1)
    run_loop(lambda: 9.0, stop, name="task")
    assert stop.waits == [9.0]
    steps, stop, wake = [], threading.Event(), threading.Event()

    def step():
        steps.append(1)
        wake.set()
        if len(steps) == 3:
            stop.set()
        return 3600.0

    run_loop(step, stop, name="task", wake=wake)
    assert len(steps) == 3


def test_one_replica_leads_and_gives_the_lease_back(fake, caplog):
    """It says so once, renews when that is due, and releases at the end."""
    caplog.set_level("INFO")
    fake.objects.setdefault(LEASES, {})
    seconds = [0.0]
    first, second = (
        Lease(fake.api(), "home", "l", identity=name, clock=lambda: seconds[0]) for name in ("a", "b")
    )
    for _ in range(3):
        assert (first.elected(), second.elected()) == (True, False)
    assert fake.requests["PUT", f"{LEASES}/l"] == 0, "it is not due yet"
    seconds[0] += 11
    assert first.elected()
    assert fake.requests["PUT", f"{LEASES}/l"] == 1
    assert caplog.text.count("holds Lease home/l from now on") == 1
    run_loop(lambda: None, Stop(after=1), name="task", lease=first)
    assert fake.objects[LEASES]["", "l"]["spec"]["holderIdentity"] == ""
