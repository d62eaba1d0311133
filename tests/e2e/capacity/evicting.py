"""A controller that evicts, run as a process with the chart's flags; and what forbids an eviction."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from tests.e2e.capacity.controller import CONTROLLER, NAMESPACE
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.replicas import Replica
from tests.ports import free_ports


def replica(kubectl: Kubectl, rendered: list[Object], folder: Path, name: str, *flags: str) -> Replica:
    """A replica with the chart's flags; its account is the chart's unless a flag names a kubeconfig."""
    (deployment,) = [
        each for each in rendered if each["kind"] == "Deployment" and each["metadata"]["name"] == CONTROLLER
    ]
    args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    kubeconfig = folder / f"{name}-kubeconfig"
    kubectl.account(CONTROLLER, namespace=NAMESPACE, kubeconfig=kubeconfig)
    (port,) = free_ports(1)
    moved = {
        "--in-cluster": f"--kubeconfig={kubeconfig}",
        "--admin-bind=:8082": f"--admin-bind=localhost:{port}",
    }
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }
    command = shlex.join(["colocation-webhook", *(moved.get(each, each) for each in args), *flags])
    return Replica(name, command, port, port, env=env, folder=folder)


def protect(kubectl: Kubectl, namespace: str, name: str) -> None:
    """Forbid the eviction of a pod, and wait until that holds."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
    }
    kubectl.run("-n", namespace, "create", "-f", "-", stdin=json.dumps(budget))

    def holds() -> bool:
        status = kubectl.get("poddisruptionbudget", name, namespace=namespace).get("status", {})
        return bool(status.get("currentHealthy") == 1 and status.get("disruptionsAllowed") == 0)

    eventually(holds, seconds=60, what="the budget of disruption")
