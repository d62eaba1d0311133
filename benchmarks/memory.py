"""Memory of a running service: proportional set size (PSS) of all its processes, in MiB.

`serve` with one worker, so a gunicorn master and a worker, as it is by default and with `--worker flask`,
with one profile and with 10,000 from files. Three figures of one life: once it listens and has answered
nothing, after some thousand reviews on 8 connections, and after a request that is no review, which Flask
answers. Each is the median of several lives.

PSS counts a page that n processes share as 1/n in each of them. So the figures say what the service
adds to the machine, and are a little smaller where other programs use the same Python.

    python -m benchmarks.memory [--runs N]
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.server import Running, serving, workplace
from benchmarks.service.load import ask, run
from benchmarks.tree import Tree

SERVICES: Final = {
    "1": (1,),
    "10,000": (10_000,),
    "1, flask": (1, "--worker", "flask"),
}
"""What is measured: the number of profiles, and options beside the defaults."""

REVIEWS: Final = 5_000
RUNS: Final = 3
STAGES: Final = ("started", f"{REVIEWS:,} reviews", "other request")

Life = tuple[float, float, float]


def main() -> None:
    """Measure this tree and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="lives that a figure is the median of")
    options = parser.parse_args()
    with workplace() as folder:
        show(folder, [Tree.here()], options.runs)


def show(folder: Path, trees: Sequence[Tree], runs: int) -> dict[Tree, dict[str, float]]:
    """Print and return MiB of each tree; the trees take turns."""
    print(f"PSS in MiB of all processes of `serve`, one worker, median of {runs} runs\n")
    print(f"{'tree':<10}{'profiles':>10}" + "".join(f"{stage:>15}" for stage in STAGES) + "  Python")
    figures: dict[Tree, dict[str, float]] = {tree: {} for tree in trees}
    for name, (profiles, *more) in SERVICES.items():
        lives: dict[Tree, list[Life]] = {tree: [] for tree in trees}
        for _ in range(runs):
            for tree in trees:
                with serving(tree, folder, profiles, *more) as service:
                    lives[tree].append(_live(service))
        for tree in trees:
            medians = [statistics.median(stage) for stage in zip(*lives[tree], strict=True)]
            cells = "".join(f"{median:>15.1f}" for median in medians)
            print(f"{tree.name:<10}{name:>10}{cells}  {tree.build}", flush=True)
            names = (f"profiles {name} {stage}" for stage in STAGES)
            figures[tree] |= zip(names, medians, strict=True)
    return figures


def _live(service: Running) -> Life:
    started = service.server.proportional_mib()
    reviews = 0
    while reviews < REVIEWS:
        load = run(service.target, 8, 1.0)
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.requests} reviews were not answered with a patch")
        reviews += load.requests
    reviewed = service.server.proportional_mib()
    ask(dataclasses.replace(service.target, path="/"))
    return started, reviewed, service.server.proportional_mib()


if __name__ == "__main__":
    main()
