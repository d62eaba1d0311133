"""How much of the time tasks of pods waited for a CPU, of those that no quota holds back.

A pod that is throttled waits for its own quota, whoever else runs. The kernel brings a group's pressure up to
date every two seconds, so what counts is the last four. Source: Documentation/accounting/psi.rst;
``nr_throttled`` of ``cpu.stat``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.measuring.counters import CounterError, nr_throttled, pressure
from webhook.agent.measuring.keptfile import GoneError, KeptFile
from webhook.agent.plan.agentpod import AgentPod

SECONDS: Final = 4.0
_MICROSECONDS: Final = 10**6
_PERCENT: Final = 100


class Waited(NamedTuple):
    """A pod, and the share of the time in which some task of it waited, in percent."""

    pod: str
    percent: int


class _Moment(NamedTuple):
    at: float
    microseconds: int
    throttled: int


class _Pod:
    """The files of one pod, and what they said of late."""

    def __init__(self, pod: AgentPod, hierarchy: Hierarchy) -> None:
        self.pod = pod
        group = hierarchy.pod(pod.kube_qos, pod.uid)
        path = hierarchy.unified_file(group, "cpu.pressure")
        self.pressure = KeptFile(path) if path is not None else None
        groups = [group, *hierarchy.containers(group).values()]
        paths = [hierarchy.file("cpu", each, "cpu.stat") for each in groups]
        self.stats = [KeptFile(each) for each in paths if each is not None]
        self.moments: deque[_Moment] = deque()

    def look(self, now: float) -> int | None:
        """Return the percentage of the last seconds; None: unknown, or it was throttled meanwhile."""
        try:
            if self.pressure is None:
                return None
            waited = pressure(self.pressure.read(), self.pressure.path).some
            throttled = sum(_throttled(each) for each in self.stats)
        except (OSError, CounterError):
            self.moments.clear()
            return None
        if self.moments and waited < self.moments[-1].microseconds:
            self.moments.clear()
        self.moments.append(_Moment(now, waited, throttled))
        while len(self.moments) > 1 and self.moments[1].at <= now - SECONDS:
            self.moments.popleft()
        first = self.moments[0]
        if now - first.at < SECONDS or first.throttled != throttled:
            return None
        percent = (waited - first.microseconds) * _PERCENT / ((now - first.at) * _MICROSECONDS)
        return min(_PERCENT, int(percent))

    def close(self) -> None:
        for each in (self.pressure, *self.stats):
            if each is not None:
                each.close()


def _throttled(stat: KeptFile) -> int:
    """Return how often a group was throttled; 0 for a container that has ended."""
    try:
        return nr_throttled(stat.read()) or 0
    except GoneError:
        return 0


class Waiting:
    """The pressure of some pods; not for use from several threads."""

    def __init__(self, hierarchy: Hierarchy, clock: Callable[[], float]) -> None:
        """Take where cgroups are, and seconds that never go back."""
        self._hierarchy, self._clock = hierarchy, clock
        self._pods: dict[str, _Pod] = {}

    def lacking(self) -> str:
        """Return what this machine lacks for it, with the remedy; "" where it lacks nothing."""
        path = self._hierarchy.unified_file(self._hierarchy.kubepods, "cpu.pressure")
        if path is None:
            return "cgroups of version 1 have no pressure: mount version 2 next to it"
        try:
            with open(path, "rb") as file:  # noqa: PTH123 — a path is text here
                file.read(1)
        except OSError as error:
            return f"{path}: {error.strerror}: start the kernel with psi=1"
        return ""

    def look(self, pods: Iterable[AgentPod]) -> Waited | None:
        """Look at these pods once, and return the one that waited most; None: nothing is known of any."""
        wanted: Mapping[str, AgentPod] = {pod.uid: pod for pod in pods if pod.has_cgroup}
        for uid in [uid for uid, kept in self._pods.items() if wanted.get(uid) != kept.pod]:
            self._pods.pop(uid).close()
        worst: Waited | None = None
        for uid, pod in wanted.items():
            kept = self._pods.get(uid)
            if kept is None:
                kept = self._pods[uid] = _Pod(pod, self._hierarchy)
            percent = kept.look(self._clock())
            if percent is not None and (worst is None or percent > worst.percent):
                worst = Waited(pod.name, percent)
        return worst
