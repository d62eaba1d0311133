"""What cannot be planned, under ``Fail``: what it costs, that it ends, and that no pod slips through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.forwarder import Forwarder
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import record
from tests.e2e.release.installation import Installation
from tests.e2e.release.rendering import Helm
from tests.e2e.release.service import Service, serving
from tests.e2e.reliability.load import Books, Creators

_GOOD = 200
"""Pods that must be created in a row before a failure counts as over."""


class Course(NamedTuple):
    """A failure under load: when it happened, since when nothing failed any more, and the books of it all."""

    happened: float
    over: float
    books: Books

    def record(self, name: str, **figures: object) -> None:
        """Write the figures down."""
        recovery = round(self.over - self.happened, 2)
        record(name, recovery_seconds=recovery, **figures, **self.books._asdict())


def survive(creators: Creators, fail: Callable[[], None], over: Callable[[], object]) -> Course:
    """Let ``fail`` happen under load and go on until ``over`` and 200 pods more; nothing may fail by then."""
    with creators:
        eventually(lambda: creators.created() > _GOOD, what="pods created before")
        happened = time.monotonic()
        assert creators.failed() == []
        fail()
        eventually(over, seconds=150, what="recovered")
        recovered = time.monotonic()
        eventually(lambda: creators.created(recovered) > _GOOD, seconds=90, what="pods created after")
    assert creators.failed(since=recovered) == []
    # The end of the last call that failed, not its beginning: that is when it is over for its sender.
    last = max((answer.sent + answer.seconds for answer in creators.failed()), default=happened)
    books = creators.books()
    creators.clear()
    assert books.unmutated == 0
    assert books.stored >= books.created
    return Course(happened, last, books)


class Victim:
    """The replica that was given the most connections, and what becomes of it."""

    def __init__(self, service: Service) -> None:
        accepted = service.forwarder.accepted
        self.replica = max(service.replicas, key=lambda each: accepted.get(each.port, 0))
        self.given = accepted.get(self.replica.port, 0)
        self.removed_at: float | None = None
        self._kubelet = service.kubelet
        self._restarts = service.kubelet.restarts(self.replica)

    def back(self) -> bool:
        """Whether new connections went elsewhere, and go to it again, started again."""
        backend = self._kubelet.is_backend(self.replica)
        if not backend and self.removed_at is None:
            self.removed_at = time.monotonic()
        started = self._kubelet.restarts(self.replica) > self._restarts
        return backend and started and self.removed_at is not None


def test_sigkill_of_one_replica(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    """Its connections break; what was under way is refused; once it is no backend nothing is."""
    victim, creators = Victim(service), Creators(control_plane, namespace)
    course = survive(creators, victim.replica.kill, victim.back)
    course.record("sigkill")
    assert victim.removed_at is not None
    assert creators.failed(since=victim.removed_at) == []


def test_a_replica_that_hangs(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    """Calls to it end with their timeout; it gets no new ones once its probe fails, and is started again."""
    victim, creators = Victim(service), Creators(control_plane, namespace)
    course = survive(creators, victim.replica.freeze, victim.back)
    assert victim.removed_at is not None
    given = service.forwarder.accepted[victim.replica.port]
    late = creators.failed(since=victim.removed_at)
    course.record(
        "hung_replica",
        removed_after_seconds=round(victim.removed_at - course.happened, 2),
        refused_after_removal=len(late),
        connections_given=given,
    )
    # A call that times out takes its connection with it: each that it was ever given costs one at most.
    assert len(late) <= given


def test_restart_of_the_api_server_under_fail(
    service: Service, restartable: ControlPlane, namespace: str
) -> None:
    """While it is away nobody is answered; from the moment that it is ready nothing is refused."""
    times: list[float] = []

    def restart() -> None:
        times.append(time.monotonic())
        restartable.stop_apiserver()
        restartable.start_apiserver()
        times.append(time.monotonic())

    course = survive(Creators(restartable, namespace), restart, lambda: True)
    course.record("api_server_restart", away_seconds=round(times[1] - times[0], 2))
    assert all(replica.readiness()["ready"] for replica in service.replicas)


@pytest.fixture
def slow(
    release: Installation, cache: Path, tmp_path: Path, control_plane: ControlPlane
) -> Iterator[tuple[Service, list[float]]]:
    """Replicas that hear of the API server late: each piece of its answers takes so many seconds."""
    seconds = [0.0]
    with Forwarder(delay=lambda: seconds[0]) as line:
        line.backends = (control_plane.port,)
        text = (release.folder / "certs" / "kubeconfig").read_text()
        path = release.folder / "slow.kubeconfig"
        path.write_text(text.replace(control_plane.url, f"https://127.0.0.1:{line.port}"))
        assert str(line.port) in path.read_text()
        with serving(release, Helm(cache, tmp_path), f"--kubeconfig={path}") as service:
            yield service, seconds
            seconds[0] = 0.0


def test_an_api_server_that_is_slow(
    slow: tuple[Service, list[float]], control_plane: ControlPlane, namespace: str
) -> None:
    """Reviews do not wait for it: nothing is refused while each of its answers takes a second and a half."""
    service, seconds = slow
    with Creators(control_plane, namespace) as creators:
        time.sleep(3)
        began = time.monotonic()
        seconds[0] = 1.5
        time.sleep(12)
        ended = time.monotonic()
        seconds[0] = 0.0
        time.sleep(3)
    quiet, during = creators.books(until=began), creators.books(since=began, until=ended)
    creators.clear()
    record("slow_api_server", delay_seconds=1.5, quiet_p99=quiet.p99, **during._asdict())
    assert creators.failed() == []
    assert during.unmutated == 0
    assert all(replica.readiness()["ready"] for replica in service.replicas)
