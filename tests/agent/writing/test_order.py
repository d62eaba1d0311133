"""Writes in an order in which a kernel takes each of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.worlds.kernel import FakeKernel
from webhook.agent.plan.target import Knob, Why
from webhook.agent.writing.files import file_of, parse
from webhook.agent.writing.order import Difference, ordered

WHY = Why("rule", "shop/x", {})
SETS = st.sets(st.integers(0, 7), min_size=1).map(frozenset)


def difference(path, knob, current, wanted, *, below):
    """A difference of texts."""
    return Difference(
        path, knob, below, current, wanted, parse(knob, current, 1), parse(knob, wanted, 1), WHY
    )


def test_a_pod_that_moves_has_both_sets_meanwhile():
    """Its pod's cgroup is widened, its container moves, the pod's cgroup is narrowed."""
    pod = difference("/p/cpuset.cpus", Knob.CPUS, "0-1", "2-3", below=False)
    container = difference("/p/c/cpuset.cpus", Knob.CPUS, "0-1", "2-3", below=True)
    assert [(step.difference.path, step.text) for step in ordered([container, pod])] == [
        ("/p/cpuset.cpus", "0-3"),
        ("/p/c/cpuset.cpus", "2-3"),
        ("/p/cpuset.cpus", "2-3"),
    ]


@pytest.mark.parametrize(("current", "wanted", "first"), [("-1", "5000", "/p/c"), ("5000", "-1", "/p")])
def test_limits_grow_from_the_top_and_shrink_from_the_bottom(current, wanted, first):
    """Of quotas and of memory."""
    steps = ordered(
        difference(f"{folder}/{knob}", knob, current, wanted, below=folder == "/p/c")
        for folder in ("/p", "/p/c")
        for knob in (Knob.QUOTA, Knob.MEMORY)
    )
    assert [step.difference.path.rpartition("/")[0] for step in steps[:2]] == [first, first]


def test_what_the_ledger_is_to_know_comes_first():
    """Until then it is known by its pod's file alone."""
    pod = difference("/p/cpuset.cpus", Knob.CPUS, "2-3", "0-3", below=False)
    container = difference("/p/c/cpuset.cpus", Knob.CPUS, "2-3", "2-3", below=True)._replace(before="0-3")
    assert [step.difference for step in ordered([pod, container])] == [container, pod]


def test_shares_come_after_idle():
    """To leave that state resets them."""
    steps = ordered(
        [
            difference("/p/cpu.shares", Knob.SHARES, "3", "512", below=False),
            difference("/p/cpu.idle", Knob.IDLE, "1", "0", below=False),
        ]
    )
    assert [step.difference.knob for step in steps] == [Knob.IDLE, Knob.SHARES]


QUOTAS = st.sampled_from(["-1", "1000", "20000", "50000", "100000", "250000"])


@given(st.data())
def test_a_kernel_takes_every_write(tmp_path_factory, data):
    """From any state that it allows to any other: no write is refused, and all is right at the end."""
    kernel = FakeKernel(tmp_path_factory.mktemp("k"), cpus=range(8))
    group = kernel.make("kubepods/besteffort/podx")
    groups = [group, *(kernel.make(f"{group}/{str(i) * 64}") for i in range(2))]
    wanted = {}
    for knob in (Knob.CPUS, Knob.PERIOD, Knob.QUOTA):
        file = file_of(knob, 1)
        values = {
            Knob.CPUS: SETS.map(lambda cpus: ",".join(map(str, sorted(cpus)))),
            Knob.PERIOD: st.just("100000"),
            Knob.QUOTA: QUOTAS,
        }[knob]
        for each in groups:
            for _ in range(2):
                kernel.foreign(each, file.name, data.draw(values))
            wanted[each, knob] = data.draw(values)
    # What is wanted is allowed: no container has more than its pod.
    for each in groups[1:]:
        cpus = parse(Knob.CPUS, wanted[each, Knob.CPUS], 1) & parse(Knob.CPUS, wanted[group, Knob.CPUS], 1)
        wanted[each, Knob.CPUS] = ",".join(map(str, sorted(cpus))) or wanted[group, Knob.CPUS]
        if wanted[group, Knob.QUOTA] != "-1" and int(wanted[each, Knob.QUOTA]) > int(
            wanted[group, Knob.QUOTA]
        ):
            wanted[each, Knob.QUOTA] = wanted[group, Knob.QUOTA]
    differences = []
    for (each, knob), text in wanted.items():
        file = file_of(knob, 1)
        path = kernel.hierarchy.file(file.controller, each, file.name)
        if parse(knob, kernel.read(path), 1) != parse(knob, text, 1):
            differences.append(difference(path, knob, kernel.read(path), text, below=each != group))
    steps = ordered(differences)
    assert len(steps) <= len(differences) + 1
    for step in steps:
        kernel.write(step.difference.path, step.text)
    for (each, knob), text in wanted.items():
        assert parse(knob, kernel.text(each, file_of(knob, 1).name), 1) == parse(knob, text, 1)
