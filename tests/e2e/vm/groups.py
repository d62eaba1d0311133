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


def group(stored: Object) -> str:
    """The folder of a running pod's one container, under cgroup v2 with the driver systemd."""
    pod = _SLICES[stored["status"]["qosClass"]].format(uid=stored["metadata"]["uid"].replace("-", "_"))
    (status,) = stored["status"]["containerStatuses"]
    container = status["containerID"].replace("containerd://", "cri-containerd-") + ".scope"
    return f"/sys/fs/cgroup/kubepods.slice/{pod}/{container}"


def read(guest: Guest, stored: Object, name: str) -> str:
    """What a file of that folder holds."""
    return guest.run("cat", f"{group(stored)}/{name}").strip()
