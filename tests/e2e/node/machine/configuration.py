"""What containerd and the kubelet of a node are told."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.e2e.node.machine.images import PAUSE

SOCKET: Final = "/run/containerd/containerd.sock"
NETWORKS: Final = "/var/lib/cni/net.d"
CGROUPFS: Final = "cgroupfs"
SYSTEMD: Final = "systemd"

NETWORK: Final = json.dumps(
    # A node is Ready only with a network. No pod uses it: they all have the node's own.
    {"cniVersion": "0.4.0", "name": "nobody", "plugins": [{"type": "loopback"}]}
)
_ADDRESSES = {"type": "host-local", "subnet": "10.244.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
POD_NETWORK: Final = json.dumps(
    {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{"type": "ptp", "ipam": _ADDRESSES}],
    }
)
"""A network of the node's own: pods reach the node, it them, and through it they reach what it does."""


def containerd(driver: str = CGROUPFS) -> str:
    """The configuration of containerd.

    Args:
        driver: who makes the cgroups of containers.
    """
    # A root without CAP_SYS_RESOURCE may not protect a process from the OOM killer: sandboxes ask for it.
    restricted = "true" if driver == CGROUPFS else "false"
    systemd = "true" if driver == SYSTEMD else "false"
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs"]

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
stream_server_address = "127.0.0.1"
restrict_oom_score_adj = {restricted}

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{NETWORKS}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = {systemd}
"""


def kubelet(
    port: int, health_port: int, *, address: str = "127.0.0.1", driver: str = CGROUPFS
) -> dict[str, Any]:
    """The KubeletConfiguration, as JSON.

    Args:
        port: where the API server finds it.
        health_port: of the loopback address.
        address: on which it listens.
        driver: who makes the cgroups of pods.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "address": address,
        "port": port,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": health_port,
        "readOnlyPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "failCgroupV1": False,
        "cgroupDriver": driver,
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        # The disk is the machine's: what is free on it says nothing about the node.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "localStorageCapacityIsolation": False,
    }
