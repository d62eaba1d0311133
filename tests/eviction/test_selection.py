"""Which pods go, next to a model of the rules that looks at everything again for each pod."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.eviction.builders import GI, candidate, cpu_ask, memory_ask
from webhook.eviction.asking import Ask
from webhook.eviction.budget import Budget, Eviction, Room, Spending
from webhook.eviction.candidates import Candidate, Use
from webhook.eviction.selection import select
from webhook.eviction.thresholds import Form

WIDE = Budget(100, 100, 100)
FREE = {"koordinator.sh/priority-class": "koord-free"}
MID = {"koordinator.sh/priority-class": "koord-mid"}


def names(*asks: Ask, pods: list[Candidate], uses: dict[str, Use], **more: Any) -> list[str]:
    """Return who goes, in order."""
    pending = more.pop("pending", [])
    room = Room(more.pop("budget", WIDE), more.pop("spent", []))
    found = select(asks, pods, uses, pending, room, **more)
    return [victim.pod.name for victim in found.victims]


def used(**amounts: int) -> dict[str, Use]:
    """Return what pods use, in GiB and cores, by name."""
    return {f"uid-{name}": Use(amount * 1000, amount * GI) for name, amount in amounts.items()}


def priority(value: int) -> dict[str, Any]:
    """Return a spec with a priority."""
    return {"nodeName": "n1", "priority": value}


def test_the_order() -> None:
    """Class, then priority, then eviction-priority, then the label, then the greater use, then the name."""
    pods = [
        candidate("free", labels=FREE, spec=priority(3999)),
        candidate("low", spec=priority(5000)),
        candidate("first", annotations={"koordinator.sh/eviction-priority": "-1"}, spec=priority(5500)),
        candidate("sub", labels={"koordinator.sh/priority": "1"}, spec=priority(5500)),
        candidate("big", spec=priority(5500)),
        candidate("a", spec=priority(5500)),
        candidate("b", spec=priority(5500)),
        candidate("mid", labels=MID, spec=priority(7000)),
    ]
    uses = used(free=1, low=1, first=1, sub=1, big=2, a=1, b=1, mid=1)
    everything = memory_ask(99, 100 * GI)
    assert names(everything, pods=pods[::-1], uses=uses, mid=True) == [pod.name for pod in pods]
    assert names(everything, pods=pods, uses=uses) == [pod.name for pod in pods[:-1]]


def test_no_more_than_needed() -> None:
    """As soon as what is asked for is covered, nobody else goes; what is pending counts."""
    pods = [candidate(name) for name in "abc"]
    uses = used(a=3, b=3, c=3, gone=4)
    assert names(memory_ask(), pods=pods, uses=uses) == ["a", "b"]  # 5 GiB
    assert names(memory_ask(), pods=pods, uses=uses, pending=[candidate("gone")]) == ["a"]
    assert names(memory_ask(), pods=pods, uses={}) == []  # nothing is known of what they use


def test_what_goes_counts_for_all_asks() -> None:
    """A pod that goes for CPU releases memory, too."""
    pods = [candidate("a", cpu="6k"), candidate("b")]
    assert names(cpu_ask(), memory_ask(), pods=pods, uses=used(a=5, b=4)) == ["a"]
    assert names(cpu_ask(), memory_ask(), pods=pods, uses=used(a=4, b=4)) == ["a", "b"]


def test_budgets() -> None:
    """A workload whose budget is spent is passed over; that of the node or the cluster ends it."""
    owner = {"ownerReferences": [{"kind": "Job", "uid": "j", "controller": True}]}
    pods = [candidate("a", metadata=owner), candidate("b", metadata=owner), candidate("c")]
    uses, everything = used(a=1, b=1, c=1), memory_ask(99)
    assert names(everything, pods=pods, uses=uses, budget=Budget(9, 9, 1)) == ["a", "c"]
    assert names(everything, pods=pods, uses=uses, budget=Budget(9, 2, 9)) == ["a", "b"]
    assert names(everything, pods=pods, uses=uses, budget=Budget(2, 9, 9)) == ["a", "b"]
    elsewhere = [Eviction("x", "n2", "j", 0.0)]
    assert names(everything, pods=pods, uses=uses, budget=Budget(9, 1, 1), spent=elsewhere) == ["c"]
    found = select([everything], pods, uses, [], Room(Budget(9, 1, 9), []))
    assert found.unmet == ((everything, "the budget of the node is spent for this minute"),)


def test_a_minute() -> None:
    """What was evicted counts for sixty seconds, a pod once, and not when it was refused."""
    spending = Spending(Budget(1, 1, 1))
    spending.note(Eviction("u", "n", "w", 100.0))
    spending.note(Eviction("u", "n", "w", 99.0))
    assert spending.room(159.9).lacks("n", "w") == "cluster"
    assert spending.room(160.0).lacks("n", "w") == ""
    spending.note(Eviction("u", "n", "w", 200.0))
    spending.strike(["u"])
    assert spending.room(201.0).lacks("n", "w") == ""


def modelled(
    asks: list[Ask], pods: list[Candidate], uses: dict[str, Use], pending: list[Candidate], budget: Budget
) -> list[str]:
    """Return who goes, by looking at everything again for each pod."""
    gone: list[Candidate] = []

    def amount(pod: Candidate, ask: Ask) -> int:
        if ask.form is Form.BE_CPU:
            return pod.requests["kubernetes.io/batch-cpu"]
        use = uses.get(pod.uid)
        return 0 if use is None else use[1] if ask.resource == "memory" else use[0]

    for ask in asks:
        while sum(amount(pod, ask) for pod in pending + gone) < ask.release and len(gone) < min(budget[:2]):
            workloads = Counter(pod.workload for pod in gone)
            left = [
                pod
                for pod in pods
                if pod not in gone and workloads[pod.workload] < budget.workload and amount(pod, ask) > 0
            ]
            if not left:
                break
            by_cpu = 0 if ask.form is Form.BE_CPU else 1
            gone.append(
                min(left, key=lambda pod: (pod.priority, -(uses.get(pod.uid) or Use(0, 0))[by_cpu], pod.name))
            )
    return [pod.name for pod in gone]


PODS = st.lists(
    st.builds(
        lambda name, value, job, cpu: (
            candidate(
                name,
                cpu=cpu,
                spec=priority(value),
                metadata={"ownerReferences": [{"kind": "Job", "uid": job, "controller": True}]},
            )
            ._replace(priority=value, sub_priority=0)
            ._replace(requests={"kubernetes.io/batch-cpu": int(cpu)})
        ),
        st.sampled_from("abcdefgh"),
        st.integers(5000, 5002),
        st.sampled_from(["j1", "j2", "j3"]),
        st.integers(0, 4000).map(str),
    ),
    max_size=8,
    unique_by=lambda pod: pod.name,
)
USES = st.dictionaries(
    st.sampled_from([f"uid-{each}" for each in "abcdefgh"]),
    st.builds(Use, st.integers(0, 4000), st.integers(0, 4 * GI)),
)
ASKS = st.sampled_from([[], [cpu_ask()], [memory_ask()], [cpu_ask(), memory_ask()]])


@given(ASKS, PODS, USES, st.integers(0, 3), st.builds(Budget, *[st.integers(0, 4)] * 3))
def test_as_the_model(
    asks: list[Ask], pods: list[Candidate], uses: dict[str, Use], ending: int, budget: Budget
) -> None:
    """Whatever pods, uses and budgets there are."""
    pending, there = pods[:ending], pods[ending:]
    found = names(*asks, pods=there, uses=uses, pending=pending, budget=budget)
    assert found == modelled(asks, there, uses, pending, budget)
