"""Ledgers in the API server: changed by whoever has the version."""

import pytest

from tests.binding.builders import NOW, ledger
from webhook.binding.ledger import Entry
from webhook.binding.ledgers import LEDGERS, Changed
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.kube.client import ApiError

ENTRY = Entry("u", "d", "p", "LSR", frozenset({0}), BindPolicy.FULL_PCPUS, False, Exclusive.NONE, NOW)


@pytest.fixture
def ledgers(replica):
    """The replica's."""
    return replica.state.ledgers


def test_the_second_writer_of_a_version_is_told(ledgers):
    """And so is who makes a ledger that is there, or changes one that is gone."""
    first = ledgers.write(ledger(), None, timeout=5)
    second = ledgers.write(first.with_entries(ENTRY), None, timeout=5)
    assert ledgers.read("node-1", timeout=5) == second
    with pytest.raises(Changed):
        ledgers.write(first, None, timeout=5)
    with pytest.raises(Changed):
        ledgers.write(ledger(), None, timeout=5)
    with pytest.raises(Changed):
        ledgers.write(ledger(node="gone", version="3"), None, timeout=5)


def test_what_was_written_is_known_at_once_and_no_watch_takes_it_back(fake, ledgers):
    """Events come late: those of earlier states are passed over."""
    first = ledgers.write(ledger(), None, timeout=5)
    early = dict(fake.objects[LEDGERS]["", "node-1"])
    early["metadata"] = dict(early["metadata"])
    second = ledgers.write(first.with_entries(ENTRY), None, timeout=5)
    ledgers.store.changed(early)
    assert ledgers.known("node-1") == second


def test_the_end_of_an_earlier_ledger_is_not_the_end_of_this_one(fake, ledgers):
    """Deleted and made again: the news of the deletion comes last."""
    ledgers.write(ledger(), None, timeout=5)
    old = fake.objects[LEDGERS].pop(("", "node-1"))
    again = ledgers.write(ledger(ENTRY), None, timeout=5)
    assert again.uid != old["metadata"]["uid"]
    ledgers.store.deleted(old)
    assert ledgers.known("node-1") == again


def test_one_that_is_gone_is_remembered(fake, ledgers):
    """What was promised in it still counts for a while."""
    last = ledgers.write(ledger(ENTRY), None, timeout=5)
    del fake.objects[LEDGERS]["", "node-1"]
    assert ledgers.read("node-1", timeout=5) is None
    assert ledgers.known("node-1") is None
    assert ledgers.last_seen("node-1").entries == last.entries


def test_other_failures_are_errors(fake, ledgers):
    """It is not known what became of the write."""
    fake.failures["POST", LEDGERS] = [(500, {"message": "no"})]
    with pytest.raises(ApiError):
        ledgers.write(ledger(), None, timeout=5)
