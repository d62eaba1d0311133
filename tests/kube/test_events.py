"""Events: told once, counted when they come again, never in the way."""

import re
import types

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhook.kube.client import ApiError
from webhook.kube.events import AGAIN_SECONDS, PER_SECOND, WARNING, Event, EventRecorder

TOLD = Event("d", "p", "u", WARNING, "CPUSetDenied", "no room")

EVENTS = "/api/v1/events"


@pytest.fixture(scope="module")
def recorder_of_nothing():
    """A recorder that makes no call."""
    return EventRecorder(None, "colocation-webhook")


@pytest.fixture
def recorder(fake):
    """A recorder on a clock that is set by hand."""
    fake.objects[EVENTS] = {}
    clock = types.SimpleNamespace(seconds=0.0)
    made = EventRecorder(fake.api(), "colocation-webhook", clock=lambda: clock.seconds)
    return types.SimpleNamespace(fake=fake, clock=clock, events=made)


def test_an_event_is_about_its_pod(recorder):
    """Type, reason, message, and whom it concerns."""
    assert recorder.events._write(TOLD)
    (event,) = recorder.fake.objects[EVENTS].values()
    concerned = {"apiVersion": "v1", "kind": "Pod", "namespace": "d", "name": "p", "uid": "u"}
    assert event["involvedObject"] == concerned
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "CPUSetDenied", "no room")
    assert event["count"] == 1


def test_the_same_again_is_counted_and_told_now_and_then(recorder):
    """Not more often than once a minute, by one object."""
    for _ in range(5):
        recorder.events._write(TOLD)
    assert sum(recorder.fake.requests.values()) == 1
    recorder.clock.seconds += AGAIN_SECONDS + 1
    recorder.events._write(TOLD)
    (event,) = recorder.fake.objects[EVENTS].values()
    assert event["count"] == 6
    # An Event that has expired is made anew.
    recorder.fake.objects[EVENTS].clear()
    recorder.clock.seconds += AGAIN_SECONDS + 1
    recorder.events._write(TOLD)
    assert len(recorder.fake.objects[EVENTS]) == 1


DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@given(st.from_regex(DNS_SUBDOMAIN, fullmatch=True).filter(lambda name: len(name) <= 253) | st.builds(
    lambda first, middle, last: first * "a" + middle + last * "b",
    st.integers(150, 205), st.sampled_from([".", "-", "---", "-a-", ".a."]),
    st.integers(1, 45),
))  # fmt: skip
@example("a" * 199 + "-" + "b" * 20)
@example("a" * 190 + "-" * 20 + "b" * 20)
@example("a.b" * 70)
def test_the_name_of_an_event_is_valid_for_every_pod(recorder_of_nothing, name):
    """Pods have names of up to 253 characters; where the cut is, no '-' or '.' is left."""
    made = recorder_of_nothing._body(TOLD._replace(name=name), "2026")
    assert DNS_SUBDOMAIN.fullmatch(made["metadata"]["name"])
    assert len(made["metadata"]["name"]) <= 253
    assert made["involvedObject"]["name"] == name


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422])
def test_an_event_that_is_refused_costs_no_other_event_anything(recorder, status):
    """The next one is written in its turn."""
    recorder.fake.failures["POST", "/api/v1/namespaces/d/events"] = [(status, {"message": "no"})]
    for name in ("p", "q"):
        recorder.events.record(TOLD._replace(name=name))
        assert recorder.events._step(0.0) == 1 / PER_SECOND
    assert [each["involvedObject"]["name"] for each in recorder.fake.objects[EVENTS].values()] == ["q"]


def test_a_flood_is_dropped(recorder):
    """Whoever tells never waits."""
    for number in range(3000):
        recorder.events.record(TOLD._replace(message=str(number)))
    assert recorder.events._waiting.full()


def test_a_message_may_be_long(recorder):
    """It is cut to what the API server takes, in bytes."""
    recorder.events._write(TOLD._replace(message="é" * 2000, name="p" * 253))
    (event,) = recorder.fake.objects[EVENTS].values()
    assert len(event["message"].encode()) <= 1024
    assert len(event["metadata"]["name"]) <= 253


def test_a_failure_is_an_error_of_the_writer_alone(recorder):
    """The loop goes on with the next one."""
    recorder.fake.failures["POST", "/api/v1/namespaces/d/events"] = [(500, {"message": "no"})]
    with pytest.raises(ApiError):
        recorder.events._write(TOLD)
    assert recorder.events._write(TOLD)
