"""Kills the processes of a pod's cgroup, by the kernel's ``cgroup.kill`` (Linux 5.14), and accounts for it.

Only version 2 has that file, also where it is mounted next to version 1 and the runtime uses both. Signals
would need the host's process ids and the capability KILL, which an agent does not get.
"""

import datetime as dt
from collections.abc import Callable
from typing import Final, NamedTuple

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.plan.target import Why
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.ledger import ActionLedger

_FILE: Final = "cgroup.kill"
_NEEDS: Final = f"{_FILE} of cgroup version 2 is needed, of Linux 5.14"


class Kills(NamedTuple):
    """The kills of one machine; made of its hierarchy and files, the ledger, and the time of day."""

    hierarchy: Hierarchy
    files: CgroupFiles
    ledger: ActionLedger
    now: Callable[[], dt.datetime]

    def runs(self, group: str) -> bool:
        """Whether processes run in a pod's group; False where that cannot be read."""
        if self._populated(group):
            return True
        below = self.hierarchy.containers(group).values() if self.hierarchy.version == 1 else ()
        paths = (self.hierarchy.file("cpuacct", each, "cgroup.procs") for each in below)
        return any(self._read(path) for path in paths if path is not None)

    def obstacle(self, group: str) -> str:
        """Return why the processes that run in a group cannot be killed, "" where they can be."""
        path = self.hierarchy.unified_file(group, _FILE)
        if path is None:
            return f"cgroups are of version 1: {_NEEDS}, for signals need more rights than the agent has"
        if not self._populated(group):
            return f"the runtime keeps its processes in version 1 only: {_NEEDS}"
        try:
            self.files.read(path)
        except FileNotFoundError:
            return f"this kernel has none: {_NEEDS}"
        except OSError:
            pass  # it is there: nobody may read it
        return f"no more lines can wait: {self.ledger.problem}" if self.ledger.full else ""

    def announce(self, group: str, why: Why) -> None:
        """Account for a kill that is to come: nothing is written yet. OSError: the group is gone."""
        path = self._path(group)
        self._account(path, "", why, self.files.identity(path))

    def kill(self, group: str, why: Why) -> None:
        """Kill every process of a group and below it; OSError as the kernel answers."""
        path = self._path(group)
        cgroup = self.files.identity(path)
        self.files.write(path, "1")
        self._account(path, "1", why, cgroup)

    def _path(self, group: str) -> str:
        path = self.hierarchy.unified_file(group, _FILE)
        if path is None:
            raise FileNotFoundError(_FILE)
        return path

    def _populated(self, group: str) -> bool:
        path = self.hierarchy.unified_file(group, "cgroup.events")
        return path is not None and "populated 1" in self._read(path).splitlines()

    def _read(self, path: str) -> str:
        try:
            return self.files.read(path)
        except OSError:
            return ""

    def _account(self, path: str, new: str, why: Why, cgroup: int) -> None:
        self.ledger.append(
            {
                "t": self.now().isoformat(timespec="milliseconds"),
                "path": path.rpartition("/")[0],
                "file": _FILE,
                "old": "",
                "new": new,
                "why": {"rule": why.rule, "pod": why.pod, "inputs": dict(why.inputs)},
                "cgroup": cgroup,
            }
        )
