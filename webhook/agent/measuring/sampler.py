"""Looks at the counters of a node each second: CPU time of all pods, memory and pressure of a tenth of them.

So each pod's memory is ten seconds old at most, and no second costs more than another.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, Protocol, TypeVar

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.measuring.counters import (
    CounterError,
    Pressure,
    meminfo,
    pressure,
    proc_stat,
)
from webhook.agent.measuring.groupfiles import PRESSURES, GroupFiles
from webhook.agent.measuring.keptfile import GoneError, KeptFile
from webhook.agent.measuring.usage import (
    NANOSECONDS,
    CpuMeter,
    Loads,
    NodeHistory,
    NodeSample,
    PodHistory,
    Use,
    system_use,
)
from webhook.agent.pods import NodePod
from webhook.protocol import KubeQoS

_Read = TypeVar("_Read")
SLICES: Final = 10
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_log = logging.getLogger(__name__)

PODS: Final = "pods"
"""The scope of all pods together."""

_SERVICES: Final = "system.slice"  # no group holds all that is no pod's

_CLASSES: Final = {
    "burstable": KubeQoS.BURSTABLE,
    "besteffort": KubeQoS.BEST_EFFORT,
}


@dataclass(slots=True)
class Policy:
    """How long samples are kept, in seconds, and what counts as memory.

    Attributes:
        mean_seconds: of pods.
        node_seconds: of the node.
        with_cache: whether memory of files counts.
    """

    mean_seconds: float = 300.0
    node_seconds: float = 1800.0
    with_cache: bool = False


class Totals(NamedTuple):
    """What one scope used, since the agent began, and now.

    Attributes:
        seconds: CPU time.
        memory: bytes.
        pressure: microseconds since the group was made, by resource.
    """

    seconds: float
    memory: int
    pressure: Mapping[str, Pressure]


@dataclass(eq=False, slots=True)
class _Scope:
    """A group that is there as long as the kubelet, or a pod's."""

    files: GroupFiles
    history: PodHistory = field(default_factory=PodHistory)
    pressure: Mapping[str, Pressure] = field(default_factory=dict)
    seen: bool = False

    @property
    def totals(self) -> Totals:
        return Totals(self.history.cpu.seconds, self.history.memory, self.pressure)


class Measures(Protocol):
    """What whoever decides each second needs of a sampler."""

    lock: Lock

    def loads(self) -> Loads | None:
        """Return what is used at this moment; None: that is not known. ``lock`` is held."""


class Sampler:
    """The counters of one node and what they said of late; ``lock`` is held while they are read.

    Attributes:
        lock: for whoever reads ``node`` or calls another method from another thread.
        policy: may be replaced at any time.
        node: the node's history.
        failures: how many reads failed that should not have.
        machine: its CPUs and bytes of memory; None: not read yet.
    """

    def __init__(
        self, hierarchy: Hierarchy, root: Path | str = "/", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Say where the files are; nothing is read yet. ``clock`` never goes back."""
        self.lock = Lock()
        self.policy = Policy()
        self.node = NodeHistory()
        self.failures = 0
        self.machine: Use | None = None
        self._hierarchy = hierarchy
        self._clock = clock
        self._stat = KeptFile(f"{Path(root)}/proc/stat")
        self._meminfo = KeptFile(f"{Path(root)}/proc/meminfo")
        self._pressure_files = {each: KeptFile(f"{Path(root)}/proc/pressure/{each}") for each in PRESSURES}
        self._pressure: dict[str, Pressure] = {}
        self._system_files = GroupFiles(hierarchy, _SERVICES)
        self._system_pressure: Mapping[str, Pressure] = {}
        self._cpu = CpuMeter()
        self._system_seconds = 0.0
        self._cpus = 0
        self._scopes = {PODS: _Scope(GroupFiles(hierarchy, hierarchy.kubepods))} | {
            name: _Scope(GroupFiles(hierarchy, hierarchy.qos(qos))) for name, qos in _CLASSES.items()
        }
        self._pods: dict[str, _Scope] = {}
        self._last: Iterable[NodePod] | None = None
        self._round = 0
        self._looked_at = 0.0
        self._failing: set[str] = set()

    def look(self, pods: Iterable[NodePod]) -> None:
        """Read the counters once.

        What cannot be read is left out, and logged once; a pod whose group is gone is left out in silence.

        Args:
            pods: of the node; the same object as before means the same pods.
        """
        with self.lock:
            self._round += 1
            self._looked_at = self._clock()
            self._look_at_node()
            if pods is not self._last:
                self._last = pods
                self._take(pods)
            for i, scope in enumerate(self._pods.values()):
                self._look_at(scope, all_of_it=self._round % SLICES == i % SLICES)

    def loads(self) -> Loads | None:
        """Return what was used before the last look; None: not all of it was read then. ``lock`` is held."""
        node, pods = (self._now(each) for each in (self._cpu, self._scopes[PODS].history.cpu))
        if node is None or pods is None:
            return None
        found = {uid: self._now(each.history.cpu) for uid, each in self._pods.items()}
        return Loads(node, pods, {uid: cores for uid, cores in found.items() if cores is not None})

    def _now(self, meter: CpuMeter) -> float | None:
        return meter.cores if meter.at >= self._looked_at else None

    def pod(self, uid: str, seconds: float) -> Use | None:
        """Return the mean of a pod over the last ``seconds``; None: it was not measured. ``lock`` is held."""
        scope = self._pods.get(uid)
        return scope.history.mean(self._clock(), seconds) if scope is not None else None

    def now(self) -> float:
        """Return the time by the clock of the samples."""
        return self._clock()

    def scopes(self) -> dict[str, Totals]:
        """Return what the node, its system, all pods and the QoS classes used. ``lock`` is held."""
        last = self.node.last
        node = Totals(self._cpu.seconds, int(last.node.memory) if last else 0, self._pressure)
        system = Totals(self._system_seconds, int(last.system.memory) if last else 0, self._system_pressure)
        return {"node": node, "system": system} | {name: each.totals for name, each in self._scopes.items()}

    def pods(self) -> dict[str, Totals]:
        """Return what pods used, by uid, of those that were measured. ``lock`` is held."""
        return {uid: each.totals for uid, each in self._pods.items() if each.seen}

    def forget(self) -> None:
        """Begin again, as after a pause: forget what was used of late, and let go of all descriptors."""
        with self.lock:
            self.node = NodeHistory()
            for file in (self._stat, self._meminfo, *self._pressure_files.values()):
                file.close()
            for scope in (*self._scopes.values(), *self._pods.values()):
                scope.files.close()
            self._system_files.close()
            self._pods.clear()
            self._last = None

    def _take(self, pods: Iterable[NodePod]) -> None:
        """Keep a scope for each pod that runs, as far as there is one in its group, and for no other."""
        groups = {
            pod.uid: self._hierarchy.pod(pod.kube_qos, pod.uid)
            for pod in pods
            if pod.uid and not pod.finished
        }
        kept: dict[str, _Scope] = {}
        for uid, group in groups.items():
            scope = self._pods.pop(uid, None)
            if scope is None or scope.files.group != group:
                if scope is not None:
                    scope.files.close()
                scope = _Scope(GroupFiles(self._hierarchy, group))
            kept[uid] = scope
        for scope in self._pods.values():
            scope.files.close()
        self._pods = kept

    def _look_at_node(self) -> None:
        stat = self._read(self._stat.path, lambda: proc_stat(self._stat.read()))
        at = self._clock()
        memory = self._read(self._meminfo.path, lambda: meminfo(self._meminfo.read()))
        if stat is not None:
            # A CPU that went offline worked until then.
            self._cpu.take(at, stat.busy_ticks * NANOSECONDS // _TICKS, max(self._cpus, stat.cpus))
            self._cpus = stat.cpus
            if memory is not None:
                self.machine = Use(stat.cpus, memory.total)
        for i, scope in enumerate(self._scopes.values()):
            self._look_at(scope, all_of_it=self._round % SLICES == i)
        if self._round % SLICES == 1:
            for resource, file in self._pressure_files.items():
                found = self._read(file.path, partial(_pressure, file))
                if found is not None:
                    self._pressure[resource] = found
            files = self._system_files
            self._system_pressure = self._read(files.group, files.pressure) or {}
        pods = self._scopes[PODS].history
        if stat is None or memory is None or self._cpu.cores is None or pods.cpu.cores is None:
            return
        used = memory.total - (memory.free if self.policy.with_cache else memory.available)
        node = Use(self._cpu.cores, float(used))
        system = system_use(node, Use(pods.cpu.cores, float(pods.memory)))
        last = self.node.last
        if last is not None:
            self._system_seconds += system.cpu * (at - last.at)
        self.node.take(NodeSample(at, node, system), self.policy.node_seconds)

    def _look_at(self, scope: _Scope, *, all_of_it: bool) -> None:
        """Read the CPU time of a group; ``all_of_it``: memory and pressure, too."""
        files = scope.files
        cpu = self._read(files.group, files.cpu)
        if cpu is None:
            return
        at = self._clock()
        scope.history.cpu.take(at, cpu, self._cpus)
        if not all_of_it and scope.seen:
            return
        memory = self._read(files.group, files.memory)
        if memory is None:
            return
        scope.pressure = self._read(files.group, files.pressure) or {}
        used = memory.without_cache + (memory.cache if self.policy.with_cache else 0)
        scope.history.take(at, used, self.policy.mean_seconds)
        scope.seen = True

    def _read(self, what: str, read: Callable[[], _Read]) -> _Read | None:
        """Return what a read returns, None where it failed."""
        try:
            found = read()
        except GoneError:
            return None
        except (OSError, CounterError) as error:
            self.failures += 1
            if what not in self._failing:
                self._failing.add(what)
                _log.warning("%s is left out: %s", what, error)
            return None
        if self._failing:
            self._failing.discard(what)
        return found


def _pressure(file: KeptFile) -> Pressure:
    return pressure(file.read(), file.path)
