"""Events: told once, counted when they come again, never in the way."""

import pytest

from tests.binding.builders import EVENTS
from webhook.binding.events import AGAIN_SECONDS, WARNING, Told
from webhook.cluster.api import ApiError

TOLD = Told("d", "p", "u", WARNING, "CPUSetDenied", "no room")


def test_an_event_is_about_its_pod(replica):
    """Type, reason, message, and whom it concerns."""
    assert replica.events._write(TOLD)
    (event,) = replica.fake.objects[EVENTS].values()
    concerned = {"apiVersion": "v1", "kind": "Pod", "namespace": "d", "name": "p", "uid": "u"}
    assert event["involvedObject"] == concerned
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "CPUSetDenied", "no room")
    assert event["count"] == 1


def test_the_same_again_is_counted_and_told_now_and_then(replica):
    """Not more often than once a minute, by one object."""
    for _ in range(5):
        replica.events._write(TOLD)
    assert sum(replica.fake.requests.values()) == 1
    replica.clock.seconds += AGAIN_SECONDS + 1
    replica.events._write(TOLD)
    (event,) = replica.fake.objects[EVENTS].values()
    assert event["count"] == 6
    # An Event that has expired is made anew.
    replica.fake.objects[EVENTS].clear()
    replica.clock.seconds += AGAIN_SECONDS + 1
    replica.events._write(TOLD)
    assert len(replica.fake.objects[EVENTS]) == 1


def test_a_flood_is_dropped(replica):
    """Whoever tells never waits."""
    for number in range(3000):
        replica.events.tell(TOLD._replace(message=str(number)))
    assert replica.events._waiting.full()


def test_a_message_may_be_long(replica):
    """It is cut to what the API server takes, in bytes."""
    replica.events._write(TOLD._replace(message="é" * 2000, name="p" * 253))
    (event,) = replica.fake.objects[EVENTS].values()
    assert len(event["message"].encode()) <= 1024
    assert len(event["metadata"]["name"]) <= 253


def test_a_failure_is_an_error_of_the_writer_alone(replica):
    """The loop goes on with the next one."""
    replica.fake.failures["POST", "/api/v1/namespaces/d/events"] = [(500, {"message": "no"})]
    with pytest.raises(ApiError):
        replica.events._write(TOLD)
    assert replica.events._write(TOLD)
