"""What each way from the socket to a decision costs: the same service behind all.

python -m benchmarks.workers
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.server import HEAD, Running, line, serve_command, target_of, workplace
from benchmarks.service.process import free_port, started
from benchmarks.tree import Tree
from webhook.certificates.files import CertificateFiles

CANDIDATES = ("gthread, Flask", "ours, Flask", "ours")


def _command(folder: Path, name: str, port: int) -> list[str]:
    files = CertificateFiles(folder)
    ours = serve_command(
        Tree.here(), folder, 1, port, "--worker", "flask" if name == "ours, Flask" else "fast"
    )
    if name == "gthread, Flask":
        call = f"webhook.server.app:create_app({str(folder / '1')!r})"
        arguments = (
            "-m gunicorn --no-control-socket --worker-class gthread --threads 80 --keep-alive 100 "
            f"--log-level error --bind 127.0.0.1:{port} --certfile {files.certificate} --keyfile {files.key}"
        )
        return [sys.executable, *arguments.split(), call]
    return ours


@contextlib.contextmanager
def _candidate(folder: Path, name: str) -> Iterator[Running]:
    port = free_port()
    with started(_command(folder, name, port), port, folder / f"{name}.log") as server:
        yield Running(name, server, target_of(CertificateFiles(folder), port))


def main() -> None:
    """Measure each candidate at 1, 8 and 64 connections; ratios are to the first."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(Tree.here().build)
    print(HEAD)
    with workplace() as folder, contextlib.ExitStack() as stack:
        # All run throughout; those that are not asked cost nothing.
        candidates = [stack.enter_context(_candidate(folder, candidate)) for candidate in CANDIDATES]
        for connections in (1, 8, 64):
            figures = [candidate.measure(connections, 2.0) for candidate in candidates]
            for figure in figures:
                print(line(figure, figure.cpu / figures[0].cpu), flush=True)


if __name__ == "__main__":
    main()
