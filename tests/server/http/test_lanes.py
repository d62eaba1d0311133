"""One after another in a thread: order, busy lanes, and work that takes too long."""

import asyncio
import threading

import pytest

from webhook.server.http.lanes import BusyError, Lane, TooLongError


def test_work_is_done_one_after_another_in_the_order_of_its_coming():
    """Never two at a time; each gets its own result."""
    running, most, order = 0, 0, []

    def work(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        running -= 1
        return number * number

    async def main():
        lane = Lane("test")
        return await asyncio.gather(*(lane.run(lambda n=n: work(n), 60) for n in range(20)))

    assert asyncio.run(main()) == [n * n for n in range(20)]
    assert order == list(range(20))
    assert most == 1


def test_what_takes_longer_than_its_share_is_given_up_and_holds_the_lane():
    """The next one waits for its end, as long as it may; then the lane is free again."""
    end = threading.Event()

    async def main():
        lane = Lane("test")
        with pytest.raises(TooLongError):
            await lane.run(end.wait, 0.1)
        with pytest.raises(BusyError):
            await lane.run(lambda: 1, 0.1)
        waiting = asyncio.ensure_future(lane.run(lambda: 2, 60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        end.set()
        assert await waiting == 2

    asyncio.run(main())


def test_waiting_is_not_counted_as_work():
    """One whose turn comes late has less than its share left: the lane is busy, it did not take too long."""
    first, second = threading.Event(), threading.Event()

    async def main():
        lane = Lane("test")
        loop = asyncio.get_running_loop()
        begun = asyncio.ensure_future(lane.run(first.wait, 60))
        await asyncio.sleep(0)
        loop.call_later(0.8, first.set)
        try:
            with pytest.raises(BusyError):
                await lane.run(second.wait, 1.0)
        finally:
            second.set()
        assert await begun

    asyncio.run(main())


def test_a_thread_that_cannot_be_started_costs_one_turn_only(monkeypatch):
    """The lane is free again for the next one."""

    async def main():
        lane = Lane("test")
        with monkeypatch.context() as patched:
            patched.setattr(lane._thread, "submit", failing)
            with pytest.raises(BusyError):
                await lane.run(lambda: 1, 60)
        assert await lane.run(lambda: 2, 60) == 2

    def failing(_):
        raise RuntimeError("can't start new thread")

    asyncio.run(main())
