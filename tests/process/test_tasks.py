"""Background tasks begin together and end together."""

import threading

from webhook.process.tasks import Task, Tasks


class Watcher:
    """Notes when it is told to stop, and waits for leave to end."""

    def __init__(self):
        self.began, self.stopped, self.leave = threading.Event(), threading.Event(), threading.Event()
        self.ended = False

    def watch(self, stop, interval):
        """Work until ``stop``."""
        self.began.set()
        while not stop.wait(interval):
            pass
        self.stopped.set()
        self.leave.wait(10)
        self.ended = True


def test_the_end_waits_for_those_that_give_something_back():
    """The others are only asked to stop."""
    lease, other = Watcher(), Watcher()
    tasks = Tasks([Task("lease", lease, waited_for=True), Task("other", other)], 0.01)
    tasks.start()
    assert lease.began.wait(10)
    assert other.began.wait(10)
    lease.leave.set()
    tasks.stop()
    assert lease.ended
    assert other.stopped.wait(10)
    assert not other.ended
    other.leave.set()


def test_a_task_that_does_not_end_keeps_the_process_only_for_a_moment():
    """Its thread is a daemon."""
    stuck = Watcher()
    tasks = Tasks([Task("stuck", stuck, waited_for=True)], 0.01)
    tasks.start()
    tasks.stop()
    assert not stuck.ended
    stuck.leave.set()
