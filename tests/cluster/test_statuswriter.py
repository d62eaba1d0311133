"""Statuses are written by one replica, and only what changed."""

import contextlib
import threading
import time

import pytest

from tests.cluster.conftest import watched
from tests.kube.fakeapi import CLASSES, PROFILES
from tests.waiting import until
from webhook.cluster.statuswriter import StatusWriter
from webhook.kube.lease import Lease

LEASES = "/apis/coordination.k8s.io/v1/namespaces/home/leases"


@contextlib.contextmanager
def writing(fake, source, identity="me"):
    """A writer at work."""
    fake.objects.setdefault(LEASES, {})
    api = fake.api()
    writer = StatusWriter(api, source, Lease(api, "home", "l", identity=identity), {})
    stop = threading.Event()
    thread = threading.Thread(target=writer.watch, args=(stop, 0.02))
    thread.start()
    try:
        yield writer
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def conditions(fake, name):
    """Status by type."""
    status = fake.objects[PROFILES]["", name].get("status", {})
    return {c["type"]: c["status"] for c in status.get("conditions", ())}


def patches(fake):
    """How many statuses were written."""
    return sum(n for (method, _), n in fake.requests.items() if method == "PATCH")


def test_statuses_are_written_once_and_again_when_they_change(fake):
    """A written status is no reason to write another."""
    fake.put(CLASSES, "koord-batch", value=5000)
    fake.put(PROFILES, "a", spec={"qosClass": "BE", "priorityClassName": "koord-batch"})
    fake.put(PROFILES, "b", spec={"priorityClassName": "nope"})
    with watched(fake) as source, writing(fake, source):
        until(lambda: conditions(fake, "a") == {"Ready": "True", "Conflicting": "True"})
        until(lambda: conditions(fake, "b") == {"Ready": "False", "Conflicting": "True"})
        assert "which wins" in fake.objects[PROFILES]["", "a"]["status"]["conditions"][1]["message"]
        time.sleep(0.3)
        assert patches(fake) == 2
        fake.put(CLASSES, "nope", value=1)
        until(lambda: conditions(fake, "b")["Ready"] == "True")
        fake.put(PROFILES, "b", spec={"priorityClassName": "koord-batch"})
        until(lambda: conditions(fake, "a")["Conflicting"] == "False")
        status = until(lambda: fake.objects[PROFILES]["", "b"].get("status"))
        assert status["observedGeneration"] == fake.objects[PROFILES]["", "b"]["metadata"]["generation"]
    assert fake.objects[LEASES]["", "l"]["spec"]["holderIdentity"] == "", "the lease is given back"


def test_an_answer_does_not_take_back_what_the_watch_told_since(fake):
    """A profile that changes while its status is written is applied as it is now."""
    fake.put(PROFILES, "a", spec={"qosClass": "BE"})
    with watched(fake) as source:

        def spec():
            return source.cache.watched()["a"].spec[0]

        def changed_meanwhile():
            fake.put(PROFILES, "a", spec={"qosClass": "LS"})
            until(lambda: spec() == {"qosClass": "LS"})

        fake.late["PATCH", f"{PROFILES}/a/status"] = changed_meanwhile
        with writing(fake, source):
            until(lambda: patches(fake) == 2)
        assert spec() == {"qosClass": "LS"}
        assert fake.objects[PROFILES]["", "a"]["status"]["observedGeneration"] == 2


def test_two_replicas_write_each_status_once(fake):
    """The one without the lease writes nothing, and takes over when it is given back."""
    fake.put(PROFILES, "a", spec={"qosClass": "BE"})
    with watched(fake) as source:
        with writing(fake, source, "first"):
            until(lambda: patches(fake) == 1)
            with writing(fake, source, "second"):
                time.sleep(0.2)
                assert patches(fake) == 1
        assert patches(fake) == 1


def test_a_definition_that_keeps_no_status_is_said_once(fake, caplog):
    """No endless writing where Koordinator's CustomResourceDefinition prunes the conditions."""
    fake.keeps_status = False
    fake.put(PROFILES, "a", spec={"qosClass": "BE"})
    with watched(fake) as source, writing(fake, source):
        until(lambda: "are not kept" in caplog.text)
        time.sleep(0.2)
        assert patches(fake) == 1


@pytest.mark.parametrize("status", [404, 409])
def test_a_profile_that_went_or_changed_meanwhile_is_no_error(fake, status, caplog):
    """The watch will tell."""
    fake.put(PROFILES, "a", spec={"qosClass": "BE"})
    fake.put(PROFILES, "b", spec={"qosClass": "BE"})
    fake.failures["PATCH", f"{PROFILES}/a/status"] = [(status, {})]
    with watched(fake) as source, writing(fake, source):
        until(lambda: conditions(fake, "b"))
    assert "statuses of profiles" not in caplog.text


def test_a_refusal_is_logged_and_not_repeated_at_once(fake, caplog):
    """A missing permission is named; the next try is a minute later."""
    fake.objects.setdefault(LEASES, {})
    fake.failures["POST", LEASES] = [(403, {"message": "leases is forbidden"})] * 99
    fake.put(PROFILES, "a", spec={"qosClass": "BE"})
    with watched(fake) as source, writing(fake, source):
        until(lambda: "leases is forbidden" in caplog.text)
        time.sleep(0.2)
        assert fake.requests["POST", LEASES] == 1
