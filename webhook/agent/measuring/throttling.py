"""How often the quotas of groups have held their tasks back of late, and what they used meanwhile.

Read from one look to the next, which are a second apart. What lies further back says nothing of the present.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.measuring.counters import CounterError, nr_throttled
from webhook.agent.measuring.groupfiles import GroupFiles
from webhook.agent.measuring.keptfile import KeptFile
from webhook.agent.measuring.usage import NANOSECONDS

STALE_SECONDS: Final = 3.0
"""After a longer pause it is not known what happened when."""


class Throttled(NamedTuple):
    """What became of a group since the last look.

    Attributes:
        periods: in which its quota was used up.
        seconds: since the last look.
        cores: that it used; None: nobody asked, or it is not known.
    """

    periods: int
    seconds: float
    cores: float | None = None


class _Group:
    """The files of one group, and what they said last."""

    def __init__(self, hierarchy: Hierarchy, group: str) -> None:
        self.stat = KeptFile(hierarchy.file("cpu", group, "cpu.stat") or f"no hierarchy of cpu: {group}")
        self.files = GroupFiles(hierarchy, group)
        self.at = 0.0
        self.throttled: int | None = None
        self.used: int | None = None

    def look(self, now: float, *, use: bool) -> Throttled | None:
        at, throttled, used = self.at, self.throttled, self.used
        self.at, self.throttled, self.used = now, None, None
        try:
            self.throttled = nr_throttled(self.stat.read())
            self.used = self.files.cpu() if use else None
        except (OSError, CounterError):
            return None
        seconds = now - at
        if throttled is None or self.throttled is None or not 0 < seconds <= STALE_SECONDS:
            return None
        if self.throttled < throttled:
            return None  # another group
        cores = None
        if used is not None and self.used is not None and self.used >= used:
            cores = (self.used - used) / NANOSECONDS / seconds
        return Throttled(self.throttled - throttled, seconds, cores)

    def close(self) -> None:
        self.stat.close()
        self.files.close()


class Throttling:
    """The counters of some groups; not for use from several threads."""

    def __init__(self, hierarchy: Hierarchy, clock: Callable[[], float]) -> None:
        """Take where cgroups are, and seconds that never go back."""
        self._hierarchy, self._clock = hierarchy, clock
        self._groups: dict[str, _Group] = {}

    def look(self, group: str, *, use: bool) -> Throttled | None:
        """Return what became of a group since the last look; None: that is not known.

        Args:
            group: its path in each hierarchy.
            use: whether what it uses is read, too.
        """
        kept = self._groups.get(group)
        if kept is None:
            kept = self._groups[group] = _Group(self._hierarchy, group)
        return kept.look(self._clock(), use=use)

    def keep(self, groups: Iterable[str]) -> None:
        """Let go of the files of all other groups."""
        kept = frozenset(groups)
        for group in self._groups.keys() - kept:
            self._groups.pop(group).close()
