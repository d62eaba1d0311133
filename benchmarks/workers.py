"""Which gunicorn worker the service should run under.

The same core and the same bookkeeping behind each; only the way from the socket to it differs.

    python -m benchmarks.workers
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from a2wsgi import WSGIMiddleware

from benchmarks.objects import write_profiles
from benchmarks.process import free_port, started
from benchmarks.server import HEAD, Running, line, target_of, workplace
from webhook.admission.settings import Settings
from webhook.certificates.files import CertificateFiles
from webhook.cluster.files import FilesSource
from webhook.process.metrics import new_registry
from webhook.server.app import flask_app
from webhook.server.decisionlog import DecisionLog
from webhook.server.fastpath import FastPath
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings
from webhook.server.service import ReviewService

if TYPE_CHECKING:
    import flask

_OBJECTS = "BENCHMARK_OBJECTS"
_THREADS = "--worker-class gthread --threads 80"
_EVENTS = "--worker-class asgi --asgi-lifespan off"
_OURS = "--worker-class webhook.server.worker.ReviewWorker --asgi-lifespan off"
CANDIDATES = {
    "gthread, Flask": f"{_THREADS} benchmarks.workers:flask_application()",
    "asgi, Flask": f"{_EVENTS} benchmarks.workers:mounted_application()",
    "asgi, fast path": f"{_EVENTS} benchmarks.workers:fast_application()",
    "ours, fast path": f"{_OURS} benchmarks.workers:fast_application()",
}


def flask_application() -> flask.Flask:
    """The Flask application alone."""
    return flask_app(_service().endpoints)


def mounted_application() -> WSGIMiddleware:
    """The Flask application, in threads beside an event loop."""
    return WSGIMiddleware(flask_application())


def fast_application() -> FastPath:
    """The fast path, Flask behind it."""
    service = _service()
    rest = WSGIMiddleware(flask_app(service.endpoints))
    return FastPath(service.endpoints, service.metrics.in_flight, rest)


def _service() -> ReviewService:
    source = FilesSource(Path(os.environ[_OBJECTS]))
    source.load()
    settings = CurrentSettings(Settings(signing_key=b"x" * 32))
    return ReviewService(source, settings, ReviewMetrics(new_registry()), DecisionLog("info", "json"))


@contextlib.contextmanager
def _candidate(folder: Path, name: str) -> Iterator[Running]:
    files, port = CertificateFiles(folder), free_port()
    arguments = (
        f"-m gunicorn --no-control-socket --keep-alive 100 --log-level error --bind 127.0.0.1:{port} "
        f"--certfile {files.certificate} --keyfile {files.key} {CANDIDATES[name]}"
    )
    with started([sys.executable, *arguments.split()], port, folder / "log") as server:
        yield Running(name, server, target_of(files, port))


def main() -> None:
    """Measure each candidate at 1, 8 and 64 connections; ratios are to the first."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    print(HEAD)
    with workplace() as folder, contextlib.ExitStack() as stack:
        (folder / "objects").mkdir()
        write_profiles(folder / "objects", 1)
        os.environ[_OBJECTS] = str(folder / "objects")
        # All run throughout; those that are not asked cost nothing.
        candidates = [stack.enter_context(_candidate(folder, candidate)) for candidate in CANDIDATES]
        for connections in (1, 8, 64):
            figures = [candidate.measure(connections, 2.0) for candidate in candidates]
            for figure in figures:
                print(line(figure, figure.cpu / figures[0].cpu), flush=True)


if __name__ == "__main__":
    main()
