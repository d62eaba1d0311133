"""How often groups were throttled since the last look, by files of both versions."""

import pytest

from tests.agent.tree import v1_tree, v2_tree, write
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.measuring.throttling import STALE_SECONDS, Throttled, Throttling

GROUP = "kubepods/podx"


class Counters:
    """One group of which a test says what it used."""

    def __init__(self, root, version):
        self.root, self.version, self.now = root, version, 100.0
        (v1_tree if version == 1 else v2_tree)(root, GROUP)
        self.say(0, 0.0)
        self.throttling = Throttling(find_hierarchy(root), lambda: self.now)

    def say(self, throttled, used, text="nr_periods 9\nnr_throttled {}\n"):
        """How often it was throttled, and CPU seconds."""
        top = self.root / "sys/fs/cgroup"
        stat = text.format(throttled)
        if self.version == 1:
            usage = {f"cpuacct/{GROUP}/cpuacct.usage": f"{int(used * 10**9)}\n"}
            write(top, {f"cpu/{GROUP}/cpu.stat": stat, **usage})
        else:
            write(top, {f"{GROUP}/cpu.stat": f"usage_usec {int(used * 10**6)}\n{stat}"})

    def look(self, *, use=True, seconds=1.0):
        """Some time passes."""
        self.now += seconds
        return self.throttling.look(GROUP, use=use)


@pytest.fixture(params=[1, 2])
def counters(request, tmp_path):
    """In cgroups of both versions."""
    return Counters(tmp_path, request.param)


def test_since_the_last_look(counters):
    """Periods, and cores where somebody asks for them."""
    assert counters.look() is None
    counters.say(3, 0.5)
    assert counters.look() == Throttled(3, 1.0, 0.5)
    counters.say(3, 1.5)
    assert counters.look(seconds=2.0) == Throttled(0, 2.0, 0.5)
    counters.say(4, 2.5)
    assert counters.look(use=False) == Throttled(1, 1.0)
    assert counters.look() == Throttled(0, 1.0), "nobody read what it had used before"


def test_what_is_not_known(counters):
    """After a pause, of another group, of one that is gone, and of a file that does not say."""
    counters.look()
    counters.say(3, 0.5)
    assert counters.look(seconds=STALE_SECONDS + 0.1) is None
    counters.say(1, 0.1)
    assert counters.look() is None
    counters.say(2, 0.0)
    assert counters.look() == Throttled(1, 1.0), "its CPU time went back"
    counters.say(0, 0.2, "nr_periods 1\n")
    assert counters.look() is None
    counters.say(5, 0.2)
    assert counters.look() is None
    assert counters.look(seconds=0.0) is None


def test_a_group_that_is_gone(counters):
    """And comes back: from there it is counted anew."""
    counters.look()
    controller = "cpu" if counters.version == 1 else ""
    stat = counters.root / "sys/fs/cgroup" / controller / GROUP / "cpu.stat"
    stat.unlink()
    counters.throttling.keep(())
    assert counters.look() is None
    counters.say(7, 1.0)
    assert counters.look() is None
    assert counters.look() == Throttled(0, 1.0, 0.0)


def test_files_are_let_go(counters):
    """Of groups that nobody asks for any more."""
    counters.look()
    counters.throttling.keep([GROUP])
    counters.say(2, 0.0)
    assert counters.look() == Throttled(2, 1.0, 0.0)
    counters.throttling.keep([])
    assert counters.look() is None
