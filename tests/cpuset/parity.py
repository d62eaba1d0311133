"""Recorded answers of Koordinator and the kubelet, compared with ours case by case."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import topology_from_data
from webhook.cpuset.errors import CpuSetError
from webhook.cpuset.hints import Hint, NodeUse, NumaPolicy, merge_hints
from webhook.cpuset.problem import pose
from webhook.cpuset.suppression import be_count, measure_be, select_be

Outcome = Counter[str]


def cases(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the cases of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def compare_allocations(path: Path) -> Outcome:
    """Compare answers in the order of the ten lines; the wrong size is worse than any."""
    outcome: Outcome = Counter()
    for case in cases(path):
        topology = topology_from_data(case["topology"])
        theirs = parse_cpulist(case["expected"]) if "expected" in case else None
        try:
            pool, request = pose(case, topology)
            ours = pool.allocate(request)
        except CpuSetError:
            # For a count below 1 theirs is the empty set, ours an error.
            valid = theirs is not None and len(theirs) == case["numCPUs"] > 0
            valid = valid and pool.measure(request, theirs)[0] == 0
            outcome["worse" if valid else "equal"] += 1
            continue
        assert len(ours.cpus) == request.count
        assert pool.measure(request, ours.cpus)[0] == 0
        if theirs is None or len(theirs) != request.count:
            outcome["better"] += 1
            continue
        mine, other = pool.measure(request, ours.cpus), pool.measure(request, theirs)
        outcome["better" if mine < other else "equal" if mine == other else "worse"] += 1
    return outcome


def compare_hints(path: Path) -> Outcome:
    """Compare merged hints: admission has to be equal, the affinity at least as good."""
    outcome: Outcome = Counter()
    for case in cases(path):
        if case.get("unstable"):
            outcome["left out"] += 1
            continue
        resources = [
            [Hint(bits(hint["mask"]), hint["preferred"], hint["score"]) for hint in hints]
            for provider in case["providers"]
            for hints in provider.values()
        ]
        found = merge_hints(
            resources,
            nodes=case["numaNodes"],
            policy=NumaPolicy(case["policy"]),
            exclusive=case["exclusive"] == "Required",
            uses=[NodeUse(use) for use in case["status"]],
        )
        theirs = case["expected"]
        mask = bits(theirs["affinity"])
        mine = (not found.preferred, found.mask.bit_count(), -found.score, found.mask)
        other = (not theirs["preferred"], mask.bit_count(), -theirs["score"], mask)
        if found.admit != theirs["admit"]:
            outcome["worse"] += 1
        elif not found.admit or mine == other:
            outcome["equal"] += 1
        else:
            outcome["better" if mine < other else "worse"] += 1
    return outcome


def compare_suppression(path: Path) -> Outcome:
    """Compare BE sets by the six numbers of measure_be."""
    outcome: Outcome = Counter()
    for case in cases(path):
        topology = topology_from_data(case["topology"])
        sets = {
            name: topology.mask(parse_cpulist(case[name]))
            for name in ("lse", "lsr", "reserved", "systemQOSExclusive", "oldBE", "expected")
        }
        candidates = topology.everything & ~(sets["lse"] | sets["reserved"] | sets["systemQOSExclusive"])
        want = be_count(case["wantMilliCPU"], cpus=topology.size, current=sets["oldBE"].bit_count())
        asked = {"candidates": candidates, "lsr": sets["lsr"], "old": sets["oldBE"]}
        ours = topology.mask(select_be(topology, want, **asked))
        mine = measure_be(topology, want, ours, **asked)
        other = measure_be(topology, want, sets["expected"], **asked)
        assert ours.bit_count() == max(0, min(want, candidates.bit_count()))
        outcome["better" if mine < other else "equal" if mine == other else "worse"] += 1
    return outcome


def bits(nodes: list[int] | None) -> int:
    """Return a list of NUMA nodes as a mask; None is any."""
    return sum(1 << node for node in nodes or ())


COMPARISONS = {
    "koordinator_take": compare_allocations,
    "defects": compare_allocations,
    "kubelet_packed": compare_allocations,
    "kubelet_distributed": compare_allocations,
    "koordinator_hint_merge": compare_hints,
    "koordinator_besuppress": compare_suppression,
}
