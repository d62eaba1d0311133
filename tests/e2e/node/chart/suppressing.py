"""An agent that suppresses, by what the node's own pods use.

What others do on this machine is no part of the node: the agent's /proc/stat says of the CPUs' time what the
kernel counted for the node's own pods.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.node.chart.release import Release
from tests.e2e.node.chart.strategy import ask
from tests.e2e.node.machine.node import Node
from tests.e2e.node.workloads.pods import wait_for_room
from tests.e2e.repeating import repeating

_STAT: Final = "var/lib/machine-stat"


@contextlib.contextmanager
def suppressing(release: Release, kubectl: Kubectl, node: Node) -> Iterator[None]:
    """Let the agent enforce and suppress, down to one CPU; afterwards it observes again."""
    usage = Path("/sys/fs/cgroup/cpuacct", node.cgroup, "kubepods/cpuacct.usage")
    with _own_stat(node.folder / _STAT, usage):
        release.set_mode("enforce", f"/{_STAT}", suppression={"enabled": True, "leastCPUs": 1})
        wait_for_room(kubectl, 1500)
        yield
        ask(kubectl, {"enable": False})
        release.set_mode("observe")


@contextlib.contextmanager
def _own_stat(path: Path, usage: Path) -> Iterator[None]:
    """Keep a /proc/stat up to date by which this node's pods are all that runs."""
    cpus = "".join(f"cpu{each} 0 0 0 0 0 0 0\n" for each in sorted(os.sched_getaffinity(0)))
    with path.open("wb", buffering=0) as file:

        def write() -> None:
            ticks = int(usage.read_text()) * os.sysconf("SC_CLK_TCK") // 10**9
            os.pwrite(file.fileno(), f"cpu  {ticks:020d} 0 0 0 0 0 0\n{cpus}".encode(), 0)

        write()
        with repeating(write, 0.05):
            yield
