"""Koordlet's recorded choices of BE CPUs, and ours: which point makes the difference.

``python -m tests.agent.suppression.parity`` prints the list of differences; COLOCATION_REFERENCE names the
folder of the records.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.agent.suppression.builders import a_budget
from tests.agent.suppression.model import ORDER, cost, places_of
from tests.cpuset.parity import cases
from webhook.agent.suppression.decision import Decision, Options, decide
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.cpuset.discovery import topology_from_data
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod, Reservations
from webhook.slo.keys import CPUSET

SAME, AS_GOOD, WORSE = "the same set", "another set, as good", "worse"
NAME = "koordinator_besuppress.jsonl"
LIST = Path(__file__).parents[2] / "data" / "suppression_differences.txt"


class Compared(NamedTuple):
    """One case: its number, the point of difference, koordlet's set and ours."""

    number: int
    point: str
    theirs: str
    ours: str


def compared(path: Path) -> Iterator[Compared]:
    """Yield the cases of a file, decided by the agent and judged by the model."""
    for case in cases(path):
        topology = topology_from_data(case["topology"])
        sets = {
            name: parse_cpulist(case[name])
            for name in ("lse", "lsr", "reserved", "systemQOSExclusive", "oldBE", "expected")
        }
        node = NodeState(topology, Reservations(reserved=sets["reserved"], system=sets["systemQOSExclusive"]))
        held = [(QoS.LSE, sets["lse"]), (QoS.LSR, sets["lsr"])]
        node.hold((Pod(str(kind), kind, len(cpus) * 1000), cpus) for kind, cpus in held if cpus)
        before = Decision(CPUSET, sets["oldBE"])
        budget = a_budget(case["wantMilliCPU"], topology.size)
        assert budget.amount == case["wantMilliCPU"]
        ours = decide(budget, Options(), node, before).cpus
        places = places_of(case["topology"])
        step = -(-len(places) // 10)
        wanted = min(max(2, -(-case["wantMilliCPU"] // 1000)), len(sets["oldBE"]) + step)
        allowed = (
            frozenset(cpu for cpu, *_ in places)
            - sets["lse"] - sets["reserved"] - sets["systemQOSExclusive"]
        )  # fmt: skip
        mine, other = (
            cost(places, cpus, wanted, allowed=allowed, lsr=sets["lsr"], old=sets["oldBE"])
            for cpus in (ours, sets["expected"])
        )
        point = SAME if ours == sets["expected"] else AS_GOOD if mine == other else WORSE
        if mine < other:
            point = next(name for name, x, y in zip(ORDER, mine, other, strict=True) if x != y)
        yield Compared(case["id"], point, case["expected"], format_cpulist(ours))


def lines(found: list[Compared]) -> list[str]:
    """Return the list of differences, point by point."""
    by_point: dict[str, list[str]] = {}
    for each in found:
        if each.point != SAME:
            by_point.setdefault(each.point, []).append(str(each.number))
    order = [*ORDER, AS_GOOD]
    return [f"{point}: {' '.join(by_point[point])}" for point in order if point in by_point]


if __name__ == "__main__":
    for line in lines(list(compared(Path(os.environ["COLOCATION_REFERENCE"]) / "cpuset" / NAME))):
        print(line)
