"""The chart's controller, run as a process with the chart's account, and NodeMetrics that a test writes."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.rendering import Helm
from tests.e2e.release.replicas import Replica
from tests.ports import free_ports

NAMESPACE = "somewhere"
"""The namespace of rendered objects."""

CONFIG = f"{NAMESPACE}/slo-controller-config"
CONTROLLER = "release-colocation-webhook-controller"
OURS = "colocation-webhook.io"
QUICK = {OURS: {"holdSeconds": 1, "stepPercent": 100}}
VALUES: dict[str, Any] = {
    "capacity": {
        "enabled": True,
        "colocationConfig": {"enable": True, "updateTimeThresholdSeconds": 5, "extensions": QUICK},
        "agentConfig": {"cpu-burst-config": {"clusterStrategy": {"policy": "auto"}}},
    }
}
COMPONENTS = ("controller", "controller-withdraw")


def objects(helm: Helm, values: Mapping[str, Any] = VALUES) -> list[Object]:
    """The chart's objects of the controller, hooks left out."""
    return [
        each
        for each in helm.render(dict(values), "1.37.0")
        if each["metadata"]["name"].startswith((CONTROLLER, "slo-controller", "nodemetrics.", "nodeslos."))
        and "helm.sh/hook" not in each["metadata"].get("annotations", {})
    ]


def arguments(helm: Helm, kind: str) -> list[str]:
    """The flags of the container of the chart's Deployment or Job."""
    for each in helm.render(VALUES, "1.37.0"):
        if each["kind"] == kind and each["metadata"]["name"].startswith(CONTROLLER):
            found: list[str] = each["spec"]["template"]["spec"]["containers"][0]["args"]
            return found
    raise AssertionError(f"the chart has no {kind} of the controller")


def install(kubectl: Kubectl, helm: Helm) -> list[Object]:
    """Apply the chart's objects, but for the Deployment: its pods would be bound to a test's nodes."""
    found = [each for each in objects(helm) if each["kind"] != "Deployment"]
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    definitions = [each for each in found if each["kind"] == "CustomResourceDefinition"]
    kubectl.apply(*definitions)
    eventually(lambda: kubectl.run("get", "nodemetrics,nodeslos"), what="NodeMetrics and NodeSLOs")
    kubectl.apply(*(each for each in found if each not in definitions))
    return found


class Controller:
    """One replica of the controller."""

    def __init__(self, kubectl: Kubectl, helm: Helm, folder: Path, name: str = "controller") -> None:
        """Take the chart's flags; nothing runs yet."""
        folder.mkdir(exist_ok=True)
        self._kubectl = kubectl
        kubeconfig = folder / f"{name}-kubeconfig"
        kubectl.account(CONTROLLER, namespace=NAMESPACE, kubeconfig=kubeconfig)
        (port,) = free_ports(1)
        env = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
        }
        moved = {
            "--in-cluster": f"--kubeconfig={kubeconfig}",
            "--admin-bind=:8082": f"--admin-bind=localhost:{port}",
        }
        flags = [moved.get(each, each) for each in arguments(helm, "Deployment")]
        self.replica = Replica(name, self._command(flags), port, port, env=env, folder=folder)
        withdrawing = [moved.get(each, each) for each in arguments(helm, "Job")]
        self.withdrawal = Replica(
            f"{name}-withdraw", self._command(withdrawing), port, port, env=env, folder=folder
        )

    def _command(self, flags: list[str]) -> str:
        return shlex.join(["colocation-webhook", *flags])

    @contextlib.contextmanager
    def running(self) -> Iterator[Replica]:
        """Run it until it is ready, and to the end of the block."""
        # A withdrawal before has taken its Lease for a minute.
        self._kubectl.run("-n", NAMESPACE, "delete", "lease", CONTROLLER, "--ignore-not-found")
        self.replica.start()
        try:
            self.replica.wait_until_ready()
            yield self.replica
        finally:
            self.replica.stop()

    def withdraw(self, seconds: float = 90) -> str:
        """Run the chart's hook to its end; return what it wrote."""
        self.withdrawal.start()
        try:
            assert self.withdrawal.process.ended(seconds), "it did not end"
            return self.withdrawal.process.log()
        finally:
            self.withdrawal.stop()


def measure(
    kubectl: Kubectl, node: str, pods: Mapping[str, str], *, system: str = "0", age: float = 0.0
) -> None:
    """Write a NodeMetric's status, as an agent does; ``pods``: CPU by namespace/name, of class prod."""
    now = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)
    status = {
        "updateTime": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "nodeMetric": {
            "nodeUsage": {"resources": {"cpu": "1", "memory": "1Gi"}},
            "systemUsage": {"resources": {"cpu": system, "memory": "1Gi"}},
        },
        "podsMetric": [
            {
                "namespace": name.partition("/")[0],
                "name": name.partition("/")[2],
                "priority": "koord-prod",
                "podUsage": {"resources": {"cpu": cpu, "memory": "1Gi"}},
            }
            for name, cpu in pods.items()
        ],
    }
    patch = json.dumps({"status": status})
    kubectl.run("patch", "nodemetric", node, "--subresource=status", "--type=merge", "-p", patch)
