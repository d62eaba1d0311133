"""Hostile clients at the port of a replica: the API server's reviews go on, none fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.figures import record
from tests.e2e.release.resident import Usage
from tests.e2e.release.service import Service
from tests.e2e.reliability.load import Creators

SILENT = 1000
QUIET_SECONDS = 8.0
ATTACK_SECONDS = float(os.environ.get("HOSTILE_SECONDS", "20"))


def test_hostile_clients(
    service: Service, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """A thousand silent connections to one of two replicas, slow loris, bad TLS and HTTP: nothing fails."""
    accepted = service.forwarder.accepted
    victim = max(service.replicas, key=lambda each: accepted.get(each.port, 0))
    before = Usage.of(victim)
    command = [sys.executable, "-m", "tests.e2e.reliability.hostile", str(victim.port), str(SILENT)]
    with Creators(control_plane, namespace) as creators, contextlib.ExitStack() as stack:
        time.sleep(QUIET_SECONDS)
        began = time.monotonic()
        hostile = Process("hostile clients", command, tmp_path / "hostile.log", env=os.environ, cwd=ROOT)
        stack.enter_context(stopping(hostile))
        eventually(lambda: Usage.of(victim).connections > SILENT * 0.8, what="connections held")
        held = time.monotonic()
        time.sleep(ATTACK_SECONDS)
        worst = Usage.of(victim)
        ended = time.monotonic()
        hostile.signal(signal.SIGTERM)
        assert hostile.ended(30), hostile.log()
    done = json.loads(hostile.log().splitlines()[-1])
    quiet, attacked = creators.books(until=began), creators.books(since=held, until=ended)
    everything = creators.books()
    creators.clear()
    eventually(lambda: Usage.of(victim).connections < SILENT / 4, what="connections let go")
    record(
        "hostile_clients",
        attacks=", ".join(f"{name} {times:,}" for name, times in sorted(done.items())),
        quiet_p50=quiet.p50,
        quiet_p99=quiet.p99,
        p99_by_quiet_p99=round(attacked.p99 / quiet.p99, 2),
        connections_held=worst.connections,
        resident_mib_before=before.resident_mib,
        resident_mib_under_attack=worst.resident_mib,
        **attacked._asdict(),
    )
    assert done["held at once"] > SILENT * 0.9
    for closed in (
        "idle closed",
        "silent closed",
        "trickled closed",
        "trickled later closed",
        "bodies held refused",
    ):
        assert done[closed] > 0, closed
    for tried, wanted in (
        ("huge heads", "huge heads refused"),
        ("TLS 1.0", "TLS 1.0 refused"),
        ("no server name", "no server name answered"),
        ("renegotiations", "renegotiations refused"),
        ("bodies", "bodies refused"),
        ("chunks", "chunks refused"),
    ):
        assert done[tried] == done[wanted] > 0, tried
    assert done["garbage"] > 0
    assert creators.failed() == []
    assert everything.unmutated == 0
    # A thousand connections cost something, and what their bodies may take is bounded.
    assert worst.resident_mib < before.resident_mib + 256
