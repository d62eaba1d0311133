"""The chart's Deployment as what a container runtime is told about its one container: an OCI bundle."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.e2e.cluster.kubectl import Object

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def bundle(
    folder: Path, root: Path, image: dict[str, Any], pod: Object, contents: dict[str, dict[str, bytes]]
) -> None:
    """Write what runc needs into ``folder``.

    Args:
        folder: where to; made here.
        root: the image's root file system.
        image: the configuration of the image.
        pod: the ``spec`` of a pod with one container.
        contents: the files of each Secret, by its name, and of the service account's folder by the
            account's name.
    """
    (container,) = pod["containers"]
    folder.mkdir()
    who, rights = pod["securityContext"], container["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    environment = {
        **dict(each.split("=", 1) for each in image["Env"]),
        **{each["name"]: each["value"] for each in container.get("env", [])},
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "6443",
    }
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {
                "uid": who["runAsUser"],
                "gid": who["runAsGroup"],
                "additionalGids": [who["fsGroup"]],
            },
            "args": [*image["Entrypoint"], *container["args"]],
            "env": [f"{name}={value}" for name, value in environment.items()],
            "cwd": image.get("WorkingDir") or "/",
            "capabilities": {},
            "noNewPrivileges": not rights["allowPrivilegeEscalation"],
        },
        "root": {"path": str(root), "readonly": rights["readOnlyRootFilesystem"]},
        "hostname": "webhook",
        "mounts": [*_RUNTIME, *_volumes(folder, pod, container, contents)],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}],
                "memory": {"limit": size(container["resources"]["limits"]["memory"])},
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }
    (folder / "config.json").write_text(json.dumps(config))


def size(quantity: str) -> int:
    """Bytes of a quantity such as 16Mi."""
    return int(quantity[:-2]) * _UNITS[quantity[-2:]]


def _mount(target: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}


_RUNTIME = [
    _mount("/proc", "proc"),
    _mount("/dev", "tmpfs", "nosuid", "mode=755", "size=65536k"),
    _mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),  # noqa: S108
    _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
]
"""What every container has from its runtime."""


def _volumes(
    folder: Path, pod: Object, container: Object, contents: dict[str, dict[str, bytes]]
) -> list[dict[str, Any]]:
    volumes = {each["name"]: each for each in pod["volumes"]}
    group = pod["securityContext"]["fsGroup"]
    mounts = []
    for each in container["volumeMounts"]:
        volume, target = volumes[each["name"]], each["mountPath"]
        if "emptyDir" in volume:
            assert volume["emptyDir"]["medium"] == "Memory"
            limit = f"size={size(volume['emptyDir']['sizeLimit'])}"
            mounts.append(_mount(target, "tmpfs", "nosuid", "nodev", "mode=2777", f"gid={group}", limit))
        else:
            secret = volume["secret"]
            content, mode = contents[secret["secretName"]], secret["defaultMode"]
            source = _files(folder / each["name"], content, mode, group)
            mounts.append({**_mount(target, "bind", "bind", "ro"), "source": str(source)})
    if pod["automountServiceAccountToken"]:
        source = _files(folder / "account", contents[pod["serviceAccountName"]], 0o640, group)
        mounts.append({**_mount(SERVICE_ACCOUNT, "bind", "bind", "ro"), "source": str(source)})
    return mounts


def _files(folder: Path, contents: dict[str, bytes], mode: int, group: int) -> Path:
    """A folder of files that root owns and the pod's group may read, as the kubelet makes it."""
    folder.mkdir()
    for name, content in contents.items():
        path = folder / name
        path.write_bytes(content)
        path.chmod(mode)
        shutil.chown(path, group=group)
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 — whatever the umask is
    return folder
