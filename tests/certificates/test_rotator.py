"""The rotator brings the Secret and the configurations to their desired state, whatever happens."""

import base64
import contextlib
import copy
import datetime as dt
import email.utils
import logging
import threading

import pytest
from cryptography import x509

from tests.certificates.conftest import KEY, MUTATING, NAME, NOW, SECRETS, VALIDATING, hook
from tests.waiting import until
from webhook.certificates.verifying import check_issued_by
from webhook.kube.client import ApiError


def settle(*rotators, rounds=8):
    """Look in turn until nothing is left to do."""
    for _ in range(rounds):
        for rotator in rotators:
            rotator.reconcile()


def test_two_that_begin_together_agree(cluster):
    """One makes the Secret, the other takes it; both serve one leaf that all webhooks trust."""
    first, second = cluster.rotator(), cluster.rotator()
    assert first.read() is None
    settle(first, second)
    assert first.read() == second.read()
    assert len(set(cluster.bundles())) == 1
    check_issued_by(first.read().chain, cluster.bundles()[0])
    assert first.trusted
    assert second.trusted
    assert sum(k.writes["secret"] for k in (first, second)) == 1
    assert sum(k.writes["configuration"] for k in (first, second)) == 2
    assert set(first.ends()) == {"leaf", "ca"}


def test_who_comes_second_takes_what_is_there(cluster):
    """Between the look and the write another one has made the Secret: the write is refused, and forgotten."""
    late = cluster.rotator()
    cluster.failures["POST", SECRETS] = [(409, {"reason": "AlreadyExists"})]
    assert late.reconcile() == 0.0
    assert cluster.secret is None
    settle(cluster.rotator())
    cluster.failures["PUT", f"{SECRETS}/kept"] = [(409, {"reason": "Conflict"})]
    cluster.annotate("leaf")
    settle(late)
    assert late.trusted
    assert late.writes["secret"] == 1


def test_nothing_is_served_before_it_is_in_the_secret(cluster):
    """A pair that was made but not stored is nobody's; the signing key is known before the pair is."""
    keys = []
    rotator = cluster.rotator(on_signing_key=lambda key: keys.append((key, rotator.read())))
    rotator.reconcile()
    assert rotator.read() is None
    assert not rotator.trusted
    rotator.reconcile()
    assert rotator.read() is not None
    assert not rotator.trusted
    settle(rotator)
    stored = base64.b64decode(cluster.secret["data"]["signing.key"])
    assert keys == [(stored, None)]
    cluster.annotate("ca")
    settle(rotator)
    cluster.seconds += 100
    settle(rotator)
    assert len(keys) == 1


def test_a_configuration_that_is_not_there_keeps_nobody_waiting(cluster):
    """It sends nobody here; it is filled in when it comes."""
    del cluster.objects[VALIDATING]["", "ours"]
    rotator = cluster.rotator()
    settle(rotator)
    assert rotator.trusted
    cluster.configure()
    settle(rotator)
    assert len(set(cluster.bundles())) == 1


def test_only_what_is_ours_is_touched(cluster):
    """Webhooks of others in the same configuration stay as they are, and all else of it."""
    others = [hook("x", service={"name": "hook", "namespace": "other"}), hook("y", url="https://elsewhere/")]
    theirs = base64.b64encode(b"theirs").decode()
    others.append(hook("z", url="https://elsewhere/", caBundle=theirs))
    cluster.put(MUTATING, "ours", webhooks=[*others, hook("a")], metadata={"labels": {"a": "b"}})
    before = copy.deepcopy(cluster.objects[MUTATING]["", "ours"])
    settle(cluster.rotator())
    after = cluster.objects[MUTATING]["", "ours"]
    ours = after["webhooks"][3]["clientConfig"].pop("caBundle")
    assert base64.b64decode(ours).startswith(b"-----BEGIN")
    before["metadata"].pop("resourceVersion")
    after["metadata"].pop("resourceVersion")
    assert after == before


def test_a_list_that_was_reordered_meanwhile_is_not_hit(cluster, monkeypatch):
    """The patch is refused and made again; the webhook that took the other's place is not given our CA."""
    rotator = cluster.rotator()
    rotator.reconcile()
    read = rotator._read_configurations
    other = hook("x", url="https://elsewhere/")

    def overtaken():
        found = copy.deepcopy(read())
        cluster.put(MUTATING, "ours", webhooks=[other, hook("a")])
        return found

    monkeypatch.setattr(rotator, "_read_configurations", overtaken)
    assert rotator.reconcile() == 0.0
    assert "caBundle" not in str(cluster.objects[MUTATING]["", "ours"])
    monkeypatch.undo()
    settle(rotator)
    assert "caBundle" not in str(cluster.objects[MUTATING]["", "ours"]["webhooks"][0])
    assert rotator.trusted


@pytest.mark.parametrize("harm", ["delete", "empty", "half"])
def test_the_secret_is_restored_from_memory(cluster, harm):
    """The very same; a replica that has just begun waits for one that knows."""
    rotator, young = cluster.rotator(), cluster.rotator()
    settle(rotator)
    before = copy.deepcopy(cluster.secret["data"])
    pair = rotator.read()
    if harm == "delete":
        cluster.delete(SECRETS, "kept")
    else:
        secret = cluster.secret
        secret["data"] = {} if harm == "empty" else {**secret["data"], "tls.key": "aGFsZg=="}
        cluster.store(SECRETS, KEY, secret)
    writes = rotator.writes["secret"]
    assert 0 < young.reconcile() <= 10
    settle(rotator)
    assert cluster.secret["data"] == before
    assert rotator.read() == pair
    assert rotator.writes["secret"] == writes + 1
    settle(young)
    assert young.read() == pair
    assert young.writes["secret"] == 0


def test_a_secret_that_nobody_knows_any_more_is_created_again(cluster):
    """After some patience; what was published of the lost one goes."""
    settle(cluster.rotator())
    before = set(cluster.bundles())
    cluster.delete(SECRETS, "kept")
    young = cluster.rotator()
    assert young.reconcile() == 10.0
    cluster.seconds += 4
    assert young.reconcile() == 6.0
    cluster.seconds += 6
    settle(young)
    assert young.trusted
    assert set(cluster.bundles()).isdisjoint(before)


def test_another_replica_goes_on_with_a_rotation(cluster):
    """Whoever introduced the CA is gone: a second waits its time and switches; a third drops."""
    first = cluster.rotator()
    settle(first)
    before = cluster.bundles()[0]
    cluster.annotate("ca")
    first.reconcile()
    del first
    second = cluster.rotator()
    settle(second)
    both = cluster.bundles()[0]
    assert both.count(b"BEGIN") == 2
    check_issued_by(second.read().chain, before)
    assert second.reconcile() == 60.0
    cluster.seconds += 61
    settle(second)
    assert cluster.bundles()[0] == both
    new = base64.b64decode(cluster.secret["data"]["ca.crt"])
    check_issued_by(second.read().chain, new)
    third = cluster.rotator()
    settle(third)
    assert third.reconcile() == 60.0  # the poll; 600 s are due
    cluster.seconds += 601
    settle(third)
    assert set(cluster.bundles()) == {new}


def test_a_change_of_a_configuration_restarts_the_wait(cluster):
    """An API server may have heard of something else in between."""
    rotator = cluster.rotator()
    settle(rotator)
    cluster.annotate("ca")
    settle(rotator)
    cluster.seconds += 59
    cluster.put(MUTATING, "ours", webhooks=cluster.objects[MUTATING]["", "ours"]["webhooks"])
    assert rotator.reconcile() == 60.0
    cluster.seconds += 59
    assert rotator.reconcile() == 1.0
    assert "next-ca.crt" in cluster.secret["data"]


def test_an_overwritten_bundle_is_put_back_and_readiness_stays(cluster):
    """Longer unreadiness would cost more than the moment the repair takes."""
    rotator = cluster.rotator()
    settle(rotator)
    right = cluster.bundles()
    for damage in (None, "", "!", base64.b64encode(b"another").decode()):
        webhooks = copy.deepcopy(cluster.objects[VALIDATING]["", "ours"]["webhooks"])
        webhooks[1]["clientConfig"]["caBundle"] = damage
        if damage is None:
            del webhooks[1]["clientConfig"]["caBundle"]
        cluster.put(VALIDATING, "ours", webhooks=webhooks)
        settle(rotator, rounds=2)
        assert cluster.bundles() == right
        assert rotator.trusted


def test_an_unknown_rotation_is_logged_once(cluster, caplog):
    """With the words that would do; nothing is rotated."""
    rotator = cluster.rotator()
    settle(rotator)
    pair = rotator.read()
    cluster.annotate("both")
    with caplog.at_level(logging.WARNING):
        settle(rotator)
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "annotation colocation-webhook.io/rotate: 'both' is not 'leaf' or 'ca'" in record.getMessage()
    assert rotator.read() == pair


@pytest.mark.parametrize("path", [f"{SECRETS}/kept", f"{MUTATING}/ours"])
def test_what_cannot_be_read_changes_nothing(cluster, path):
    """The old pair stays in service; a 403 is no missing object."""
    rotator = cluster.rotator()
    settle(rotator)
    pair, secret = rotator.read(), copy.deepcopy(cluster.secret)
    cluster.failures["GET", path] = [(403, {"message": "forbidden"}), (500, {"message": "down"})]
    for _ in range(2):
        with pytest.raises(ApiError):
            rotator.reconcile()
    assert rotator.read() == pair
    assert cluster.secret == secret


@contextlib.contextmanager
def kept(rotator):
    """A rotator that runs in its thread."""
    stop = threading.Event()
    thread = threading.Thread(target=rotator.watch, args=(stop, 0.05))
    thread.start()
    try:
        yield rotator
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_changes_are_noticed_by_watching(cluster):
    """The Secret and each configuration, without waiting for the poll; nothing else is asked for."""
    with kept(cluster.rotator()) as rotator:
        until(lambda: rotator.trusted)
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
    with caplog.at_level(logging.WARNING), kept(cluster.rotator()) as rotator:
        until(lambda: rotator.failures == 3)
        until(lambda: rotator.trusted)
        assert rotator.error is None
    logged = [record for record in caplog.records if "certificate reconcile failed" in record.getMessage()]
    assert len(logged) == 1


def test_a_fault_of_ours_does_not_end_the_loop(cluster, monkeypatch):
    """It is noted, and looked at again."""
    rotator = cluster.rotator()
    monkeypatch.setattr("webhook.certificates.rotator._FAULT_SECONDS", 0.05)
    reconcile, faults = rotator.reconcile, [ZeroDivisionError()]

    def faulty():
        if faults:
            raise faults.pop()
        return reconcile()

    monkeypatch.setattr(rotator, "reconcile", faulty)
    with kept(rotator):
        until(lambda: rotator.trusted)
    assert rotator.failures == 1


@pytest.mark.parametrize("days", [1, 366, 3651])
def test_a_clock_that_is_ahead_harms_nobody(cluster, caplog, days):
    """What such a replica makes is good now, and what is good stays; a line says which clock is wrong."""
    cluster.date = email.utils.format_datetime(NOW, usegmt=True)
    wrong, right = cluster.rotator(now=NOW + dt.timedelta(days=days)), cluster.rotator()
    with caplog.at_level(logging.WARNING):
        settle(wrong, right)
    assert [record.getMessage()[:20] for record in caplog.records] == ["this machine's clock"]
    (leaf,) = x509.load_pem_x509_certificates(right.read().chain)
    assert leaf.not_valid_before_utc < NOW < leaf.not_valid_after_utc
    secret = copy.deepcopy(cluster.secret["data"])
    settle(right, wrong)
    assert cluster.secret["data"] == secret


def test_a_clock_that_is_behind_is_put_up_with(cluster):
    """What such a replica makes has ended for the others: one of them makes it anew, once."""
    cluster.date = email.utils.format_datetime(NOW, usegmt=True)
    wrong, right = cluster.rotator(now=NOW - dt.timedelta(days=400)), cluster.rotator()
    settle(wrong)
    settle(right, wrong)
    (leaf,) = x509.load_pem_x509_certificates(wrong.read().chain)
    assert leaf.not_valid_before_utc < NOW < leaf.not_valid_after_utc
    assert (wrong.writes["secret"], right.writes["secret"]) == (1, 1)


def test_a_namespace_that_is_not_there_is_an_error(cluster):
    """Nobody was faster: trying again at once would not help."""
    cluster.failures["POST", SECRETS] = [(404, {"message": 'namespaces "home" not found'})]
    with pytest.raises(ApiError, match='"home" not found'):
        cluster.rotator().reconcile()


def test_a_refusal_that_stays_is_an_error(cluster):
    """A 422 may mean that somebody was faster; ten in a row do not."""
    rotator = cluster.rotator()
    cluster.failures["PATCH", f"{MUTATING}/ours"] = [(422, {"message": "invalid"})] * 20
    with pytest.raises(ApiError, match="invalid"):
        settle(rotator, rounds=20)
    del cluster.failures["PATCH", f"{MUTATING}/ours"]
    settle(rotator)
    assert rotator.trusted


def test_one_configuration_that_cannot_be_written_costs_the_other_nothing(cluster):
    """The validating one is put right although a right is lacking for the mutating one."""
    rotator = cluster.rotator()
    cluster.failures["PATCH", f"{MUTATING}/ours"] = [(403, {"message": "forbidden"})]
    with pytest.raises(ApiError, match="forbidden"):
        settle(rotator)
    assert not rotator.trusted
    mutating, *validating = cluster.bundles()
    assert mutating is None
    assert None not in validating


def test_each_new_reason_is_said(cluster, hurry, caplog):
    """Somebody who grants one right after another reads which one is lacking now."""
    del hurry
    answers = [(403, {"message": message}) for message in ("may not get", "may not get", "may not create")]
    cluster.failures["GET", f"{SECRETS}/kept"] = answers
    with caplog.at_level(logging.WARNING), kept(cluster.rotator()) as rotator:
        until(lambda: rotator.trusted)
    logged = [
        record.getMessage()
        for record in caplog.records
        if "certificate reconcile failed" in record.getMessage()
    ]
    assert ["may not get" in logged[0], "may not create" in logged[1], len(logged)] == [True, True, 2]


def test_a_configuration_that_leads_elsewhere_is_mentioned(cluster, caplog):
    """Once: the name given may be a wrong one. A URL that nobody can read is not ours either."""
    webhooks = [hook("x", url="https://elsewhere/"), hook("y", url="https://[odd/")]
    cluster.put(MUTATING, "ours", webhooks=webhooks)
    rotator = cluster.rotator()
    with caplog.at_level(logging.WARNING):
        settle(rotator)
    (record,) = caplog.records
    assert f"{MUTATING}/ours: no webhook calls {NAME}" in record.getMessage()
    assert rotator.trusted


def test_names_are_the_same_in_capitals(cluster):
    """DNS has none: neither a flag nor a URL written with them keeps a caBundle away, or a leaf new."""
    cluster.put(MUTATING, "ours", webhooks=[hook("a", url="https://Hook.Home.SVC:8443/mutate")])
    rotator = cluster.rotator(names=("HOOK.home.svc",))
    settle(rotator)
    assert len(set(cluster.bundles())) == 1
    assert rotator.writes["secret"] == 1


@pytest.mark.parametrize("status", [403, 422])
def test_a_secret_that_cannot_be_changed_is_served_as_it_is(cluster, status):
    """A right is lacking, or it is immutable: a replica that begins then serves a leaf that is good still."""
    settle(cluster.rotator())
    cluster.annotate("leaf")
    cluster.failures["PUT", f"{SECRETS}/kept"] = [(status, {"message": "immutable"})] * 9
    cluster.configure()
    young = cluster.rotator()
    for _ in range(3):
        with pytest.raises(ApiError, match="immutable"):
            young.reconcile()
    assert young.trusted
    assert young.read().chain == base64.b64decode(cluster.secret["data"]["tls.crt"])
    assert len(set(cluster.bundles())) == 1
