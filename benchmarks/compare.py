"""Before and after: another checkout and this one, in turns within one run.

A machine is slow by the minute, so figures of two runs cannot be compared. Each turn measures both
trees, one just after the other, and every second turn in the other order.

* reviews: CPU per review at 8 connections (`--connections`), with one profile and with 10,000; the
  ratio is the median of the turns' ratios, at most 1.03; that of p99, which a busy machine makes, is
  shown. Both services run throughout; the handshakes of a turn are included.
* cpuset: ns per call of the CPU-set allocator, in C and from Python, each the least over the turns;
  every ratio at most 1.1. Three turns; while a ratio is above its limit more of them, ten at most. The
  measuring code is this tree's.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from benchmarks import memory, startup
from benchmarks.server import serving, workplace
from benchmarks.service.process import on_server_core
from benchmarks.tree import ROOT, Tree, environment

CONNECTIONS: Final = 8
PROFILES: Final = (1, 10_000)
CPUSET_TURNS: Final = (3, 10)
REVIEW_LIMIT: Final = 1.03
CPUSET_LIMIT: Final = 1.1
WAYS: Final = {"short": "C", "general": "C general", "python": "Python", "churn": "assign+release"}

T = TypeVar("T")
Pair = tuple[Tree, Tree]
Cells = dict[tuple[tuple[str, int, int], str], float]  # Policy, CPUs and n of a row; a way of WAYS


def main() -> None:
    """Compare the parts that were asked for; exits 1 if one is above its limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("reviews", "cpuset", "memory", "start-up")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the checkout that is `before`")
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"{', '.join(parts)}; all without any")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="connections of `reviews`")
    parser.add_argument("--turns", type=int, default=200, help="turns of `reviews`")
    parser.add_argument("--seconds", type=float, default=0.25, help="length of one tree's turn of `reviews`")
    options = parser.parse_args()
    for part in options.parts:
        if part not in parts:
            parser.error(f"PART: {part!r} is none of {', '.join(parts)}")
    if not options.folder.is_dir():
        parser.error(f"DIR: {options.folder} is no folder; name a checkout of this project")
    pair = Tree.at(options.folder, "before"), Tree.here("after")
    for tree in pair:
        print(f"{tree.name}: {tree.folder}, {tree.build}")
    held = []
    with workplace() as folder:
        for part in options.parts or parts:
            print()
            if part == "reviews":
                held += [reviews(folder, pair, n, options) for n in PROFILES]
            elif part == "cpuset":
                held.append(cpuset(pair))
            elif part == "memory":
                ratios(pair, memory.show(folder, pair, memory.RUNS))
            else:
                ratios(pair, startup.show(folder, pair, startup.RUNS))
    sys.exit(not all(held))


def in_turns(pair: Pair, turns: int, measure: Callable[[Tree], T]) -> Iterator[tuple[T, T]]:
    """Measure both trees so often; yield of each turn what was found before and after."""
    for turn in range(turns):
        results = {tree: measure(tree) for tree in (pair if turn % 2 == 0 else reversed(pair))}
        yield results[pair[0]], results[pair[1]]


def reviews(folder: Path, pair: Pair, profiles: int, options: argparse.Namespace) -> bool:
    """Print CPU per review of both trees; return whether the ratio is within its limit."""
    connections, turns, seconds = options.connections, options.turns, options.seconds
    with serving(pair[0], folder, profiles) as before, serving(pair[1], folder, profiles) as after:
        services = dict(zip(pair, (before, after), strict=True))
        found = list(in_turns(pair, turns, lambda tree: services[tree].measure(connections, seconds)))
    failed = sum(figure.load.failed for turn in found for figure in turn)
    medians = [statistics.median(figure.cpu for figure in figures) for figures in zip(*found, strict=True)]
    low, ratio, high = statistics.quantiles((after.cpu / before.cpu for before, after in found), n=4)
    slowest = statistics.median(after.load.p99 / before.load.p99 for before, after in found)
    text = (
        f"CPU per review, profiles {profiles:,}, connections {connections}: before {medians[0]:.1f} µs, "
        f"after {medians[1]:.1f} µs, ratio {ratio:.3f} ({turns} turns, half of them {low:.3f} to "
        f"{high:.3f}), p99 {slowest:.3f}, {failed} failed"
    )
    return _judged(text, REVIEW_LIMIT, held=ratio <= REVIEW_LIMIT and not failed)


def cpuset(pair: Pair) -> bool:
    """Print ns per call of both trees; return whether every ratio is within its limit."""
    fewest, most = CPUSET_TURNS
    before: Cells = {}
    after: Cells = {}
    for turn, found in enumerate(in_turns(pair, most, _cpuset_cells), 1):
        for least, cells in zip((before, after), found, strict=True):
            least |= {cell: min(ns, least.get(cell, ns)) for cell, ns in cells.items()}
        shares = {cell: after[cell] / before[cell] for cell in before}
        if turn >= fewest and max(shares.values()) <= CPUSET_LIMIT:
            break
    print(f"CPU sets: ns per call, least of {turn} turns: before, after, ratio\n")
    print(f"{'policy':<14}{'CPUs':>5}{'n':>4}" + "".join(f"{way:>27}" for way in WAYS.values()))
    for row in dict.fromkeys(row for row, _ in before):
        texts = (f"{before[row, way]:>10.0f}{after[row, way]:>9.0f}{shares[row, way]:>8.3f}" for way in WAYS)
        print(f"{row[0]:<14}{row[1]:>5}{row[2]:>4}" + "".join(texts))
    largest, middle = max(shares.values()), statistics.median(shares.values())
    text = f"CPU sets: the largest ratio is {largest:.3f}, the median {middle:.3f}"
    return _judged(text, CPUSET_LIMIT, held=largest <= CPUSET_LIMIT)


def ratios(pair: Pair, figures: dict[Tree, dict[str, float]]) -> None:
    """Print each figure of the second tree as a share of the first one's."""
    before, after = (figures[tree] for tree in pair)
    print("after / before: " + ", ".join(f"{name} {after[name] / before[name]:.3f}" for name in before))


def _cpuset_cells(tree: Tree) -> Cells:
    """Measure with this tree's code, and with the tree's Python and package."""
    script = str(ROOT / "benchmarks" / "cpuset.py")
    command = on_server_core([str(tree.python), "-P", script, "--json", "--quick"])
    variables = environment() | {"PYTHONPATH": str(tree.folder)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    return {
        ((row["policy"], row["cpus"], row["count"]), way): row[way]
        for row in json.loads(done.stdout)
        for way in WAYS
    }


def _judged(text: str, limit: float, *, held: bool) -> bool:
    print(f"{'ok  ' if held else 'MISS'} {text} (at most {limit})", flush=True)
    return held


if __name__ == "__main__":
    main()
