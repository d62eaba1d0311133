"""The chart's scheduler: a real kube-scheduler with the chart's configuration, account and flags."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.binding.service import FLAGS
from tests.e2e.cluster.binaries import find
from tests.e2e.cluster.controlplane import SCHEDULERS, ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import Process, eventually
from tests.e2e.release.installation import CHART, NAMESPACE, RELEASE, Installation
from tests.e2e.release.metrics import samples
from tests.ports import free_ports

NAME = f"{RELEASE}-scheduler"
KOORD_SCHEDULER = "koord-scheduler"
LEADS = "Successfully acquired lease"
CA = f"{NAME}-ca"
_ANSWERED = 'colocation_webhook_scheduler_calls_total{outcome="answered",verb="filter"}'


@contextlib.contextmanager
def switched_on(release: Installation, folder: Path) -> Iterator[None]:
    """The chart's scheduler and CPU sets at binding, installed; no pod of the scheduler runs."""
    values = {"cpusets": {"enabled": True, "installTopologyCRD": True}, "scheduler": {"enabled": True}}
    upgrade(release, folder, values)
    try:
        yield
    finally:
        upgrade(release, folder, {"cpusets": {"enabled": False}, "scheduler": {"enabled": False}})


@contextlib.contextmanager
def scheduling(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    folder: Path,
    *flags: str,
    port: int | None = None,
    **checks: bool,
) -> Iterator[Process]:
    """The chart's scheduler and the webhook that it asks, with further flags and some checks off.

    ``port``: where it asks, if not at the webhook's own.
    """
    folder.mkdir(exist_ok=True)
    checked = {"load": True, "cpuSets": True, "preemption": True, **checks}
    upgrade(release, folder, {"cpusets": {"enabled": True}, "scheduler": {"checks": checked}})
    release.stop()
    try:
        release.serve(*FLAGS, *extender_flags(release, folder), *flags)
        with answering(release, control_plane, cache, folder, port=port) as process:
            yield process
    finally:
        release.stop()
        release.serve()


def extender_flags(release: Installation, folder: Path) -> tuple[str, ...]:
    """What the chart gives the webhook for the scheduler; its settings in a file."""
    settings = folder / "settings.yaml"
    written = release.kubectl.get("configmap", f"{NAME}-settings", namespace=NAMESPACE)
    settings.write_text(_data(written, settings.name))
    return (f"--ca-configmap={NAMESPACE}/{CA}", f"--ca-deployment={NAME}", f"--scheduler={settings}")


@contextlib.contextmanager
def answering(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    folder: Path,
    *flags: str,
    asks: bool = True,
    port: int | None = None,
) -> Iterator[Process]:
    """The chart's scheduler; the control plane's own answers to its own name only meanwhile.

    ``asks``: whether it has its extender; ``port``: where, if not at the webhook's own.
    """
    control_plane.schedule_for("default-scheduler")
    try:
        process = start(release, cache, folder, *flags, asks=asks, port=port)
        try:
            eventually(lambda: LEADS in process.log(), seconds=60, what="the scheduler leads")
            yield process
        finally:
            process.stop()
    finally:
        control_plane.schedule_for(*SCHEDULERS)


def start(
    release: Installation,
    cache: Path,
    folder: Path,
    *flags: str,
    asks: bool = True,
    port: int | None = None,
) -> Process:
    """Start the scheduler by the Deployment's command, with its configuration and its CA as they are now.

    It is started again when it ends, as a container is: who loses its Lease ends.
    """
    kubectl = release.kubectl
    folder.mkdir(exist_ok=True)
    configuration = yaml.safe_load(
        _data(kubectl.get("configmap", NAME, namespace=NAMESPACE), "scheduler.yaml")
    )
    account, ca = folder / "kubeconfig", folder / "ca.crt"
    kubectl.account(NAME, namespace=NAMESPACE, kubeconfig=account)
    ca.write_text(eventually(lambda: _data(kubectl.get("configmap", CA, namespace=NAMESPACE), "ca.crt")))
    configuration["clientConnection"]["kubeconfig"] = str(account)
    (extender,) = configuration["extenders"]
    extender["tlsConfig"]["caFile"] = str(ca)
    for key, name in (("certFile", "tls.crt"), ("keyFile", "tls.key")):
        if key in extender["tlsConfig"]:
            extender["tlsConfig"][key] = str(_shown(kubectl, folder, name))
    if port is not None:
        extender["urlPrefix"] = f"https://localhost:{port}/scheduler"
    if not asks:
        del configuration["extenders"]
    file = folder / "scheduler.yaml"
    file.write_text(json.dumps(configuration))
    deployment = kubectl.get("deployment", NAME, namespace=NAMESPACE)
    _binary, *written = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    kept = [flag for flag in written if not flag.startswith("--config=")]
    (own,) = free_ports(1)
    command = [
        str(find("kube-scheduler", cache)),
        *kept,
        f"--config={file}",
        # What a pod's own account is used for without being told.
        f"--authentication-kubeconfig={account}",
        f"--authorization-kubeconfig={account}",
        "--bind-address=127.0.0.1",
        f"--secure-port={own}",
        "-v=2",
        *flags,
    ]
    again = ["/bin/bash", "-c", 'trap exit TERM; while true; do "$@"; sleep 1; done', "kubelet", *command]
    return Process("koord-scheduler", again, folder / "koord-scheduler.log", env=os.environ, cwd=folder)


def upgrade(release: Installation, folder: Path, values: Mapping[str, Any]) -> None:
    """Upgrade the release to further values; no pod of its scheduler runs."""
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    release.helm("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", f"--values={file}")
    if values.get("scheduler", {}).get("enabled", True):
        # What stands for its pods is a process.
        release.kubectl.run("-n", NAMESPACE, "scale", "deployment", NAME, "--replicas=0")


def calls(release: Installation) -> float:
    """How often the webhook has answered where a pod may go."""
    with urllib.request.urlopen(f"http://localhost:{release.admin_port}/metrics", timeout=5) as answer:
        return samples(answer.read().decode()).get(_ANSWERED, 0.0)


def _shown(kubectl: Kubectl, folder: Path, name: str) -> Path:
    """A file of the Secret that the Deployment mounts, written."""
    pod = kubectl.get("deployment", NAME, namespace=NAMESPACE)["spec"]["template"]["spec"]
    (secret,) = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
    file = folder / name
    held = kubectl.get("secret", secret, namespace=NAMESPACE)["data"]
    file.write_bytes(base64.b64decode(held[name]))
    return file


def _data(configmap: Object, key: str) -> str:
    text: str = configmap["data"][key]
    return text
