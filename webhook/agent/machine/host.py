"""The machine and what its kubelet does, looked at once for everybody who asks.

CPUs, memory of NUMA nodes and caches are read again each minute, and at once where other CPUs are online.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

from webhook.agent.findings import Findings
from webhook.agent.machine.hardware import Hardware, l3_caches, numa_memory
from webhook.agent.machine.kubelet import Kubelet, KubeletFiles
from webhook.cpuset.discovery import topology_from_sysfs
from webhook.cpuset.errors import TopologyError

HARDWARE_SECONDS: Final = 60.0
"""How old what is known of the hardware may be, but for which CPUs are online."""

_ONLINE: Final = "sys/devices/system/cpu/online"


class Host:
    """One machine; for all threads of one agent.

    Attributes:
        root: of its files.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        findings: Findings,
        root: Path = Path("/"),
        kubelet: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Say where its files are; nothing is read yet.

        Args:
            findings: take what cannot be read of CPUs.
            root: of the machine's files.
            kubelet: the kubelet's folder; None where its files are not to be read.
            clock: seconds that never go back.
        """
        self.root, self.clock = root, clock
        self._findings = findings
        self._kubelet = KubeletFiles(kubelet) if kubelet is not None else None
        self._lock = Lock()
        self._hardware: Hardware | None = None
        self._online: bytes | None = None
        self._looked_at: float | None = None

    def hardware(self) -> Hardware | None:
        """Return what is known of it, the same object as long as it is the same; None: it cannot be read."""
        with self._lock:
            clock, online = self.clock(), self._read_online()
            old = self._looked_at is None or clock - self._looked_at >= HARDWARE_SECONDS
            if old or online != self._online:
                self._looked_at, self._online = clock, online
                found = self._look()
                if found != self._hardware:
                    self._hardware = found
            return self._hardware

    def kubelet(self) -> Kubelet | None:
        """Return what the kubelet's files say now; None where they are not to be read."""
        with self._lock:
            return self._kubelet.read() if self._kubelet is not None else None

    def _look(self) -> Hardware | None:
        try:
            cpus = topology_from_sysfs(self.root / "sys")
        except TopologyError as error:
            self._findings.say(str(error))
            return None
        return Hardware(cpus, numa_memory(self.root), l3_caches(self.root))

    def _read_online(self) -> bytes | None:
        try:
            return (self.root / _ONLINE).read_bytes()
        except OSError:
            return None
