"""cert-manager: its definitions in the API server, its controller and its cainjector as processes."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.e2e.cluster.binaries import CERT_MANAGER, built
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, RefusedError
from tests.e2e.cluster.processes import Process, stopping
from tests.ports import free_ports


@contextlib.contextmanager
def running(control_plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Have it do its work for a control plane; it has an administrator's rights there."""
    cache = built(CERT_MANAGER)
    kubectl = control_plane.kubectl
    for path in sorted((cache / "crds").glob("crd-*.yaml")):
        definition = yaml.safe_load(path.read_text())
        del definition["metadata"]["labels"]  # Helm's, not yet filled in
        kubectl.run("apply", "--server-side", "-f", "-", stdin=json.dumps(definition))
    kubectl.run("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
    folder.mkdir()
    common = [f"--kubeconfig={control_plane.kubeconfig}", "--leader-elect=false"]
    own = {
        "controller": [f"--metrics-listen-address=127.0.0.1:{free_ports(1)[0]}"],
        "cainjector": [],
    }
    processes: list[Process] = []
    with contextlib.ExitStack() as stack:
        for name, flags in own.items():
            process = Process(
                name, [str(cache / name), *common, *flags], folder / f"{name}.log", env=os.environ, cwd=folder
            )
            processes.append(stack.enter_context(stopping(process)))
        stack.enter_context(_trying_again(kubectl))
        yield
        for process in processes:
            process.require_running()


@contextlib.contextmanager
def _trying_again(kubectl: Kubectl) -> Iterator[None]:
    """Have certificates that failed tried again at once, as an administrator would.

    A new one fails now and then where two of cert-manager's controllers choose a key for it ("CSR not signed
    by referenced private key"); it would be tried again after an hour.
    """
    kind, over = "certificates.cert-manager.io", threading.Event()
    forgotten = json.dumps({"status": {"lastFailureTime": None, "failedIssuanceAttempts": None}})

    def look() -> None:
        listed = json.loads(kubectl.run("get", kind, "--all-namespaces", "-o", "json").stdout)
        for metadata in (
            each["metadata"] for each in listed["items"] if each.get("status", {}).get("lastFailureTime")
        ):
            place = ["-n", metadata["namespace"], metadata["name"], "--subresource=status"]
            kubectl.run("patch", kind, *place, "--type=merge", "-p", forgotten)

    def watch() -> None:
        while not over.wait(2.0):
            with contextlib.suppress(RefusedError):  # it is gone again
                look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
