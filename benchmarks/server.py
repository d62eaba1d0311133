"""What a review costs over TLS, beside the naive baseline in the same run.

Server on one core, client on the other. The review is a Spark executor's as a kube-apiserver sent
it. CPU is user and system time of the server's processes by the number of reviews, so it does not
depend on how busy the machine is; latencies and rates do. Memory is the proportional set size (PSS)
of the processes after that load.

    python -m benchmarks.server [--seconds S] [--profiles N ...] [--connections N ...]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.service.load import Load, Target, run
from benchmarks.service.objects import write_profiles
from benchmarks.service.process import Server, free_port, started
from benchmarks.tree import Tree
from webhook.certificates.files import CertificateFiles, ensure

CONNECTIONS = (1, 8, 32, 64)
PROFILES = (1, 100, 1_000, 10_000)
CLIENT_CORE = 1
REVIEW = Path(__file__).parent / "data" / "spark-submit-executor.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One server under one load: microseconds of CPU a review, MiB of memory, and what the client saw."""

    name: str
    cpu: float
    memory: float
    load: Load


@dataclasses.dataclass(frozen=True, slots=True)
class Pairing:
    """The service, and the baseline just before it under the same load.

    A shared machine is slow by the minute; what is measured side by side can be compared.
    """

    baseline: Figure
    ours: Figure

    @property
    def ratio(self) -> float:
        """CPU of a review as a share of the baseline's."""
        return self.ours.cpu / self.baseline.cpu


def main() -> None:
    """Measure and print; exits 1 when a request failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--profiles", type=int, nargs="*", default=PROFILES)
    parser.add_argument("--connections", type=int, nargs="*", default=CONNECTIONS)
    options = parser.parse_args()
    pairings: dict[int, list[Pairing]] = {}
    tree = Tree.here()
    with workplace() as folder:
        print(tree.build)
        print(HEAD)
        with _baseline(folder) as baseline:
            for size in options.profiles:
                with serving(tree, folder, size) as ours:
                    pairings[size] = list(_pairings(baseline, ours, options.connections, options.seconds))
    _summary(pairings)
    sys.exit(any(p.ours.load.failed for group in pairings.values() for p in group))


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A server that can be loaded."""

    name: str
    server: Server
    target: Target

    def measure(self, connections: int, seconds: float) -> Figure:
        """Load it for ``seconds`` after a short warm-up."""
        run(self.target, connections, seconds / 10)  # Handshakes, caches, compiled bytecode.
        before = self.server.cpu_seconds()
        load = run(self.target, connections, seconds)
        cpu = (self.server.cpu_seconds() - before) / max(1, load.requests) * 1e6
        return Figure(self.name, cpu, self.server.proportional_mib(), load)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Put this process on the client's core and make a folder with certificates for the servers."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ensure(folder, (), dt.datetime.now(dt.UTC))
        yield folder


@contextlib.contextmanager
def _baseline(folder: Path) -> Iterator[Running]:
    files, port = CertificateFiles(folder), free_port()
    arguments = (
        "-m gunicorn --no-control-socket --worker-class gthread --threads 80 --keep-alive 100 "
        f"--log-level error --bind 127.0.0.1:{port} "
        f"--certfile {files.certificate} --keyfile {files.key} benchmarks.service.baseline:app"
    )
    command = [sys.executable, *arguments.split()]
    with started(command, port, folder / "baseline.log") as server:
        yield Running("baseline", server, target_of(files, port))


def serve_command(tree: Tree, folder: Path, profiles: int, port: int, *more: str) -> list[str]:
    """The service of a tree, one worker, so many profiles from files; ``more`` are options."""
    objects = folder / str(profiles)
    if not objects.exists():
        objects.mkdir()
        write_profiles(objects, profiles)
    command = [tree.command, "serve", "--objects", str(objects), "--certs-dir", str(folder)]
    return [*command, "--bind", f"127.0.0.1:{port}", "--admin-bind", f"127.0.0.1:{free_port()}", *more]


@contextlib.contextmanager
def serving(tree: Tree, folder: Path, profiles: int, *more: str) -> Iterator[Running]:
    """Run the service of a tree until the block ends."""
    port = free_port()
    log = folder / f"{tree.name}-{profiles}.log"
    with started(serve_command(tree, folder, profiles, port, *more), port, log) as server:
        yield Running(f"{profiles:,} profiles", server, target_of(CertificateFiles(folder), port))


def _pairings(baseline: Running, ours: Running, connections: list[int], seconds: float) -> Iterator[Pairing]:
    for count in connections:
        pairing = Pairing(baseline.measure(count, seconds), ours.measure(count, seconds))
        print(line(pairing.baseline, 1.0), line(pairing.ours, pairing.ratio), sep="\n", flush=True)
        yield pairing


def target_of(files: CertificateFiles, port: int) -> Target:
    """Describe the executor's review, over TLS, to a port of the loopback address."""
    context = ssl.create_default_context(cafile=str(files.ca_certificate))
    return Target("localhost", port, "/mutate?timeout=10s", REVIEW.read_bytes(), b'"patch"', context)


_COLUMNS = ("conns", "CPU µs", "ratio", "req/s", "p50 ms", "p99 ms", "p99/p50", "failed", "PSS MiB", "client")
HEAD = f"{'server':16}" + "".join(f"{column:>8}" for column in _COLUMNS)


def line(figure: Figure, ratio: float) -> str:
    """Render a row under HEAD."""
    load = figure.load
    return (
        f"{figure.name:16}{load.connections:8}{figure.cpu:8.0f}{ratio:8.3f}{load.rate:8.0f}{load.p50:8.2f}"
        f"{load.p99:8.2f}{load.p99 / load.p50:8.1f}{load.failed:8}{figure.memory:8.1f}"
        f"{load.client_cpu:8.0%}"
    )


def _summary(pairings: dict[int, list[Pairing]]) -> None:
    """Ratios over all loads: sums, so that the longest-running figures count the most."""
    print("\nCPU a review over all loads; the baseline has one profile throughout")
    ratios = {
        size: sum(p.ours.cpu for p in group) / sum(p.baseline.cpu for p in group)
        for size, group in pairings.items()
    }
    first = next(iter(ratios.values()))
    for size, ratio in ratios.items():
        memory = pairings[size][-1].ours.memory
        compared = f"{ratio:.3f} of the baseline, {ratio / first:.2f} of the first row"
        print(f"{size:7,} profiles: {compared}, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
