"""Cgroups of this machine for tests: a folder in each hierarchy of version 1, removed at the end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from webhook.agent.machine.hierarchy import CONTROLLERS, find_hierarchy
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import topology_from_sysfs
from webhook.cpuset.sharing import Reservations
from webhook.pods.nodes.nodetopology import NodeTopology

TOP = Path("/sys/fs/cgroup")
BURN = "while True: pass"
ALLOCATE = (
    "import sys; block = bytearray(int(sys.argv[1]) * 2**20); block[::4096] = b'x' * len(block[::4096])"
)
SETTINGS = (
    "cpuset.cpus", "cpuset.mems", "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us",
    "cpu.idle", "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes",
    "memory.swappiness", "cpuset.cpu_exclusive", "cpuset.memory_migrate", "notify_on_release",
)  # fmt: skip


def lacking():
    """Say what this machine lacks for these tests, or ""."""
    if os.geteuid() != 0:
        return "tests of the kernel's cgroups need root"
    for controller in CONTROLLERS:
        if not (TOP / controller / "cgroup.procs").exists():
            return f"there is no hierarchy {TOP / controller} of cgroup version 1"
        if not os.access(TOP / controller, os.W_OK):
            return f"{TOP / controller} cannot be written"
    return "" if (TOP / "cpu/cpu.shares").exists() else "no controller cpu"


def folders():
    """Every folder at the top of these hierarchies."""
    return sorted(
        str(path.relative_to(TOP)) for c in CONTROLLERS for path in (TOP / c).glob("*") if path.is_dir()
    )


class Machine:
    """Implements what World needs of a kernel, on the real one."""

    version = 1

    def __init__(self):
        self.name = f"agenttest-{os.getpid()}"
        self._processes = []
        self.make(self.name)
        self.hierarchy = find_hierarchy("/", self.name)
        for each in ("burstable", "besteffort"):
            self.make(f"{self.name}/{each}")

    def make(self, group):
        """Make a group, as kubelet and runtime do: with the CPUs above it, BestEffort with few shares."""
        for controller in CONTROLLERS:
            (TOP / controller / group).mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            path = TOP / "cpuset" / group / name
            path.write_text((path.parents[1] / name).read_text())
        if "besteffort" in group:
            (TOP / "cpu" / group / "cpu.shares").write_text("2")
        return group

    def text(self, group, name):
        """What a file holds."""
        return (TOP / name.partition(".")[0] / group / name).read_text().strip()

    def set(self, group, name, text):
        """Somebody writes."""
        path = TOP / name.partition(".")[0] / group / name
        handle = os.open(path, os.O_WRONLY)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)

    def foreign(self, group, name, text):
        """The same; False where the kernel refuses it."""
        try:
            self.set(group, name, text)
        except OSError:
            return False
        return True

    def snapshot(self):
        """Every setting of every group."""
        return {
            str(path): path.read_text()
            for controller in CONTROLLERS
            for path in sorted((TOP / controller / self.name).rglob("*"))
            if path.name in SETTINGS
        }

    def run(self, group, *command, cpu=None):
        """Start a process in a group, on one CPU or on all that it may use."""
        enter = "; ".join(
            f"open('{TOP / controller / group / 'cgroup.procs'}', 'w').write('0')"
            for controller in CONTROLLERS
        )
        bound = "" if cpu is None else f"; import os; os.sched_setaffinity(0, {{{cpu}}})"
        code, *arguments = command
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", f"{enter}{bound}\n{code}", *arguments], stderr=subprocess.DEVNULL
        )
        self._processes.append(process)
        inside = f"{CONTROLLERS[-1]}/{group}/cgroup.procs"
        while process.poll() is None and str(process.pid) not in (TOP / inside).read_text().split():
            time.sleep(0.01)
        return process

    def used(self, group):
        """CPU time of a group in nanoseconds."""
        return int((TOP / "cpuacct" / group / "cpuacct.usage").read_text())

    def stat(self, group):
        """Periods, and those in which it was throttled."""
        lines = (TOP / "cpu" / group / "cpu.stat").read_text().splitlines()
        return {name: int(number) for name, _, number in (line.partition(" ") for line in lines)}

    def close(self):
        """End what was started, and remove the groups."""
        for process in self._processes:
            process.kill()
            process.wait()
        for controller in CONTROLLERS:
            top = TOP / controller / self.name
            for folder in sorted((each for each in top.rglob("*") if each.is_dir()), reverse=True):
                remove_group(folder)
            remove_group(top)


def remove_group(folder):
    """Remove a group; one whose last process ended a moment ago is busy for another one."""
    for _ in range(400):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    folder.rmdir()


def ended_by(process):
    """The signal that ended a process."""
    return signal.Signals(-process.wait())


def this_node():
    """The topology of this machine, as that of a node with nothing reserved."""
    return NodeTopology("n", "u", topology_from_sysfs(), Reservations())


def allowed(process):
    """On which CPUs the kernel lets a process run."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    line = next(each for each in lines if each.startswith("Cpus_allowed_list"))
    return parse_cpulist(line.split()[1])
