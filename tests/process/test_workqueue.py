"""Threads shared by keys: one waits for none."""

import threading
from concurrent.futures import CancelledError, wait

import pytest

from tests.waiting import until
from webhook.process.workqueue import Continued, WorkQueue


@pytest.fixture
def queue():
    """Four threads."""
    made = WorkQueue(4, "test")
    yield made
    made.close()


def test_what_waits_for_one_key_keeps_one_thread(queue):
    """However much it is, and in its order; other keys' work is done meanwhile."""
    open_again = threading.Event()
    done = []
    waiting = [queue.submit("busy", lambda n=n: open_again.wait(10) and done.append(n)) for n in range(40)]
    others = [queue.submit(f"other-{n}", lambda n=n: n) for n in range(20)]
    assert [each.result(10) for each in others] == list(range(20))
    assert done == []
    open_again.set()
    wait(waiting, 10)
    assert done == list(range(40))


def test_keys_take_turns():
    """With one thread, too: nobody is behind all of a busy key."""
    queue, order, begin = WorkQueue(1, "test"), [], threading.Event()
    first = queue.submit("gate", lambda: begin.wait(10))
    busy = [queue.submit("busy", lambda: order.append("busy")) for _ in range(5)]
    other = queue.submit("other", lambda: order.append("other"))
    begin.set()
    wait([first, *busy, other], 10)
    assert order == ["busy", "other", "busy", "busy", "busy", "busy"]
    queue.close()


def test_work_may_go_on_at_another_key(queue):
    """It waits for its turn there, and who waits gets what it returned there."""
    gate = threading.Event()
    first = queue.submit("node", lambda: gate.wait(10) and "first")
    moved = queue.submit("pod", lambda: Continued("node", lambda: "moved"))
    assert queue.submit("pod", lambda: "next").result(10) == "next"
    assert not moved.done()
    gate.set()
    assert (first.result(10), moved.result(10)) == ("first", "moved")


def test_an_error_is_raised_to_who_waits_and_to_nobody_else(queue):
    """The next piece is done."""
    failed, after = queue.submit("key", lambda: 1 / 0), queue.submit("key", lambda: "after")
    with pytest.raises(ZeroDivisionError):
        failed.result(10)
    assert after.result(10) == "after"


def test_what_waits_at_the_end_is_cancelled(queue):
    """And what comes later, or would have gone on."""
    gate, begun = threading.Event(), threading.Event()

    def last():
        begun.set()
        gate.wait(10)
        return Continued("node", lambda: "never")

    doing, waiting = queue.submit("key", last), queue.submit("key", lambda: "never")
    assert begun.wait(10)
    queue.close()
    gate.set()
    for each in (waiting, queue.submit("key", lambda: "never"), doing):
        until(each.done)
        with pytest.raises(CancelledError):
            each.result(10)
