"""A quota that was raised, and who else writes it: kubelets, others, agents that start again or end."""

import errno
import os

import pytest

from tests.agent.bursting.world import FILES, BurstWorld, container
from webhook.agent.plan.burst import QUOTA_BURST
from webhook.agent.plan.target import Knob
from webhook.agent.writing import ledger
from webhook.agent.writing.files import render
from webhook.protocol import ANNOTATION_AGENT

HALF, WHOLE = 50_000, 100_000


@pytest.mark.parametrize("limit", ["2", "200m"])
@pytest.mark.parametrize("first", ["agent", "kubelet"])
def test_a_resize(node, limit, first):
    """A raised quota gives way, and never comes back instead of what the kubelet has written."""
    node.throttle("web")
    node.throttle("web", "side")
    node.rounds(4)
    node.resize("web", limit)
    if first == "kubelet":
        node.kubelet_resizes("web")
    node.rounds(1)
    assert node.kubelet_resizes("web")
    bases = list(node.bases("web").values())
    assert node.quotas("web") == bases
    node.rounds(1)
    assert node.quota("web", "main") == bases[1] * 6 // 5
    node.used.system = 16.0
    node.rounds(12)
    assert node.quotas("web") == bases


@pytest.mark.parametrize(("rounds", "limit"), [(1, "600m"), (8, "1500m")])
@pytest.mark.parametrize("first", ["agent", "kubelet"])
def test_a_resize_to_what_stands(node, rounds, limit, first):
    """What is raised is just the kubelet's new quota, which it writes once: it is his, and stays."""
    node.throttle("web")
    node.rounds(rounds)
    node.resize("web", limit)
    bases = list(node.bases("web").values())
    assert node.quotas("web") == bases
    if first == "kubelet":
        node.kubelet_resizes("web")
    node.throttle("web", periods=0)
    node.rounds(1)
    assert node.quotas("web") == bases
    assert node.kubelet_resizes("web")
    node.agent.give_back()
    assert node.quotas("web") == bases


def test_a_resize_that_the_kubelet_does_not_do(node):
    """It cannot, or not yet: what stands is its quota, and it is not raised from there."""
    node.throttle("web")
    node.rounds(4)
    node.resize("web", "64")
    node.rounds(12)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]


def test_somebody_else_writes(node):
    """It is his, as after a daemon-reload: the ledger says so, and nothing is written back over it."""
    node.throttle("web")
    node.rounds(4)
    node.throttle("web", periods=0)
    node.kubelet_writes("web", "main", HALF)
    node.rounds(12)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]
    (line,) = [each for each in node.lines() if "left" in each["why"]["inputs"]]
    assert line["path"].endswith(node.group("web", "main"))
    node.throttle("web")
    node.rounds(1)
    assert node.quota("web", "main") == 60_000
    assert node.kubelet_writes("web", None, 400_000)
    node.rounds(12)
    assert node.quotas("web") == [400_000, HALF, WHOLE]
    node.agent.give_back()
    assert node.quotas("web") == [400_000, HALF, WHOLE]


def test_a_pod_that_somebody_else_keeps(tmp_path):
    """While a container's quota cannot fall, for the kernel refuses it, his stays: version 2 takes any."""
    node = BurstWorld(tmp_path, 2)
    node.add("web", containers=[container("500m")])
    node.rounds()
    node.throttle("web")
    node.rounds(2)
    node.kernel.fault(f"{node.group('web', 'main')}/cpu.max", errno.EPERM)
    node.rounds(1)
    assert node.kubelet_writes("web", None, 25_000)
    node.rounds(20)
    assert node.quotas("web") == [25_000, 72_000]
    node.time += 600
    node.rounds(2)
    assert node.quotas("web") == [25_000, HALF]


def test_a_container_that_somebody_else_keeps(node):
    """What he wrote stays, and others of the pod are raised."""
    node.kubelet_writes("web", "side", 70_000)
    node.throttle("web")
    node.throttle("web", "side")
    node.rounds(2)
    assert node.quotas("web") == [WHOLE + 72_000, 72_000, 70_000]


def test_somebody_else_writes_between_decision_and_write(node):
    """His quota stays, even where the round that is on its way would write the raised one again."""
    node.throttle("web")
    node.rounds(2)
    node.throttle("web", periods=0)
    adjust = node.burster.adjust

    def and_then(plan, settings):
        found = adjust(plan, settings)
        node.kubelet_writes("web", "main", HALF)
        return found

    node.burster.adjust = and_then
    node.time += 8
    node.rounds(1)
    node.burster.adjust = adjust
    assert node.quota("web", "main") == HALF
    node.rounds(12)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]


@pytest.mark.parametrize("falls", [True, False])
@pytest.mark.parametrize("written", [HALF, 55_000, 65_000])
def test_somebody_else_writes_between_look_and_write(node, falls, written):
    """What the round has read is not there any more: his quota stays, whether it was to rise or to fall."""
    node.throttle("web")
    node.rounds(2)
    node.used.known = not falls
    if falls:
        node.rounds(1)
    apply = node.agent._writer.apply

    def and_before(steps):
        assert any(each.difference.path.endswith(f"{main}/{file}") for each in steps)
        node.kernel.foreign(main, file, render(Knob.QUOTA, written, node.kernel.version))
        node.agent._writer.apply = apply
        return apply(steps)

    main, file = node.group("web", "main"), FILES[node.kernel.version]
    node.agent._writer.apply = and_before
    node.throttle("web", periods=0 if falls else 5)
    node.rounds(1)
    assert node.quota("web", "main") == written
    node.used.known = True
    node.throttle("web", periods=0)
    node.rounds(12)
    assert node.quota("web", "main") == written


def test_a_ledger_that_cannot_be_written(node, monkeypatch):
    """With the first line that waits nothing rises any more; it falls all the same, and goes on with room."""
    node.throttle("web")
    node.throttle("web", "side")
    node.rounds(2)
    real, full = os.write, [True]

    def write(handle, data):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data)

    monkeypatch.setattr(ledger.os, "write", write)
    node.rounds(1)
    raised = node.quotas("web")
    assert raised == [259_200, 72_000, 144_000], "the pod's was the first"
    node.rounds(20)
    assert node.quotas("web") == [216_000, 72_000, 144_000]
    assert "2 lines wait" in node.ledger.problem
    node.used.system = 16.0
    node.rounds(12)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]
    full[0], node.used.system = False, 0.0
    node.rounds(2)
    assert node.ledger.problem == ""
    assert node.quota("web", "main") > HALF
    node.restart()
    node.agent.give_back()
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]


@pytest.mark.parametrize("changed", [True, False])
def test_somebody_else_writes_while_all_is_given_back(node, changed):
    """Of a raised quota, too, only what was read is overwritten; the next try knows that it is his."""
    node.throttle("web")
    node.rounds(2)
    apply = node.agent._writer.apply

    def and_before(steps):
        node.kubelet_writes("web", "main", 65_000)
        return apply(steps)

    node.agent._writer.apply = and_before
    (again,) = node.agent.give_back(changed=changed).written.again
    assert again in node.ledger.originals
    node.agent._writer.apply = apply
    node.agent.give_back(changed=changed)
    assert node.quota("web", "main") == 65_000
    assert again not in node.ledger.originals


def test_a_container_starts_again(node):
    """With its own quota; the pod's falls by as much."""
    node.throttle("web")
    node.throttle("web", "side")
    node.rounds(3)
    node.start_again("web")
    node.rounds(1)
    assert node.quotas("web") == [HALF + 172_800 + 34_560, HALF, 172_800 + 34_560]
    node.throttle("web")
    node.rounds(1)
    assert node.quota("web", "main") == 60_000


def test_an_agent_starts_again(node):
    """It goes on from what it finds, without a write."""
    node.throttle("web")
    node.rounds(3)
    tried = len(node.kernel.writes)
    node.restart()
    node.throttle("web", periods=0)
    node.rounds(22)
    assert node.quotas("web") == [WHOLE + 86_400, 86_400, WHOLE]
    assert len(node.kernel.writes) == tried
    node.throttle("web")
    node.rounds(1)
    assert node.quota("web", "main") == 103_680


@pytest.mark.parametrize("how", ["observe", "ignore", "restore", "forget"])
def test_giving_back(node, how):
    """The kubelet's quota stands again."""
    node.throttle("web")
    node.rounds(5)
    if how == "restore":
        node.agent.give_back()
    elif how == "forget":
        node.agent.give_back(changed=False)
        node.burster.forget()
    else:
        node.pods["web"]["metadata"]["annotations"][ANNOTATION_AGENT] = how
        node.rounds(2)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]


def test_an_agent_that_observes(tmp_path):
    """It says what it would write next, and writes nothing."""
    node = BurstWorld(tmp_path, enforce=False)
    node.add("web", containers=[container("500m")])
    node.throttle("web")
    done = node.rounds(30)
    quotas = [each for each in done.differences if each.why.rule == QUOTA_BURST]
    assert {each.wanted for each in quotas} <= {60_000}
    assert node.burster.report()["raised"] == {"shop/web": {"main": 60_000}}
    assert not node.kernel.writes


@pytest.mark.parametrize("changed", [True, False])
def test_giving_back_what_a_kubelet_has_written_meanwhile(node, changed):
    """While the agent is away a pod is resized: what stands there is right, and not what was there before."""
    node.throttle("web")
    node.rounds(3)
    node.resize("web", "800m")
    assert node.kubelet_resizes("web")
    node.agent.give_back(changed=changed)
    assert node.quotas("web") == [180_000, 80_000, WHOLE]
    assert not [each for each in node.ledger.originals.values() if each.is_lent]
