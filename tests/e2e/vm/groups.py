"""Where the cgroups of containers are in the virtual machine: by the seed's script, not the agent's code."""

from __future__ import annotations

from typing import Final

from tests.e2e.cluster.kubectl import Object
from tests.e2e.node.workloads.colocated import NO_SETTING
from tests.e2e.vm.machine.guest import Guest

CONTAINER: Final = "container"
_SLICES = {
    "Burstable": "kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice",
    "BestEffort": "kubepods-besteffort.slice/kubepods-besteffort-pod{uid}.slice",
    # The script has another path here, which no kubelet makes.
    "Guaranteed": "kubepods-pod{uid}.slice",
}
_LINES = "find {folder} -type f -perm -200 -exec grep -H '' {{}} + 2> /dev/null || true"
"""Prints each line of files that can be written; those of which the kernel shows nothing are passed over."""


def read(guest: Guest, stored: Object, name: str, controller: str = "cpuset") -> str:
    """What a file of a running pod's one container holds; ``controller``: whose it is in version 1."""
    return guest.run("cat", f"{_folder(guest, stored, controller)}/{_scope(stored)}/{name}").strip()


def settings(guest: Guest, stored: Object) -> dict[str, str]:
    """What stands in every file that is a setting, of cgroup version 2, by ``PART FILE``.

    A part is ``pod``, ``container`` or ``sandbox``.
    """
    folder = _folder(guest, stored)
    parts = {folder: "pod", f"{folder}/{_scope(stored)}": CONTAINER}
    found: dict[str, str] = {}
    for line in guest.run("sh", "-c", _LINES.format(folder=folder)).splitlines():
        path, _, text = line.partition(":")
        group, _, name = path.rpartition("/")
        if not NO_SETTING.fullmatch(name):
            at = f"{parts.get(group, 'sandbox')} {name}"
            found[at] = f"{found[at]}\n{text}" if at in found else text
    return found


def setting(stored: Object, path: str, name: str) -> str:
    """How ``settings`` names a file of a pod's cgroups, of which the ledger has folder and name."""
    group = path.rpartition("/")[2]
    inside = CONTAINER if group == _scope(stored) else "sandbox"
    return f"{'pod' if group.endswith('.slice') else inside} {name}"


def allowed(guest: Guest, stored: Object) -> str:
    """On which CPUs the kernel lets its one process run."""
    (process,) = read(guest, stored, "cgroup.procs").split()
    status = guest.run("cat", f"/proc/{process}/status")
    (found,) = [line for line in status.splitlines() if line.startswith("Cpus_allowed_list:")]
    return found.partition(":")[2].strip()


def _folder(guest: Guest, stored: Object, controller: str = "") -> str:
    """The folder of a pod; ``controller``: in whose hierarchy, in version 1."""
    hierarchy = f"{controller}/" if guest.shape.cgroups == 1 else ""
    pod = _SLICES[stored["status"]["qosClass"]].format(uid=stored["metadata"]["uid"].replace("-", "_"))
    return f"/sys/fs/cgroup/{hierarchy}kubepods.slice/{pod}"


def _scope(stored: Object) -> str:
    """The folder of its container below that, by the driver systemd."""
    (status,) = stored["status"]["containerStatuses"]
    name: str = status["containerID"]
    return name.replace("containerd://", "cri-containerd-") + ".scope"
