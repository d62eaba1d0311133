"""Hostile clients at the port of every replica: the API server's reviews go on, none fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.e2e.binaries import ROOT
from tests.e2e.controlplane import ControlPlane
from tests.e2e.figures import record
from tests.e2e.load import Creators
from tests.e2e.processes import Process, eventually, stopping
from tests.e2e.resident import Usage
from tests.e2e.service import Service

IDLE = 1000
QUIET_SECONDS = 8.0
ATTACK_SECONDS = float(os.environ.get("HOSTILE_SECONDS", "20"))


def test_hostile_clients(
    service: Service, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """A thousand idle connections to each replica, slow loris, bad TLS and HTTP; then all is as before."""
    before = [Usage.of(replica) for replica in service.replicas]
    attackers = []
    with Creators(control_plane, namespace) as creators, contextlib.ExitStack() as stack:
        time.sleep(QUIET_SECONDS)
        began = time.monotonic()
        for replica in service.replicas:
            command = [sys.executable, "-m", "tests.e2e.hostile", str(replica.port), str(IDLE)]
            log = tmp_path / f"{replica.name}.log"
            attacker = Process(f"hostile to {replica.name}", command, log, env=os.environ, cwd=ROOT)
            attackers.append(stack.enter_context(stopping(attacker)))
        time.sleep(ATTACK_SECONDS)
        worst = [Usage.of(replica) for replica in service.replicas]
        ended = time.monotonic()
        for attacker in attackers:
            attacker.signal(signal.SIGTERM)
            assert attacker.ended(30), attacker.log()
    done = [json.loads(attacker.log().splitlines()[-1]) for attacker in attackers]
    quiet, attacked = creators.books(until=began), creators.books(since=began, until=ended)
    creators.clear()
    eventually(
        lambda: all(Usage.of(replica).connections < IDLE / 4 for replica in service.replicas),
        what="connections let go",
    )
    record(
        "hostile_clients",
        attacks=f"`{json.dumps(done[0])}`",
        quiet_p50=quiet.p50,
        quiet_p99=quiet.p99,
        p99_of_quiet=round(attacked.p99 / quiet.p99, 2),
        resident_mib=[each.resident_mib for each in before],
        resident_mib_under_attack=[each.resident_mib for each in worst],
        **attacked._asdict(),
    )
    for each in done:
        assert each["idle at once"] > IDLE * 0.9, each
        assert each["trickled closed"], each
        assert each["trickled later closed"], each
        assert each["huge heads"] == each["huge heads refused"] > 0, each
        assert each["TLS 1.0"] == each["TLS 1.0 refused"] > 0, each
        assert each["no server name"] == each["no server name answered"] > 0, each
        assert each["renegotiations"] == each["renegotiations refused"] > 0, each
        assert each["garbage"] > 0, each
    assert creators.failed() == []
    assert attacked.unmutated == quiet.unmutated == 0
    # A connection costs something, and a thousand of them not much.
    assert all(now.resident_mib < then.resident_mib + 256 for then, now in zip(before, worst, strict=True))
