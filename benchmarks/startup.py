"""Start-up: milliseconds from exec to the end of a command, or to the first answered review.

`colocation-webhook --help`, `--version`, and `serve` with one profile and its certificates in place,
until a review was answered over TLS. `python -c pass` of the same Python in the same run is what
the ratios are to. Everything runs on one core, the client on the other; all files are in the page
cache and all bytecode is compiled. Each figure is the median of several runs.

    python -m benchmarks.startup [--runs N]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.server import serve_command, target_of, workplace
from benchmarks.service.load import ask
from benchmarks.service.process import free_port, on_server_core, spawned
from benchmarks.tree import Tree, environment
from webhook.certificates.files import CertificateFiles

RUNS: Final = 11
NOTHING: Final = "python -c pass"
SERVE: Final = "serve, first answer"
_POLL_SECONDS: Final = 0.002
_LONGEST_SECONDS: Final = 60.0


def main() -> None:
    """Measure this tree and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="runs that a figure is the median of")
    options = parser.parse_args()
    with workplace() as folder:
        show(folder, [Tree.here()], options.runs)


def show(folder: Path, trees: Sequence[Tree], runs: int) -> dict[Tree, dict[str, float]]:
    """Print and return ms of each tree, and print the ratio to ``pass``; the trees take turns."""
    print(f"Start-up in ms on one core, median of {runs} runs\n")
    print(f"{'tree':<10}{'command':<22}{'ms':>7}{'of pass':>9}  Python")
    rounds = [{tree: _measure(folder, tree) for tree in trees} for _ in range(runs + 1)]
    medians = {
        # The first round fills the page cache and compiles bytecode.
        tree: {name: statistics.median(found[tree][name] for found in rounds[1:]) for name in rounds[0][tree]}
        for tree in trees
    }
    for tree, figures in medians.items():
        for name, ms in figures.items():
            print(f"{tree.name:<10}{name:<22}{ms:>7.1f}{ms / figures[NOTHING]:>9.2f}  {tree.build}")
    return medians


def _measure(folder: Path, tree: Tree) -> dict[str, float]:
    return {
        NOTHING: _until_end([str(tree.python), "-c", "pass"]),
        "--version": _until_end([tree.command, "--version"]),
        "--help": _until_end([tree.command, "--help"]),
        SERVE: _until_answer(folder, tree),
    }


def _until_end(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(on_server_core(command), check=True, stdout=subprocess.DEVNULL, env=environment())
    return (time.perf_counter() - begun) * 1000


def _until_answer(folder: Path, tree: Tree) -> float:
    port, log = free_port(), folder / "startup.log"
    command = serve_command(tree, folder, 1, port)
    target = target_of(CertificateFiles(folder), port)
    begun = time.perf_counter()
    with spawned(command, log) as process:
        while process.poll() is None and time.perf_counter() - begun < _LONGEST_SECONDS:
            with contextlib.suppress(OSError):
                if target.marker in ask(target):
                    return (time.perf_counter() - begun) * 1000
            time.sleep(_POLL_SECONDS)
    raise RuntimeError(log.read_text())


if __name__ == "__main__":
    main()
