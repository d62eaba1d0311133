"""Where the cgroups of containers are in the virtual machine: by the seed's script, not the agent's code."""

from __future__ import annotations

from tests.e2e.cluster.kubectl import Object
from tests.e2e.vm.machine.guest import Guest

_SLICES = {
    "Burstable": "kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice",
    "BestEffort": "kubepods-besteffort.slice/kubepods-besteffort-pod{uid}.slice",
    # The script has another path here, which no kubelet makes.
    "Guaranteed": "kubepods-pod{uid}.slice",
}


def read(guest: Guest, stored: Object, name: str, controller: str = "cpuset") -> str:
    """What a file of a running pod's one container holds; ``controller``: whose it is in version 1."""
    hierarchy = f"{controller}/" if guest.shape.cgroups == 1 else ""
    return guest.run("cat", f"/sys/fs/cgroup/{hierarchy}kubepods.slice/{_group(stored)}/{name}").strip()


def allowed(guest: Guest, stored: Object) -> str:
    """On which CPUs the kernel lets its one process run."""
    (process,) = read(guest, stored, "cgroup.procs").split()
    status = guest.run("cat", f"/proc/{process}/status")
    (found,) = [line for line in status.splitlines() if line.startswith("Cpus_allowed_list:")]
    return found.partition(":")[2].strip()


def _group(stored: Object) -> str:
    """The folder of its container below ``kubepods.slice``, by the driver systemd."""
    pod = _SLICES[stored["status"]["qosClass"]].format(uid=stored["metadata"]["uid"].replace("-", "_"))
    (status,) = stored["status"]["containerStatuses"]
    container = status["containerID"].replace("containerd://", "cri-containerd-") + ".scope"
    return f"{pod}/{container}"
