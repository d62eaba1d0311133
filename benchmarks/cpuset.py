"""Time per call of the CPU-set allocator: in C, from Python, and in plain Python.

Machines of 2 sockets x 2 NUMA nodes (16 CPUs: the same, smaller) and two threads a
core, half of the CPUs free at random, MostAllocated, nothing preferred. Every figure
is the best of several rounds; plain Python is the same order in ``plain.py``.

    python -m benchmarks.cpuset [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import webhook
from benchmarks.plain import Problem
from benchmarks.plain import allocate as plain_allocate
from benchmarks.tree import Tree
from webhook.cpuset.allocation import BindPolicy, Request
from webhook.cpuset.errors import NotEnoughCpusError
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod, PoolLimit
from webhook.cpuset.topology import Topology

NATIVE = Path(webhook.__file__).resolve().parents[1] / "native"
SIZES = (16, 32, 64, 128, 256, 512)
COUNTS = (4, 16)
POLICIES = (BindPolicy.FULL_PCPUS, BindPolicy.SPREAD_BY_PCPUS)
NODES = 12  # random nodes a figure is the mean over
FEW_NODES = 3  # the same for plain Python, which is slow, and for a quick look

Key = tuple[int, int, str]


def native() -> dict[Key, dict[str, float]]:
    """Return ns per call in C: the short way, and the general one for comparison."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["make", "-s", "-C", str(NATIVE), f"BUILD={folder}", f"{folder}/bench"], check=True)
        text = subprocess.run([f"{folder}/bench"], check=True, capture_output=True, text=True).stdout
    found: dict[Key, dict[str, float]] = {}
    for line in text.splitlines():
        cpus, count, policy, way, ns = line.split()
        found.setdefault((int(cpus), int(count), policy), {})[way] = float(ns)
    return found


def half_full(topology: Topology, seed: int) -> NodeState:
    """Return a node of which an LSR pod holds half of the CPUs at random."""
    state = NodeState(topology, limit=PoolLimit(minimum_cpus=0))
    taken = random.Random(seed).sample(range(topology.size), topology.size // 2)
    state.adopt(Pod("half", QoS.LSR, len(taken) * 1000), taken)
    return state


def best_ns(call: Callable[[], object], seconds: float = 0.02, rounds: int = 5) -> float:
    """Return the least mean ns per call over some rounds."""
    calls, best = 1, float("inf")
    while True:
        start = time.perf_counter_ns()
        for _ in range(calls):
            call()
        spent = time.perf_counter_ns() - start
        if spent >= seconds * 1e9 / rounds:
            best = min(best, spent / calls)
            rounds -= 1
            if rounds <= 0:
                return best
        else:
            calls *= 2


def measure(cpus: int, count: int, policy: BindPolicy, *, quick: bool) -> dict[str, float]:
    """Return mean ns per call from Python and, if not quick, in plain Python over random nodes."""
    topology = Topology.regular(2, 2, cpus // 8, 2)
    found: dict[str, list[float]] = {"python": [], "churn": []}
    if not quick:
        found["plain"] = []
    for seed in range(FEW_NODES if quick else NODES):
        state = half_full(topology, seed)
        problem = Problem(topology, state.available(), Request(count, policy))

        def ask(state: NodeState = state) -> None:
            try:
                state.allocate(Request(count, policy))
            except NotEnoughCpusError:
                return

        def churn(state: NodeState = state) -> None:
            try:
                state.assign(Pod("new", QoS.LSR, count * 1000, Request(count, policy)))
            except NotEnoughCpusError:
                return
            state.release("new")

        found["python"].append(best_ns(ask))
        found["churn"].append(best_ns(churn))
        if not quick and seed < FEW_NODES:
            found["plain"].append(best_ns(lambda problem=problem: plain_allocate(problem), 0, 1))
    return {name: statistics.mean(times) for name, times in found.items()}


def main() -> int:
    """Print the table; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="fewer nodes, no plain Python; only with --json")
    options = parser.parse_args()
    if options.quick and not options.json:
        parser.error("--quick leaves a column of the table empty: add --json")
    rows = []
    in_c = native()
    for policy in POLICIES:
        for cpus in SIZES:
            for count in COUNTS:
                row = {
                    "cpus": cpus,
                    "count": count,
                    "policy": str(policy),
                    **in_c[cpus, count, str(policy)],
                    **measure(cpus, count, policy, quick=options.quick),
                }
                rows.append(row)
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(Tree.here().build)
    print(
        "ns per call; assign+release is a pod coming and going, with its sharing rules; refused: more "
        "is asked for than half of the machine\n"
    )
    print(
        f"{'policy':<14}{'CPUs':>5}{'n':>4}{'C':>8}{'C general':>11}{'Python':>9}"
        f"{'assign+release':>16}{'plain Python':>14}{'plain/C':>9}{'plain/Python':>14}"
    )
    for row in rows:
        plain = row["plain"]
        print(
            f"{row['policy']:<14}{row['cpus']:>5}{row['count']:>4}{row['short']:>8.0f}"
            f"{row['general']:>11.0f}{row['python']:>9.0f}{row['churn']:>16.0f}{plain:>14.0f}"
            f"{plain / row['short']:>9.0f}{plain / row['python']:>14.0f}"
            f"{'  refused' if row['count'] > row['cpus'] // 2 else ''}"
        )
    figures = {(row["cpus"], row["count"]): row for row in rows if row["policy"] == "FullPCPUs"}
    target, larger = figures[256, 16], figures[512, 16]
    checks = {
        f"256 CPUs, n=16, FullPCPUs in C: {target['short']:.0f} ns (at most 2000)": target["short"] <= 2000,
        f"the same from Python with a NodeState: {target['python']:.0f} ns (at most 8000)": target["python"]
        <= 8000,
        f"512 CPUs to 256 in C: {larger['short'] / target['short']:.2f} (at most 2.5)": larger["short"]
        <= 2.5 * target["short"],
        f"512 CPUs to 256 from Python: {larger['python'] / target['python']:.2f} (at most 2.5)": larger[
            "python"
        ]
        <= 2.5 * target["python"],
    }
    print()
    for text, held in checks.items():
        print(f"{'ok  ' if held else 'MISS'} {text}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
