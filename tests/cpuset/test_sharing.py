"""The sharing rules hold whatever is assigned and released, in whatever order."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.cpuset.machines import topologies
from webhook.cpuset.allocation import BindPolicy, Exclusive, Request
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.errors import CpuSetError, NotEnoughCpusError, RequestError, SharingError
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod, PoolLimit, Reservations
from webhook.cpuset.topology import Topology

SIXTEEN = parse_shape("1x1x8x2", "linux")
SPREAD = Request(0, BindPolicy.SPREAD_BY_PCPUS)
# The classes whose pods may run on one logical CPU: LSE shares with no other pod, LSR with BE only.
SHARING = {
    frozenset({QoS.LSR, QoS.BE}),
    *(frozenset({one, other}) for one in (QoS.LS, QoS.NONE, QoS.BE) for other in (QoS.LS, QoS.NONE, QoS.BE)),
}


class Sharing(RuleBasedStateMachine):
    """Random pods come and go on a random node."""

    state: NodeState
    topology: Topology
    limit: PoolLimit

    @initialize(data=st.data())
    def node(self, data: st.DataObject) -> None:
        """Set up a node with CPUs spoken for in every way."""
        self.topology = data.draw(topologies(24))
        few = st.frozensets(st.sampled_from(sorted(self.topology.position)), max_size=3)
        self.given = data.draw(st.builds(Reservations, few, few, few, st.booleans(), few))
        self.limit = data.draw(
            st.builds(
                PoolLimit, st.integers(0, 2), st.sampled_from([0, 1, 30, 100]), st.sampled_from([0, 50, 100])
            )
        )
        self.state = NodeState(self.topology, self.given, self.limit)
        self.number = 0

    @rule(
        qos=st.sampled_from(QoS),
        cpus=st.integers(1, 6),
        policy=st.sampled_from(BindPolicy),
        required=st.booleans(),
        exclusive=st.sampled_from(Exclusive),
        milli=st.integers(0, 999),
    )
    def assign(
        self,
        qos: QoS,
        cpus: int,
        policy: BindPolicy,
        required: bool,  # noqa: FBT001
        exclusive: Exclusive,
        milli: int,
    ) -> None:
        """A pod gets CPUs by its class, or is refused and changes nothing."""
        self.number += 1
        amount = cpus * 1000 + (0 if qos in (QoS.LSE, QoS.LSR) else milli)
        pod = Pod(
            f"pod-{self.number}", qos, amount, Request(0, policy, required=required, exclusive=exclusive)
        )
        before = self.state._snapshot
        try:
            got = self.state.assign(pod)
        except (NotEnoughCpusError, SharingError):
            assert self.state._snapshot is before
            return
        assert got == self.state.cpus_of(pod.uid)
        if qos in (QoS.LSE, QoS.LSR):
            assert len(got) == cpus

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """What a pod held alone is free again."""
        if not self.state.pods():
            return
        uid = data.draw(st.sampled_from(sorted(self.state.pods())))
        free = self.state.available()
        freed = self.state.release(uid)
        assert self.state.available() == free | freed
        with pytest.raises(SharingError, match="is not on this node"):
            self.state.cpus_of(uid)

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        """A state rebuilt from what pods hold is the same state."""
        again = NodeState(self.topology, self.given, self.limit)
        pods = self.state.pods()
        for uid in data.draw(st.permutations(sorted(pods))):
            try:
                if pods[uid].qos in (QoS.LSE, QoS.LSR):
                    again.adopt(pods[uid], self.state.cpus_of(uid))
                else:
                    again.assign(pods[uid])
            except SharingError:
                return  # a limit may depend on the order in which pods came
        assert again.available() == self.state.available()
        assert again.shared_pool() == self.state.shared_pool()
        assert again.be_pool() == self.state.be_pool()

    @invariant()
    def rules_hold(self) -> None:
        """LSE alone; LSR with BE only; pools hold nothing that is spoken for."""
        pods = self.state.pods()
        closed = self.given.reserved | self.given.kubelet_pinned
        if self.given.system_exclusive:
            closed |= self.given.system
        held = {uid: self.state.cpus_of(uid) for uid in pods}
        for uid, pod in pods.items():
            if pod.qos in (QoS.LSE, QoS.LSR):
                assert not held[uid] & (closed | self.given.kubelet_reserved)
            for other, second in pods.items():
                if (
                    other != uid
                    and pod.qos is not QoS.SYSTEM is not second.qos
                    and frozenset({pod.qos, second.qos}) not in SHARING
                ):
                    assert not held[uid] & held[other], (pod, second)
        bound = {
            qos: frozenset().union(*(held[uid] for uid, pod in pods.items() if pod.qos is qos))
            for qos in (QoS.LSE, QoS.LSR)
        }
        everything = frozenset(self.topology.position)
        assert self.state.shared_pool() == everything - closed - bound[QoS.LSE] - bound[QoS.LSR]
        assert self.state.be_pool() == everything - closed - bound[QoS.LSE]
        best_effort = self.state.be_cpus(4, everything)
        assert best_effort <= self.state.be_pool()
        assert len(best_effort) == min(4, len(self.state.be_pool()))

    @invariant()
    def share_pool_is_kept(self) -> None:
        """The share pool holds what its pods request, by the limit set."""
        pods = [pod for pod in self.state.pods().values() if pod.qos in (QoS.LS, QoS.NONE)]
        if not any(pod.qos in (QoS.LSE, QoS.LSR) for pod in self.state.pods().values()) and not pods:
            return
        asked = sum(pod.milli for pod in pods)
        shared = len(self.state.shared_pool())
        assert shared * 100_000 >= asked * self.limit.request_percent
        assert shared >= self.limit.minimum_cpus
        assert shared * 100 >= self.topology.size * self.limit.machine_percent


TestSharing = Sharing.TestCase
TestSharing.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_walk_through() -> None:
    """LSE 0-1, LSR 2-3, the rest for LS, everything but the LSE CPUs for BE."""
    state = NodeState(SIXTEEN)
    assert state.assign(Pod("e", QoS.LSE, 2000, SPREAD)) == {0, 1}
    assert state.assign(Pod("r", QoS.LSR, 2000, SPREAD)) == {2, 3}
    assert state.assign(Pod("s", QoS.LS, 2000)) == parse_cpulist("4-15")
    assert state.assign(Pod("b", QoS.BE, 2000)) == parse_cpulist("2-15")
    assert len(state.be_cpus(10)) == 10
    assert len(state.be_cpus(10) & {2, 3}) == 1


def test_share_pool_is_not_starved() -> None:
    """An LSR pod that would leave LS pods too few CPUs is refused, with the reason."""
    state = NodeState(SIXTEEN)
    state.assign(Pod("s", QoS.LS, 4500))
    with pytest.raises(SharingError, match=r"leave 4 CPUs in the LS share pool.*4500m") as caught:
        state.assign(Pod("r", QoS.LSR, 12000))
    assert caught.value.value == "r"
    assert len(state.assign(Pod("r", QoS.LSR, 10000))) == 10
    with pytest.raises(SharingError, match="leave 6 CPUs"):
        state.assign(Pod("s2", QoS.NONE, 1600))


def test_share_pool_is_not_emptied() -> None:
    """The last CPU stays in the share pool unless the limit is set to nothing."""
    with pytest.raises(SharingError, match="share pool empty; place it on a node with more CPUs free"):
        NodeState(SIXTEEN).assign(Pod("e", QoS.LSE, 16000))
    state = NodeState(SIXTEEN, limit=PoolLimit(minimum_cpus=0))
    assert len(state.assign(Pod("e", QoS.LSE, 16000))) == 16
    assert state.shared_pool() == state.be_pool() == frozenset()


@pytest.mark.parametrize(
    ("text", "kept"), [("1", 1), ("02", 2), ("16", 16), ("1%", 1), ("10%", 2), ("50%", 8), ("100%", 16)]
)
def test_limits_by_number_or_percent(text: str, kept: int) -> None:
    """So many CPUs stay in the pool, a part of a CPU as a whole one; one more LSR pod is refused."""
    limit = PoolLimit.parse(text)
    assert limit.cpus(16) == kept
    state = NodeState(SIXTEEN, limit=limit)
    if kept < 16:
        state.assign(Pod("r", QoS.LSR, (16 - kept) * 1000))
    with pytest.raises(SharingError, match="share pool"):
        state.assign(Pod("s", QoS.LSR, 1000))
    assert len(state.shared_pool()) == kept


@pytest.mark.parametrize(
    "text", ["", "0", "0%", "-1", "101%", "8193", "1.5", "10 %", "%", "ten", "٣", "9" * 99]
)
def test_limits_that_are_none(text: str) -> None:
    """A pool of no CPU, or of more than there can be, is refused with what to give."""
    with pytest.raises(RequestError, match=r"--share-pool .*: is no number of CPUs; give 1 to 8192, or 1%"):
        PoolLimit.parse(text, field="--share-pool")


@given(topologies(24), st.data())
def test_pools_follow_sets_that_overlap(topology: Topology, data: st.DataObject) -> None:
    """Sets may be held by several pods; a CPU is free again when the last of them is released."""
    state = NodeState(topology, limit=PoolLimit(minimum_cpus=0))
    some = st.frozensets(st.sampled_from(sorted(topology.position)), min_size=1, max_size=4)
    for number in range(data.draw(st.integers(1, 8))):
        qos = data.draw(st.sampled_from([QoS.LSE, QoS.LSR]))
        what = data.draw(st.sampled_from(["hold", "assign", "release"]))
        pod = Pod(f"p{number}", qos, 1000, Request(1, exclusive=data.draw(st.sampled_from(Exclusive))))
        if what == "hold":
            state.hold([(pod, data.draw(some))])
        elif what == "release" and state.pods():
            state.release(data.draw(st.sampled_from(sorted(state.pods()))))
        elif state.available():
            state.assign(pod)
        held = {uid: state.cpus_of(uid) for uid in state.pods()}
        alone = [cpus for uid, cpus in held.items() if state.pods()[uid].qos is QoS.LSE]
        everything = frozenset(topology.position)
        assert state.available() == state.shared_pool() == everything.difference(*held.values())
        assert state.be_pool() == everything.difference(*alone)
        by_level = [
            topology.mask(
                cpu for uid, cpus in held.items() for cpu in cpus
                if state.pods()[uid].request.exclusive is level
            )
            for level in (Exclusive.PCPU_LEVEL, Exclusive.NUMA_NODE_LEVEL)
        ]  # fmt: skip
        assert list(state._snapshot.levels) == by_level


def test_adopting_what_is_not_to_be_had() -> None:
    """A pod cannot bring CPUs that are reserved, held or of the wrong number."""
    state = NodeState(SIXTEEN, Reservations(reserved=frozenset({0})))
    state.adopt(Pod("a", QoS.LSE, 1000), {1})
    for cpus, problem in (({0}, "CPUs 0 are reserved"), ({1}, "CPUs 1 are"), ({2, 3}, "not 1 CPUs")):
        with pytest.raises(SharingError, match=problem):
            state.adopt(Pod("b", QoS.LSR, 1000), cpus)
    with pytest.raises(SharingError, match="no CPUs of its own"):
        state.adopt(Pod("b", QoS.LS, 1000), {2})
    with pytest.raises(RequestError, match="cpus 16"):
        state.adopt(Pod("b", QoS.LSR, 1000), {16})


def test_twice_and_unknown() -> None:
    """A pod comes once, and only what is there is released."""
    state = NodeState(SIXTEEN)
    state.assign(Pod("a", QoS.BE, 0))
    with pytest.raises(SharingError, match="uid 'a': is on this node already"):
        state.assign(Pod("a", QoS.BE, 0))
    with pytest.raises(SharingError, match="uid 'b': is not on this node"):
        state.release("b")


@pytest.mark.parametrize(
    ("qos", "milli"), [(QoS.LSE, 0), (QoS.LSR, 1500), (QoS.LS, -1), (QoS.LSE, 1.0), (QoS.BE, True)]
)
def test_amounts_are_checked(qos: QoS, milli: int) -> None:
    """LSE and LSR pods request whole CPUs; nobody requests less than nothing."""
    with pytest.raises(RequestError, match="cpu "):
        Pod("a", qos, milli)


def test_system_pods() -> None:
    """SYSTEM pods run on their set where there is one, else on the share pool."""
    state = NodeState(SIXTEEN, Reservations(system=frozenset({14, 15})))
    assert state.assign(Pod("d", QoS.SYSTEM, 100)) == {14, 15}
    assert NodeState(SIXTEEN).assign(Pod("d", QoS.SYSTEM, 100)) == parse_cpulist("0-15")


def test_many_threads() -> None:
    """Pods that come and go in many threads never share a CPU."""
    state = NodeState(parse_shape("2x1x16x2"))
    failures: list[object] = []

    def run(name: str) -> None:
        for round_ in range(60):
            pod = Pod(f"{name}-{round_}", QoS.LSR if round_ % 2 else QoS.LSE, 3000)
            try:
                mine = state.assign(pod)
            except CpuSetError as error:
                failures.append(error)
                continue
            if mine & state.shared_pool() or mine & state.available():
                failures.append(mine)
            state.release(pod.uid)

    threads = [threading.Thread(target=run, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(state.available()) == 64
