"""What a review costs over TLS, beside the naive baseline in the same run: ``python -m benchmarks.server``.

Server on one core, client on the other. The review is a Spark executor's as a kube-apiserver sent it. CPU is user and
system time of the worker process by the number of reviews, so it does not depend on how busy the machine is; latencies
and rates do.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load import Load, Target, run
from benchmarks.objects import write_profiles
from benchmarks.process import Server, free_port, started
from webhook.certificates import CertificateFiles, ensure

CONNECTIONS = (1, 8, 32, 64)
PROFILES = (1, 100, 1_000, 10_000)
CLIENT_CORE = 1
REVIEW = Path(__file__).parent / "data" / "spark-submit-executor.json"
_SERVE = "from webhook.cli.serve import serve; serve()"


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One server under one load: microseconds of CPU a review, and what the client saw."""

    name: str
    cpu: float
    resident: float
    load: Load


def main() -> None:
    """Measure and print; exits 1 when a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--profiles", type=int, nargs="*", default=PROFILES)
    parser.add_argument("--connections", type=int, nargs="*", default=CONNECTIONS)
    options = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CORE})
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ensure(folder, (), datetime.datetime.now(datetime.UTC))
        for figure in _measure(folder, options.profiles, options.connections, options.seconds):
            figures.append(figure)
            print(_line(figure, figures[0]), flush=True)
    _summary(figures)
    sys.exit(any(figure.load.failed for figure in figures))


def _measure(folder: Path, sizes: list[int], connections: list[int], seconds: float) -> Iterator[Figure]:
    files = CertificateFiles(folder)
    print(_HEAD)
    port = free_port()
    gunicorn = (
        f"-m gunicorn --no-control-socket --worker-class gthread --threads 80 --keep-alive 100 --log-level error "
        f"--bind 127.0.0.1:{port} --certfile {files.certificate} --keyfile {files.key} benchmarks.baseline:app"
    )
    with started(gunicorn.split(), port, folder / "baseline.log") as server:
        yield from _loads("baseline, 1 profile", server, _target(files, port), connections, seconds)
    for size in sizes:
        objects = folder / str(size)
        objects.mkdir()
        write_profiles(objects, size)
        port, admin = free_port(), free_port()
        arguments = ["-c", _SERVE, "--objects", str(objects), "--certs-dir", str(folder)]
        arguments += ["--bind", f"127.0.0.1:{port}", "--admin-bind", f"127.0.0.1:{admin}"]
        with started(arguments, port, folder / f"{size}.log") as server:
            yield from _loads(f"webhook, {size} profiles", server, _target(files, port), connections, seconds)


def _loads(name: str, server: Server, target: Target, connections: list[int], seconds: float) -> Iterator[Figure]:
    run(target, 1, 0.5)  # Caches, compiled bytecode, the first handshake.
    for count in connections:
        before = server.cpu_seconds()
        load = run(target, count, seconds)
        cpu = (server.cpu_seconds() - before) / max(1, load.requests) * 1e6
        yield Figure(name, cpu, server.resident_mib(), load)


def _target(files: CertificateFiles, port: int) -> Target:
    context = ssl.create_default_context(cafile=str(files.ca_certificate))
    return Target("localhost", port, "/mutate?timeout=10s", REVIEW.read_bytes(), b'"patch"', context)


_HEAD = (
    f"{'server':24} {'conns':>5} {'CPU µs':>7} {'ratio':>6} {'req/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'p99/p50':>7} "
    f"{'failed':>6} {'RSS MiB':>7} {'client':>6}"
)


def _line(figure: Figure, baseline: Figure) -> str:
    load = figure.load
    return (
        f"{figure.name:24} {load.connections:5} {figure.cpu:7.0f} {figure.cpu / baseline.cpu:6.3f} {load.rate:7.0f} "
        f"{load.p50:7.2f} {load.p99:7.2f} {load.p99 / load.p50:7.1f} {load.failed:6} {figure.resident:7.1f} "
        f"{load.client_cpu:6.0%}"
    )


def _summary(figures: list[Figure]) -> None:
    """CPU as a mean over the loads, which is steadier than any one of them."""
    means: dict[str, list[float]] = {}
    for figure in figures:
        means.setdefault(figure.name, []).append(figure.cpu)
    mean = {name: sum(values) / len(values) for name, values in means.items()}
    baseline, *ours = mean.values()
    print("\nmean CPU a review: baseline 1.000 =", f"{baseline:.0f} µs")
    for name, value in list(mean.items())[1:]:
        print(f"{name:24} {value / baseline:6.3f} of the baseline, {value / ours[0]:5.2f} of the first")


if __name__ == "__main__":
    main()
