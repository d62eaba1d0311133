"""The chart's scheduler: a real kube-scheduler with the chart's configuration, account and flags."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.binding.service import FLAGS
from tests.e2e.cluster.binaries import find
from tests.e2e.cluster.controlplane import SCHEDULERS, ControlPlane
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import Process, eventually, free_ports
from tests.e2e.release.installation import CHART, NAMESPACE, RELEASE, Installation

NAME = f"{RELEASE}-scheduler"
KOORD_SCHEDULER = "koord-scheduler"
LEADS = "Successfully acquired lease"
CA = f"{NAME}-ca"
CA_FLAGS = (f"--ca-configmap={NAMESPACE}/{CA}", f"--ca-deployment={NAME}")
"""What the chart gives the webhook, too."""


@contextlib.contextmanager
def switched_on(release: Installation, folder: Path) -> Iterator[None]:
    """The chart's scheduler and CPU sets at binding, installed; no pod of the scheduler runs."""
    values = {"cpusets": {"enabled": True, "installTopologyCRD": True}, "scheduler": {"enabled": True}}
    _upgrade(release, folder, values)
    try:
        yield
    finally:
        _upgrade(release, folder, {"cpusets": {"enabled": False}, "scheduler": {"enabled": False}})


@contextlib.contextmanager
def scheduling(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    folder: Path,
    *flags: str,
    **checks: bool,
) -> Iterator[Process]:
    """The chart's scheduler and the webhook that it asks (with further flags), with some checks switched off.

    The control plane's own scheduler answers to its own name only meanwhile.
    """
    folder.mkdir(exist_ok=True)
    checked = {"load": True, "cpuSets": True, "preemption": True, **checks}
    _upgrade(release, folder, {"scheduler": {"checks": checked}})
    kubectl = release.kubectl
    settings = folder / "settings.yaml"
    written = kubectl.get("configmap", f"{NAME}-settings", namespace=NAMESPACE)
    settings.write_text(_data(written, settings.name))
    release.stop()
    control_plane.schedule_for("default-scheduler")
    try:
        release.serve(*FLAGS, *CA_FLAGS, *flags, f"--scheduler={settings}")
        process = start(release, cache, folder)
        try:
            eventually(lambda: LEADS in process.log(), seconds=60, what="the scheduler leads")
            yield process
        finally:
            process.stop()
    finally:
        control_plane.schedule_for(*SCHEDULERS)
        release.stop()
        release.serve()


def start(release: Installation, cache: Path, folder: Path) -> Process:
    """Start the scheduler by the Deployment's command, with its configuration and its CA as they are now."""
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
    file = folder / "scheduler.yaml"
    file.write_text(json.dumps(configuration))
    deployment = kubectl.get("deployment", NAME, namespace=NAMESPACE)
    _binary, *flags = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    kept = [flag for flag in flags if not flag.startswith("--config=")]
    (port,) = free_ports(1)
    command = [
        str(find("kube-scheduler", cache)),
        *kept,
        f"--config={file}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "-v=2",
    ]
    return Process("koord-scheduler", command, folder / "koord-scheduler.log", env=os.environ, cwd=folder)


def _upgrade(release: Installation, folder: Path, values: Mapping[str, Any]) -> None:
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    release.helm("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", f"--values={file}")
    if values.get("scheduler", {}).get("enabled", True):
        # What stands for its pods is a process.
        release.kubectl.run("-n", NAMESPACE, "scale", "deployment", NAME, "--replicas=0")


def _data(configmap: Object, key: str) -> str:
    text: str = configmap["data"][key]
    return text
