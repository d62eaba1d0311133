"""What containerd and the kubelet of a node are told: loopback only, cgroup v1, driver cgroupfs."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.e2e.node.machine.images import PAUSE

SOCKET: Final = "/run/containerd/containerd.sock"
NETWORKS: Final = "/var/lib/cni/net.d"

CONTAINERD: Final = f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs"]

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
stream_server_address = "127.0.0.1"
# A root without CAP_SYS_RESOURCE may not protect a process from the OOM killer: sandboxes ask for it.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{NETWORKS}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""

NETWORK: Final = json.dumps(
    # A node is Ready only with a network. No pod uses it: they all have the node's own.
    {"cniVersion": "0.4.0", "name": "nobody", "plugins": [{"type": "loopback"}]}
)


def kubelet(port: int, health_port: int) -> dict[str, Any]:
    """The KubeletConfiguration, as JSON; both ports are of the loopback address."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "address": "127.0.0.1",
        "port": port,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": health_port,
        "readOnlyPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
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
