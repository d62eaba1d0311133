"""Where a node's cgroups are: the hierarchies of both versions, and the folders of pods in them.

A group has the same path in every hierarchy. The kubelet's driver cgroupfs names one
``kubepods/burstable/pod1b2c``, the driver systemd
``kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c.slice``. Source: Kubernetes
``pkg/kubelet/cm``; the names of containers are those of containerd, CRI-O and cri-dockerd.
"""

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from os import scandir
from pathlib import Path
from typing import Final

from webhook.protocol import KubeQoS

KUBEPODS: Final = "kubepods"
CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "memory")
"""Of version 1, what a hierarchy is asked for; in version 2 ``cpu`` counts, too."""

GONE: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.ESTALE, errno.ESRCH})
"""What the kernel answers about a file whose group is not there any more, or that it never had."""

_SLICE: Final = ".slice"
_CGROUPS: Final = Path("sys/fs/cgroup")
_DEPTH: Final = 3
"""How far down the kubelet's cgroupRoot is looked for: kind's is ``kubelet.slice/kubelet-kubepods.slice``."""

_CONTAINER: Final = re.compile(
    r"(?:cri-containerd-|crio-|docker-|containerd-|libpod-)?([0-9a-f]{64})(?:\.scope)?", re.ASCII
)


class HierarchyError(OSError):
    """No cgroups of a kubelet are found; the message says where they were looked for."""


class Driver(StrEnum):
    """Who makes the groups of pods, and so names them."""

    SYSTEMD = "systemd"
    CGROUPFS = "cgroupfs"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where each file of a group is.

    Attributes:
        version: 1 or 2, of the hierarchies that hold CPU time, CPU sets and memory.
        driver: how groups are named.
        mounts: the top folder of each controller's hierarchy that there is; in version 2 all are one.
        unified: the top folder of version 2, also where others are of version 1; None: there is none.
        kubepods: the group of all pods, relative to each top folder.
    """

    version: int
    driver: Driver
    mounts: Mapping[str, Path]
    unified: Path | None
    kubepods: str

    @property
    def lacking(self) -> tuple[str, ...]:
        """Return the controllers that this machine does not have."""
        return tuple(each for each in CONTROLLERS if each not in self.mounts)

    @property
    def all_pods(self) -> Path:
        """Return the directory of the group of all pods, in the hierarchy of the first controller."""
        return next(iter(self.mounts.values())) / self.kubepods

    def file(self, controller: str, group: str, name: str) -> str | None:
        """Return the path of a controller's file of a group; None where the machine has no such controller.

        The file need not exist: a kernel has some of them only.
        """
        top = self.mounts.get(controller)
        return None if top is None else f"{top}/{group}/{name}" if group else f"{top}/{name}"

    def folder(self, controller: str, group: str) -> str | None:
        """Return the directory of a group in a controller's hierarchy; None where there is none."""
        top = self.mounts.get(controller)
        return f"{top}/{group}" if top is not None and (top / group).is_dir() else None

    def unified_file(self, group: str, name: str) -> str | None:
        """Return the path of a file that only version 2 has, such as pressure; None: that is not mounted."""
        if self.unified is None:
            return None
        return f"{self.unified}/{group}/{name}" if group else f"{self.unified}/{name}"

    def child(self, group: str, name: str) -> str:
        """Return the group of that name below ``group``, named as the driver does."""
        if self.driver is Driver.CGROUPFS:
            return f"{group}/{name}"
        last = group.rpartition("/")[2].removesuffix(_SLICE)
        return f"{group}/{last}-{name.replace('-', '_')}{_SLICE}"

    def qos(self, qos: KubeQoS) -> str:
        """Return the group of a class of pods: that of all of them for Guaranteed ones."""
        return self.kubepods if qos is KubeQoS.GUARANTEED else self.child(self.kubepods, qos.lower())

    def pod(self, qos: KubeQoS, uid: str) -> str:
        """Return the group of a pod, by the uid that the kubelet knows (``pods.pod.kubelet_uid``)."""
        return self.child(self.qos(qos), f"pod{uid}")

    def containers(self, pod: str) -> dict[str, str]:
        """Return the groups of a pod's containers and sandboxes, by the id that the runtime gave them."""
        found = {}
        for name in self._below(pod):
            if container := _CONTAINER.fullmatch(name):
                found[container[1]] = f"{pod}/{name}"
        return found

    def _below(self, group: str) -> list[str]:
        return _folders(next(iter(self.mounts.values())) / group)


def find_hierarchy(root: Path | str = "/", kubepods: str | None = None) -> Hierarchy:
    """Find the cgroups below a root.

    Args:
        root: the folder with ``sys/fs/cgroup``: ``/`` of this machine, another of a recorded one.
        kubepods: the group of all pods, where a machine has several; else it is looked for.

    Raises:
        HierarchyError: there are none, several groups of that name, or nobody may look; names the remedy.
    """
    try:
        return _find(Path(root) / _CGROUPS, kubepods)
    except PermissionError as error:
        raise HierarchyError(
            f"{error.filename}: {error.strerror}: run this as root, or give a copy with --root"
        ) from None


def _find(top: Path, kubepods: str | None) -> Hierarchy:
    unified = next((each for each in (top, top / "unified") if (each / "cgroup.controllers").is_file()), None)
    version = 2 if unified == top else 1
    mounts = _enabled(top) if unified == top else _mounts(top)
    if not mounts:
        raise HierarchyError(
            f"{top}: there is no cgroup hierarchy of cpu, cpuset and memory: "
            "give with --root a folder that has the /sys of a node"
        )
    group = _kubepods(next(iter(mounts.values())), kubepods)
    driver = Driver.SYSTEMD if group.endswith(_SLICE) else Driver.CGROUPFS
    return Hierarchy(version, driver, mounts, unified, group)


def _enabled(top: Path) -> dict[str, Path]:
    """Return version 2's controllers; CPU time it counts without one."""
    try:
        names = (top / "cgroup.controllers").read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        names = []
    return {controller: top for controller in CONTROLLERS if controller in {*names, "cpuacct"}}


def _mounts(top: Path) -> dict[str, Path]:
    """Return the hierarchies of version 1; several controllers may share one, ``cpu,cpuacct``."""
    found: dict[str, Path] = {}
    for name in _folders(top, links=True):
        for controller in name.split(","):
            if controller in CONTROLLERS:
                found.setdefault(controller, top / name)
    return {controller: found[controller] for controller in CONTROLLERS if controller in found}


def _kubepods(top: Path, given: str | None) -> str:
    if given is not None:
        group = given.strip("/")
        if not (top / group).is_dir():
            raise HierarchyError(f"--kubepods {given}: there is no folder {top / group}")
        return group
    level = [""]
    for _ in range(_DEPTH):
        below = [f"{group}/{name}".strip("/") for group in level for name in _folders(top / group)]
        found = [group for group in below if _is_kubepods(group.rpartition("/")[2])]
        if len(found) > 1:
            raise HierarchyError(
                f"{top}: {' and '.join(sorted(found))} are groups of kubelets: name one with --kubepods"
            )
        if found:
            return found[0]
        level = below
    raise HierarchyError(
        f"{top}: there is no group {KUBEPODS} or {KUBEPODS}{_SLICE}: start the kubelet, name its group "
        "with --kubepods, or give with --root a folder that has the /sys of a node"
    )


def _is_kubepods(name: str) -> bool:
    return name in {KUBEPODS, f"{KUBEPODS}{_SLICE}"} or name.endswith(f"-{KUBEPODS}{_SLICE}")


def _folders(folder: Path, *, links: bool = False) -> list[str]:
    """Return the names of the folders in one, with ``links`` also of links to some; none if it is gone."""
    try:
        with scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=links))
    except OSError:
        return []
