"""The chart's scheduler as a pod of the node: a real kube-scheduler, and who answers to koord-scheduler.

The image is made here of the control plane's own binary, by the name that the chart asks for.
"""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster.binaries import find
from tests.e2e.cluster.controlplane import SCHEDULERS, ControlPlane
from tests.e2e.cluster.kubectl import Object
from tests.e2e.node.chart.release import Release
from tests.e2e.node.machine import images
from tests.e2e.node.machine.node import NAME, Node
from tests.e2e.release.metrics import samples
from tests.e2e.release.rendering import NEWEST
from tests.e2e.scheduling.pool import ask

_PROGRAM: Final = "kube-scheduler"
_VALUES: Final[dict[str, Any]] = {
    "enabled": True,
    # Two pods would want the same port of the node.
    "replicaCount": 1,
    # The machine runs the control plane and the tests, too: CPU time that they use says nothing of the node.
    "loadAware": {"usageThresholds": {"cpu": 0, "memory": 95}},
}
_WEBHOOK: Final = 8443
_METRICS: Final = "http://127.0.0.1:8081/metrics"
_CALLS: Final = "colocation_webhook_scheduler_calls_total"


@contextlib.contextmanager
def installed(release: Release, control_plane: ControlPlane, node: Node, cache: Path) -> Iterator[None]:
    """Have it, with its extender; the control plane's scheduler answers to its own name only meanwhile."""
    archive = node.folder / f"{_PROGRAM}.tar"
    images.save_binary(archive, f"registry.k8s.io/{_PROGRAM}:v{NEWEST}", find(_PROGRAM, cache))
    node.load(archive)
    archive.unlink()
    control_plane.schedule_for("default-scheduler")
    try:
        with release.scheduling(_VALUES):
            yield
    finally:
        control_plane.schedule_for(*SCHEDULERS)


def fits(pod: Object) -> bool:
    """Whether the webhook answers a scheduler yet, and would let the pod go to the node."""
    answer = ask(_WEBHOOK, pod, [NAME])
    assert answer["NodeNames"] == [NAME], answer
    return True


def calls() -> dict[tuple[str, str], int]:
    """How often the webhook has been asked by a scheduler, by verb and outcome."""
    with urllib.request.urlopen(_METRICS, timeout=5) as answer:
        found = samples(answer.read().decode())
    counted = {}
    for name, value in found.items():
        if name.startswith(_CALLS):
            outcome, verb = name.split('"')[1::2]
            counted[verb, outcome] = int(value)
    return counted
