"""The keeper brings the Secret and the configurations to where they should be, whatever happens meanwhile."""

import base64
import contextlib
import copy
import logging
import threading

import pytest

from tests.certificates.conftest import KEY, MUTATING, SECRETS, VALIDATING, hook
from tests.cluster.conftest import until
from webhook.certificates.checking import check_issued_by
from webhook.cluster.api import ApiError


def settle(*keepers, looks=8):
    """Look in turn until nothing is left to do."""
    for _ in range(looks):
        for keeper in keepers:
            keeper.look()


def test_two_that_begin_together_agree(cluster):
    """One makes the Secret, the other takes it; both serve one leaf that all webhooks trust."""
    first, second = cluster.keeper(), cluster.keeper()
    assert first.read() is None
    settle(first, second)
    assert first.read() == second.read()
    assert len(set(cluster.bundles())) == 1
    check_issued_by(first.read().chain, cluster.bundles()[0])
    assert first.trusted
    assert second.trusted
    assert sum(k.writes["secret"] for k in (first, second)) == 1
    assert sum(k.writes["configuration"] for k in (first, second)) == 2
    assert set(first.ends) == {"leaf", "ca"}


def test_who_comes_second_takes_what_is_there(cluster):
    """Between the look and the write another one has made the Secret: the write is refused, and forgotten."""
    late = cluster.keeper()
    cluster.failures["POST", SECRETS] = [(409, {"reason": "AlreadyExists"})]
    assert late.look() == 0.0
    assert cluster.secret is None
    settle(cluster.keeper())
    cluster.failures["PUT", f"{SECRETS}/kept"] = [(409, {"reason": "Conflict"})]
    cluster.annotate("leaf")
    settle(late)
    assert late.trusted
    assert late.writes["secret"] == 1


def test_nothing_is_served_before_it_is_in_the_secret(cluster):
    """A pair that was made but not stored is nobody's; the signing key is known before the pair is."""
    keeper = cluster.keeper()
    keys = []
    keeper.on_signing_key = lambda key: keys.append((key, keeper.read()))
    keeper.look()
    assert keeper.read() is None
    assert not keeper.trusted
    keeper.look()
    assert keeper.read() is not None
    assert not keeper.trusted
    settle(keeper)
    stored = base64.b64decode(cluster.secret["data"]["signing.key"])
    assert keys == [(stored, None)]
    cluster.annotate("ca")
    settle(keeper)
    cluster.seconds += 100
    settle(keeper)
    assert len(keys) == 1


def test_a_configuration_that_is_not_there_keeps_nobody_waiting(cluster):
    """It sends nobody here; it is filled in when it comes."""
    del cluster.objects[VALIDATING]["", "ours"]
    keeper = cluster.keeper()
    settle(keeper)
    assert keeper.trusted
    cluster.configure()
    settle(keeper)
    assert len(set(cluster.bundles())) == 1


def test_only_what_is_ours_is_touched(cluster):
    """Webhooks of others in the same configuration stay as they are, and all else of it."""
    others = [hook("x", service={"name": "hook", "namespace": "other"}), hook("y", url="https://elsewhere/")]
    theirs = base64.b64encode(b"theirs").decode()
    others.append(hook("z", url="https://elsewhere/", caBundle=theirs))
    cluster.put(MUTATING, "ours", webhooks=[*others, hook("a")], metadata={"labels": {"a": "b"}})
    before = copy.deepcopy(cluster.objects[MUTATING]["", "ours"])
    settle(cluster.keeper())
    after = cluster.objects[MUTATING]["", "ours"]
    ours = after["webhooks"][3]["clientConfig"].pop("caBundle")
    assert base64.b64decode(ours).startswith(b"-----BEGIN")
    before["metadata"].pop("resourceVersion")
    after["metadata"].pop("resourceVersion")
    assert after == before


def test_a_list_that_was_reordered_meanwhile_is_not_hit(cluster, monkeypatch):
    """The patch is refused and made anew; the webhook that took the other's place is not given our CA."""
    keeper = cluster.keeper()
    keeper.look()
    read = keeper._read_configurations
    stranger = hook("x", url="https://elsewhere/")

    def overtaken():
        found = copy.deepcopy(read())
        cluster.put(MUTATING, "ours", webhooks=[stranger, hook("a")])
        return found

    monkeypatch.setattr(keeper, "_read_configurations", overtaken)
    assert keeper.look() == 0.0
    assert "caBundle" not in str(cluster.objects[MUTATING]["", "ours"])
    monkeypatch.undo()
    settle(keeper)
    assert "caBundle" not in str(cluster.objects[MUTATING]["", "ours"]["webhooks"][0])
    assert keeper.trusted


@pytest.mark.parametrize("harm", ["delete", "empty", "half"])
def test_the_secret_is_restored_from_memory(cluster, harm):
    """The very same; a replica that has just begun waits for one that knows."""
    keeper, young = cluster.keeper(), cluster.keeper()
    settle(keeper)
    before = copy.deepcopy(cluster.secret["data"])
    pair = keeper.read()
    if harm == "delete":
        cluster.delete(SECRETS, "kept")
    else:
        secret = cluster.secret
        secret["data"] = {} if harm == "empty" else {**secret["data"], "tls.key": "aGFsZg=="}
        cluster.store(SECRETS, KEY, secret)
    writes = keeper.writes["secret"]
    assert 0 < young.look() <= 10
    settle(keeper)
    assert cluster.secret["data"] == before
    assert keeper.read() == pair
    assert keeper.writes["secret"] == writes + 1
    settle(young)
    assert young.read() == pair
    assert young.writes["secret"] == 0


def test_a_secret_that_nobody_knows_any_more_is_made_anew(cluster):
    """After some patience; what was published of the lost one goes."""
    settle(cluster.keeper())
    before = set(cluster.bundles())
    cluster.delete(SECRETS, "kept")
    young = cluster.keeper()
    assert young.look() == 10.0
    cluster.seconds += 4
    assert young.look() == 6.0
    cluster.seconds += 6
    settle(young)
    assert young.trusted
    assert set(cluster.bundles()).isdisjoint(before)


def test_another_replica_goes_on_with_a_rotation(cluster):
    """Whoever introduced the CA is gone: a second waits its time and switches; a third drops."""
    first = cluster.keeper()
    settle(first)
    before = cluster.bundles()[0]
    cluster.annotate("ca")
    first.look()
    del first
    second = cluster.keeper()
    settle(second)
    both = cluster.bundles()[0]
    assert both.count(b"BEGIN") == 2
    check_issued_by(second.read().chain, before)
    assert second.look() == 60.0
    cluster.seconds += 61
    settle(second)
    assert cluster.bundles()[0] == both
    new = base64.b64decode(cluster.secret["data"]["ca.crt"])
    check_issued_by(second.read().chain, new)
    third = cluster.keeper()
    settle(third)
    assert third.look() == 60.0  # the poll; 600 s are due
    cluster.seconds += 601
    settle(third)
    assert set(cluster.bundles()) == {new}


def test_a_change_of_a_configuration_begins_the_wait_anew(cluster):
    """An API server may have heard of something else in between."""
    keeper = cluster.keeper()
    settle(keeper)
    cluster.annotate("ca")
    settle(keeper)
    cluster.seconds += 59
    cluster.put(MUTATING, "ours", webhooks=cluster.objects[MUTATING]["", "ours"]["webhooks"])
    assert keeper.look() == 60.0
    cluster.seconds += 59
    assert keeper.look() == 1.0
    assert "next-ca.crt" in cluster.secret["data"]


def test_an_overwritten_bundle_is_put_back_and_readiness_stays(cluster):
    """Longer unreadiness would cost more than the moment the repair takes."""
    keeper = cluster.keeper()
    settle(keeper)
    right = cluster.bundles()
    for damage in (None, "", "!", base64.b64encode(b"another").decode()):
        webhooks = copy.deepcopy(cluster.objects[VALIDATING]["", "ours"]["webhooks"])
        webhooks[1]["clientConfig"]["caBundle"] = damage
        if damage is None:
            del webhooks[1]["clientConfig"]["caBundle"]
        cluster.put(VALIDATING, "ours", webhooks=webhooks)
        settle(keeper, looks=2)
        assert cluster.bundles() == right
        assert keeper.trusted


def test_a_wish_that_nobody_understands_is_said_once(cluster, caplog):
    """With the words that would do; nothing is rotated."""
    keeper = cluster.keeper()
    settle(keeper)
    pair = keeper.read()
    cluster.annotate("both")
    with caplog.at_level(logging.WARNING):
        settle(keeper)
    (record,) = caplog.records
    assert "annotation colocation-webhook.io/rotate: 'both' is not 'leaf' or 'ca'" in record.getMessage()
    assert keeper.read() == pair


@pytest.mark.parametrize("path", [f"{SECRETS}/kept", f"{MUTATING}/ours"])
def test_what_cannot_be_read_changes_nothing(cluster, path):
    """The old pair stays in service; a 403 is no missing object."""
    keeper = cluster.keeper()
    settle(keeper)
    pair, secret = keeper.read(), copy.deepcopy(cluster.secret)
    cluster.failures["GET", path] = [(403, {"message": "forbidden"}), (500, {"message": "down"})]
    for _ in range(2):
        with pytest.raises(ApiError):
            keeper.look()
    assert keeper.read() == pair
    assert cluster.secret == secret


@contextlib.contextmanager
def kept(keeper):
    """A keeper that runs in its thread."""
    stop = threading.Event()
    thread = threading.Thread(target=keeper.watch, args=(stop, 0.05))
    thread.start()
    try:
        yield keeper
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_changes_are_noticed_by_watching(cluster):
    """The Secret and each configuration, without waiting for the poll; nothing else is asked for."""
    with kept(cluster.keeper()) as keeper:
        until(lambda: keeper.trusted)
        until(lambda: len(cluster.watches) == 3)
        secret, right = copy.deepcopy(cluster.secret["data"]), cluster.bundles()
        cluster.delete(SECRETS, "kept")
        until(lambda: cluster.secret and cluster.secret["data"] == secret)
        cluster.configure()
        until(lambda: cluster.bundles() == right)
    listed = [query for path, query in cluster.queries if path in {SECRETS, MUTATING, VALIDATING} and query]
    assert {query["fieldSelector"] for query in listed} == {"metadata.name=kept", "metadata.name=ours"}


def test_a_failing_api_server_is_said_and_survived(cluster, hurry, caplog):
    """Once in the log, counted each time; all goes on when it is back."""
    del hurry
    cluster.failures["GET", f"{SECRETS}/kept"] = [(500, {"message": "down"})] * 3
    with caplog.at_level(logging.WARNING), kept(cluster.keeper()) as keeper:
        until(lambda: keeper.failures == 3)
        until(lambda: keeper.trusted)
        assert keeper.error is None
    told = [record for record in caplog.records if "not looked after" in record.getMessage()]
    assert len(told) == 1


def test_a_fault_of_ours_does_not_end_the_loop(cluster, monkeypatch):
    """It is noted, and looked at again."""
    keeper = cluster.keeper()
    monkeypatch.setattr("webhook.certificates.keeper._LONG_SECONDS", 0.05)
    look, faults = keeper.look, [ZeroDivisionError()]

    def faulty():
        if faults:
            raise faults.pop()
        return look()

    monkeypatch.setattr(keeper, "look", faulty)
    with kept(keeper):
        until(lambda: keeper.trusted)
    assert keeper.failures == 1
