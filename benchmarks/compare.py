"""Before and after: another checkout and this one, in turns within one run.

A machine is slow by the minute, so figures of two runs cannot be compared. Each turn measures both
trees, one just after the other, and every second turn in the other order.

* reviews: CPU per review at 8 connections, with one profile and with 10,000; the ratio is the median
  of the turns' ratios, at most 1.03. Both services run throughout.
* cpuset: ns per call of the CPU-set allocator, in C and from Python, each the least over the turns;
  every row at most 1.1. The measuring code is this tree's.
* memory and start-up: the tables of `benchmarks.memory` and `benchmarks.startup`, of both trees.

The other checkout needs a virtual environment of its own (`make .venv/installed` in it). The exit
status is 1 if a ratio is above its limit.

    python -m benchmarks.compare DIR [PART ...] [--turns N] [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks import memory, startup
from benchmarks.process import on_server_core
from benchmarks.server import serving, workplace
from benchmarks.tree import ROOT, Tree, environment

CONNECTIONS: Final = 8
PROFILES: Final = (1, 10_000)
CPUSET_TURNS: Final = 5
REVIEW_LIMIT: Final = 1.03
CPUSET_LIMIT: Final = 1.1
WAYS: Final = {"short": "C", "general": "C general", "python": "Python", "churn": "assign+release"}

T = TypeVar("T")
Pair = tuple[Tree, Tree]
Row = tuple[str, int, int]


def main() -> None:
    """Compare the parts that were asked for; exits 1 if one is above its limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("reviews", "cpuset", "memory", "start-up")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the checkout that is `before`")
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"{', '.join(parts)}; all without any")
    parser.add_argument("--turns", type=int, default=30, help="turns of `reviews`")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one tree's turn of `reviews`")
    options = parser.parse_args()
    for part in options.parts:
        if part not in parts:
            parser.error(f"PART {part!r} is none of {', '.join(parts)}")
    pair = Tree.at(options.folder, "before"), Tree.here("after")
    for tree in pair:
        print(f"{tree.name}: {tree.folder}, {tree.build}")
    held = []
    with workplace() as folder:
        for part in options.parts or parts:
            print()
            if part == "reviews":
                held += [reviews(folder, pair, n, options.turns, options.seconds) for n in PROFILES]
            elif part == "cpuset":
                held.append(cpuset(pair))
            elif part == "memory":
                ratios(pair, memory.show(folder, pair, memory.RUNS))
            else:
                ratios(pair, startup.show(folder, pair, startup.RUNS))
    sys.exit(not all(held))


def in_turns(pair: Pair, turns: int, measure: Callable[[Tree], T]) -> list[tuple[T, T]]:
    """Measure both trees so often; each turn is what was found before and after."""
    found = []
    for turn in range(turns):
        results = {tree: measure(tree) for tree in (pair if turn % 2 == 0 else reversed(pair))}
        found.append((results[pair[0]], results[pair[1]]))
    return found


def reviews(folder: Path, pair: Pair, profiles: int, turns: int, seconds: float) -> bool:
    """Print CPU per review of both trees; return whether the ratio is within its limit."""
    with serving(pair[0], folder, profiles) as before, serving(pair[1], folder, profiles) as after:
        services = dict(zip(pair, (before, after), strict=True))
        found = in_turns(pair, turns, lambda tree: services[tree].measure(CONNECTIONS, seconds))
    failed = sum(figure.load.failed for turn in found for figure in turn)
    medians = [statistics.median(figure.cpu for figure in figures) for figures in zip(*found, strict=True)]
    low, ratio, high = statistics.quantiles((after.cpu / before.cpu for before, after in found), n=4)
    text = (
        f"CPU per review, profiles {profiles:,}, connections {CONNECTIONS}: before {medians[0]:.1f} µs, "
        f"after {medians[1]:.1f} µs, ratio {ratio:.3f} ({turns} turns, half of them {low:.3f} to "
        f"{high:.3f}), {failed} failed"
    )
    return _judged(text, REVIEW_LIMIT, held=ratio <= REVIEW_LIMIT and not failed)


def cpuset(pair: Pair) -> bool:
    """Print ns per call of both trees; return whether every ratio is within its limit."""
    found = in_turns(pair, CPUSET_TURNS, _cpuset_rows)
    print(f"CPU sets: ns per call, least of {CPUSET_TURNS} turns, before and after\n")
    print(f"{'policy':<14}{'CPUs':>5}{'n':>4}" + "".join(f"{way:>27}" for way in WAYS.values()))
    found_ratios = []
    for row in found[0][0]:
        cells = ""
        for way in WAYS:
            before, after = (min(turn[row][way] for turn in turns) for turns in zip(*found, strict=True))
            found_ratios.append(after / before)
            cells += f"{before:>10.0f}{after:>9.0f}{found_ratios[-1]:>8.3f}"
        print(f"{row[0]:<14}{row[1]:>5}{row[2]:>4}{cells}")
    largest, middle = max(found_ratios), statistics.median(found_ratios)
    text = f"CPU sets: the largest ratio is {largest:.3f}, the median {middle:.3f}"
    return _judged(text, CPUSET_LIMIT, held=largest <= CPUSET_LIMIT)


def ratios(pair: Pair, figures: dict[Tree, dict[str, float]]) -> None:
    """Print each figure of the second tree as a share of the first one's."""
    before, after = (figures[tree] for tree in pair)
    print("after / before: " + ", ".join(f"{name} {after[name] / before[name]:.3f}" for name in before))


def _cpuset_rows(tree: Tree) -> dict[Row, dict[str, Any]]:
    """This tree's measuring code, with the tree's Python and package."""
    script = str(ROOT / "benchmarks" / "cpuset.py")
    command = on_server_core([str(tree.python), "-P", script, "--json", "--quick"])
    variables = environment() | {"PYTHONPATH": str(tree.folder)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    return {(row["policy"], row["cpus"], row["count"]): row for row in json.loads(done.stdout)}


def _judged(text: str, limit: float, *, held: bool) -> bool:
    print(f"{'ok  ' if held else 'MISS'} {text} (at most {limit})", flush=True)
    return held


if __name__ == "__main__":
    main()
