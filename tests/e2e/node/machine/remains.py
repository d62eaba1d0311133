"""What a test run could leave on the machine, seen before and after.

Read from the kernel, not from what the tests believe to have started: mounts, cgroups, network, parameters of
the kernel, the folders that a kubelet and a container runtime use, and processes.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from tests.e2e.cluster.processes import eventually

MARK: Final = "COLOCATION_WEBHOOK_NODE"
"""A variable in the environment of every process that a test with a node starts; children inherit it."""

FOLDERS: Final = (
    "/etc/cni",
    "/etc/containerd",
    "/run/containerd",
    "/run/netns",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/colocation-webhook",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)

_PARAMETERS = ("kernel", "vm", "net", "fs")
# What the kernel itself changes from one look to the next.
_MOVES = re.compile(
    r"fs/(aio-nr|dentry-state|file-nr|inode-nr|inode-state|quota/.*)|fs/inotify/.*|kernel/(ns_last_pid|random/.*)"
    r"|kernel/pty/nr|kernel/(perf_event_max_sample_rate|perf_cpu_time_max_percent)|net/netfilter/nf_conntrack_count"
)


class Process(NamedTuple):
    """One process; numbers are given again, so the time of its start is part of what it is."""

    pid: int
    started: str

    @classmethod
    def all(cls) -> Iterator[Self]:
        """Yield those of this moment, but for those that ended and are not waited for."""
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            fields = _statistics(int(folder.name))
            if fields and fields[0] not in {"X", "Z"}:
                yield cls(int(folder.name), fields[19])

    def parents(self) -> Iterator[int]:
        """Yield its parent's number, and so on."""
        pid = self.pid
        while fields := _statistics(pid):
            pid = int(fields[1])
            yield pid

    def namespaces(self) -> set[str]:
        """Those in which something could be left."""
        found = set()
        for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts"):
            with contextlib.suppress(OSError):
                found.add(str(Path(f"/proc/{self.pid}/ns/{kind}").readlink()))
        return found

    def of_another_run(self) -> bool:
        """Whether it, or a process that it comes from, has the mark of any run."""
        family = (self.pid, *self.parents())
        return any(each.startswith(f"{MARK}=") for pid in family for each in _environment(pid))

    def __str__(self) -> str:
        """Number and command line."""
        words = _bytes(f"/proc/{self.pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")
        return f"process {self.pid}: {words[:200]}"


class Machine:
    """A machine at one moment."""

    def __init__(self) -> None:
        """Look."""
        self.processes = frozenset(Process.all())
        self.namespaces = frozenset(each for process in self.processes for each in process.namespaces())
        self.state = {
            "mount": _mounts(),
            "cgroup": _cgroups(),
            "link": _links(),
            "route": dict.fromkeys(_text("/proc/net/route").splitlines(), ""),
            "parameter": _parameters(),
            "file": _files(),
        }
        self.inhabited = {
            cgroup: pids
            for cgroup in self.state["cgroup"]
            if (pids := {int(pid) for pid in _text(f"{cgroup}/cgroup.procs").split()})
        }

    def differences(self, now: Machine, mark: str) -> list[str]:
        """Return what is otherwise now, each in one line.

        Of the processes that are new those are named which this one started, which have ``mark``, or which
        live in a namespace that is new and are of no other run: others work on this machine, too.
        """
        ours = {each for each in now.processes - self.processes if self._is_ours(each, mark)}
        # What others ran in before, or run in now, is theirs to make and to remove.
        theirs = self.inhabited.keys() | {
            cgroup for cgroup, pids in now.inhabited.items() if not pids & {each.pid for each in ours}
        }
        theirs |= self._trees_of_others(now, theirs) | self._pods_of_nodes(now)
        found = []
        for kind, before in self.state.items():
            passed_over = theirs if kind == "cgroup" else set()
            found += sorted(_compare(kind, before, now.state[kind], passed_over))
        return found + [f"{process} is new" for process in sorted(ours)]

    def _trees_of_others(self, now: Machine, theirs: set[str]) -> set[str]:
        """The cgroups of trees that came or went as a whole, and in which others run, or ran, alone."""
        before, after = self.state["cgroup"], now.state["cgroup"]
        apart = set(before.values()) ^ set(after.values())
        inhabited = self.inhabited.keys() | now.inhabited.keys()
        others = {(before | after)[each] for each in inhabited & theirs}
        shared = {(before | after)[each] for each in inhabited - theirs}
        found = apart & others - shared
        return {cgroup for cgroup, tree in (before | after).items() if tree in found}

    def _pods_of_nodes(self, now: Machine) -> set[str]:
        """The cgroups of pods in trees that stay: a kubelet that is at work makes and removes them."""
        before, after = self.state["cgroup"], now.state["cgroup"]
        stay = set(before.values()) & set(after.values())
        return {
            cgroup for cgroup, tree in (before | after).items() if tree in stay and "/kubepods/" in cgroup
        }

    def _is_ours(self, process: Process, mark: str) -> bool:
        parents = list(process.parents())
        if os.getpid() in parents or any(mark in _environment(pid) for pid in (process.pid, *parents)):
            return True
        return not process.of_another_run() and bool(process.namespaces() - self.namespaces)

    def assert_as_before(self, mark: str, *, seconds: float = 30.0) -> None:
        """Fail with every difference that is still there after a while: what was ended needs a moment."""

        def as_before() -> bool:
            found = self.differences(Machine(), mark)
            assert not found, "\n".join(["the machine is not as it was:", *found])
            return True

        eventually(as_before, seconds=seconds, what="the machine as it was")


@contextlib.contextmanager
def left_as_found() -> Iterator[None]:
    """Fail at the end of the block with what is otherwise then; what is started meanwhile is marked."""
    before = Machine()
    value = secrets.token_hex(8)
    os.environ[MARK] = value
    yield
    del os.environ[MARK]
    before.assert_as_before(f"{MARK}={value}")


def _compare(
    kind: str, before: Mapping[str, str], now: Mapping[str, str], passed_over: set[str]
) -> Iterator[str]:
    for name in (before.keys() | now.keys()) - passed_over:
        old, new = before.get(name), now.get(name)
        if old is None:
            yield f"{kind} {name} is new"
        elif new is None:
            yield f"{kind} {name} is gone"
        elif old != new:
            yield f"{kind} {name} was {old!r}, is {new!r}"


def _mounts() -> dict[str, str]:
    """Each mount without its number, which is given again; of layers of images that are being built, none."""
    lines = _text("/proc/self/mountinfo").splitlines()
    return {line.partition(" ")[2]: "" for line in lines if "/colocation-webhook/image/storage" not in line}


def _cgroups() -> dict[str, str]:
    """Each with the tree that it is in: what stands directly below the root of a hierarchy.

    All but those of others at work, which are named by the number of a process that runs.
    """
    roots = [line.split()[4] for line in _text("/proc/self/mountinfo").splitlines() if " - cgroup" in line]
    found = {}
    for root in roots:
        for folder, names, _ in os.walk(root):
            if folder == root:
                names[:] = [name for name in names if not _at_work(name)]
            found[folder] = "/".join([root, *Path(folder).relative_to(root).parts[:1]])
    return found


def _at_work(name: str) -> bool:
    named = re.fullmatch(r"[a-z-]+-(\d+)", name)
    if named is None or not _statistics(int(named[1])):
        return False
    return os.getpid() not in (int(named[1]), *Process(int(named[1]), "").parents())


def _links() -> dict[str, str]:
    return {name: _text(f"/sys/class/net/{name}/flags") for _, name in socket.if_nameindex()}


def _parameters() -> dict[str, str]:
    found = {}
    for kind in _PARAMETERS:
        for folder, _, names in os.walk(f"/proc/sys/{kind}"):
            for name in names:
                path = f"{folder}/{name}"
                if not _MOVES.fullmatch(path.removeprefix("/proc/sys/")):
                    found[path] = _text(path)
    return found


def _files() -> dict[str, str]:
    listed = (each for folder in FOLDERS for each in (Path(folder), *Path(folder).rglob("*")))
    return {str(each): "" for each in listed if each.exists() or each.is_symlink()}


def _environment(pid: int) -> set[str]:
    """What it was given when it started."""
    return set(_bytes(f"/proc/{pid}/environ").decode(errors="replace").split("\0"))


def _statistics(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` after the command's name; none where the process is gone."""
    return _text(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _text(path: str) -> str:
    return _bytes(path).decode(errors="replace").strip()


def _bytes(path: str) -> bytes:
    """What a file of the kernel has; nothing where it is gone or not to be read."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
