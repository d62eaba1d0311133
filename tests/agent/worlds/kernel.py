"""A kernel's cgroups in memory, as strict as the real ones: what it refuses there it refuses here.

The rules were tried on a kernel 6.18 for version 1 (tests/agent/writing/test_kernel.py tries them again);
those of version 2 are from the kernel's documentation (admin-guide/cgroup-v2), but for one that was seen
on a kernel 6.1: while processes run in a group, its set cannot be emptied.
"""

import errno
import itertools
import os
import shutil
from pathlib import Path

from tests.agent.tree import v1_tree, v2_tree
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist

ENDLESS = 9223372036854771712
PAGE = 4096
CLASSES = ("burstable", "besteffort")
CPUS = "cpuset.cpus"
EFFECTIVE = ".effective"


def refuse(number):
    """Answer as a kernel does."""
    raise OSError(number, os.strerror(number))


class FakeKernel:
    """Implements CgroupFiles; the folders are real, for they are listed, the files are not.

    Attributes:
        writes: path and text of each write that was tried.
        killed: groups of version 2 whose limit of memory was set below their use.
    """

    def __init__(self, root: Path, version=1, driver="cgroupfs", cpus=range(16)):
        self.version, self.cpus = version, frozenset(cpus)
        kubepods = "kubepods" if driver == "cgroupfs" else "kubepods.slice"
        (v1_tree if version == 1 else v2_tree)(root, kubepods)
        self.hierarchy = find_hierarchy(root)
        self.texts, self.used, self.inodes = {}, {}, {}
        self.writes, self.killed, self._faults = [], set(), []
        self._numbers = itertools.count(1)
        self._add("", cpus=self.cpus)
        self._add(kubepods)
        for each in CLASSES:
            self.make(self.hierarchy.child(kubepods, each))

    def make(self, group):
        """Make a group, as a kubelet or a runtime does: of version 1 with its parent's CPUs."""
        for top in set(self.hierarchy.mounts.values()):
            (top / group).mkdir(exist_ok=True)
        self._add(group)
        if "besteffort" in group:  # as the kubelet makes them
            self.texts[group].update({"cpu.shares": "2"} if self.version == 1 else {"cpu.weight": "1"})
        return group

    def remove(self, group):
        """Remove a group and all below it."""
        for top in set(self.hierarchy.mounts.values()):
            shutil.rmtree(top / group, ignore_errors=True)
        for each in [g for g in self.inodes if g == group or g.startswith(f"{group}/")]:
            del self.inodes[each], self.texts[each]

    def fault(self, ending, number, times=1):
        """Let the next writes to files whose path ends so fail."""
        self._faults.append([ending, number, times])

    def text(self, group, name):
        """What a file holds."""
        return self.texts[group][name]

    def snapshot(self):
        """Every file of every group; in version 2 a set like that of the group above counts as none."""
        found = {(group, name): text for group, texts in self.texts.items() for name, text in texts.items()}
        if self.version != 1:
            for group, texts in self.texts.items():
                if group and parse_cpulist(texts[CPUS]) == self.effective(group.rpartition("/")[0]):
                    found[group, CPUS] = ""
        return found

    def effective(self, group):
        """The CPUs that processes of a group of version 2 may run on."""
        if not group:
            return self.cpus
        above = self.effective(group.rpartition("/")[0])
        return parse_cpulist(self.texts[group][CPUS]) & above or above

    def foreign(self, group, name, text):
        """Somebody else writes; False where the kernel refuses it."""
        try:
            self._set(group, name, text)
        except (OSError, ValueError):
            return False
        return True

    # -- CgroupFiles -----------------------------------------------------------------------------------------

    def read(self, path):
        """What a file holds."""
        group, name = self._at(path.removesuffix(EFFECTIVE))
        return format_cpulist(self.effective(group)) if path.endswith(EFFECTIVE) else self.texts[group][name]

    def write(self, path, text):
        """Write, unless the rules or a fault are against it."""
        group, name = self._at(path)
        self.writes.append((path, text))
        for fault in self._faults:
            if path.endswith(fault[0]) and fault[2]:
                fault[2] -= 1
                refuse(fault[1])
        self._set(group, name, text)

    def identity(self, path):
        """The number of a group."""
        folder = path.rpartition("/")[0]
        for top in self.hierarchy.mounts.values():
            group = folder.removeprefix(str(top)).strip("/")
            if folder.startswith(str(top)) and group in self.inodes:
                return self.inodes[group]
        return refuse(errno.ENOENT)

    # -- the rules -------------------------------------------------------------------------------------------

    def _at(self, path):
        folder, _, name = path.rpartition("/")
        for top in self.hierarchy.mounts.values():
            group = folder.removeprefix(str(top)).strip("/")
            if folder.startswith(f"{top}/") and name in self.texts.get(group, ()):
                return group, name
        return refuse(errno.ENOENT)

    def _add(self, group, cpus=None):
        parent = self.texts.get(group.rpartition("/")[0], {})
        self.inodes[group] = next(self._numbers)
        if self.version == 1:
            own = format_cpulist(cpus) if cpus else parent["cpuset.cpus"]
            self.texts[group] = {
                "cpuset.cpus": own,
                "cpu.shares": "1024",
                "cpu.cfs_period_us": "100000",
                "cpu.cfs_quota_us": "-1",
                "cpu.cfs_burst_us": "0",
                "cpu.idle": "0",
                "memory.limit_in_bytes": str(ENDLESS),
            }
        else:
            self.texts[group] = {
                "cpuset.cpus": "",
                "cpu.weight": "100",
                "cpu.max": "max 100000",
                "cpu.max.burst": "0",
                "cpu.idle": "0",
                "memory.max": "max",
                "memory.min": "0",
                "memory.low": "0",
                "memory.high": "max",
                "memory.current": "0",
                "memory.reclaim": "",
            }

    def parents(self, group):
        """The groups above."""
        while group:
            group = group.rpartition("/")[0]
            yield group

    def children(self, group):
        """The groups right below."""
        return [each for each in self.texts if each and each.rpartition("/")[0] == group]

    def _set(self, group, name, text):
        texts = self.texts[group]
        if name == "cpuset.cpus":
            self._set_cpus(group, text)
        elif name in ("cpu.shares", "cpu.weight"):
            least, most = (2, 262144) if self.version == 1 else (1, 10000)
            if texts.get("cpu.idle") == "1" or (self.version == 2 and not least <= int(text) <= most):
                refuse(errno.EINVAL)
            texts[name] = str(max(least, min(most, int(text))))
        elif name == "cpu.idle":
            if text not in ("0", "1"):
                refuse(errno.EINVAL)
            if text != texts[name]:
                shares = {"10": "3", "11": "1024", "20": "0", "21": "100"}[f"{self.version}{texts[name]}"]
                texts["cpu.shares" if self.version == 1 else "cpu.weight"] = shares
            texts[name] = text
        elif name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"):
            self._set_bandwidth(group, name, int(text))
        elif name.startswith(("cpu.max", "cpu.cfs_burst_us")):
            self._set_quota(texts, name, text)
        elif name == "memory.reclaim":
            self.used[group] = max(0, self.used.get(group, 0) - int(text))
            texts["memory.current"] = str(self.used[group])
        else:
            self._set_memory(group, name, text)

    def _set_cpus(self, group, text):
        cpus = parse_cpulist(text)
        if not cpus <= self.cpus:
            refuse(errno.ERANGE)
        if self.version == 1:
            if not cpus:
                refuse(errno.ENOSPC)
            if not cpus <= parse_cpulist(self.texts[group.rpartition("/")[0]]["cpuset.cpus"]):
                refuse(errno.EACCES)
            if not all(
                parse_cpulist(self.texts[each]["cpuset.cpus"]) <= cpus for each in self.children(group)
            ):
                refuse(errno.EBUSY)
        elif not cpus and self.texts[group][CPUS] and "pod" in group.rpartition("kubepods")[2]:
            refuse(errno.ENOSPC)  # processes run there
        self.texts[group][CPUS] = format_cpulist(cpus)

    def bandwidth(self, group):
        """Quota per period; None: unlimited."""
        texts = self.texts[group]
        quota = int(texts["cpu.cfs_quota_us"])
        return None if quota < 0 else quota / int(texts["cpu.cfs_period_us"])

    def _set_quota(self, texts, name, text):
        """Version 2's quota, and bursts of both: none is more than the quota."""
        if name == "cpu.max":
            quota, _, period = text.partition(" ")
            if quota != "max" and int(quota) < max(1000, int(texts["cpu.max.burst"])):
                refuse(errno.EINVAL)
            texts[name] = f"{quota} {period or texts[name].split()[1]}"
            return
        quota = texts["cpu.cfs_quota_us"] if self.version == 1 else texts["cpu.max"].split()[0]
        if int(text) < 0 or (quota not in ("-1", "max") and int(text) > int(quota)):
            refuse(errno.EINVAL)
        texts[name] = str(int(text))

    def _set_bandwidth(self, group, name, value):
        texts = self.texts[group]
        before = texts[name]
        if name.endswith("quota_us"):
            if 0 <= value < max(1000, int(texts["cpu.cfs_burst_us"])):
                refuse(errno.EINVAL)
            value = max(-1, value)
        elif not 1000 <= value <= 1000000:
            refuse(errno.EINVAL)
        texts[name] = str(value)
        if not self.contained():
            texts[name] = before
            refuse(errno.EINVAL)

    def contained(self):
        """Whether no group of version 1 has more bandwidth than one above it."""
        for group in self.texts:
            mine = self.bandwidth(group)
            for above in self.parents(group):
                theirs = self.bandwidth(above)
                if theirs is not None:
                    if mine is not None and mine > theirs:
                        return False
                    break
        return True

    def _set_memory(self, group, name, text):
        value = -1 if text in ("max", "-1") else int(text) // PAGE * PAGE
        if value >= 0 and name in ("memory.limit_in_bytes", "memory.max") and value < self.used.get(group, 0):
            if self.version == 1:
                refuse(errno.EBUSY)
            self.killed.add(group)
        endless = str(ENDLESS) if self.version == 1 else "max"
        self.texts[group][name] = endless if value < 0 or value >= ENDLESS else str(value)
