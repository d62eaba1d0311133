"""A part of the chart, switched on and off: the release, and what its pods would run.

There is no kubelet: the command of a pod runs as a process, and a hook's pod is then said to have succeeded.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.release.installation import CHART, NAMESPACE, RELEASE, Installation
from tests.ports import free_ports

CONTROLLER = f"{RELEASE}-controller"

PASSING = {"events", "pods", "endpointslices", "endpoints", "apiservices"}
"""Kinds of which objects come and go by themselves, or with a definition."""

STATIC = {"policy": "static", "static": {"cpuPercent": 25, "memoryPercent": 25}}
STRATEGY = {"enable": True, "extensions": {"colocation-webhook.io": {**STATIC, "holdSeconds": 0}}}


def everything(kubectl: Kubectl) -> set[str]:
    """Namespace, kind and name of every object that does not come and go by itself, or with another test."""
    kinds = kubectl.run("api-resources", "--verbs=list", "-o", "name").stdout.split()
    wanted = [kind for kind in kinds if kind.partition(".")[0] not in PASSING]
    fields = '{.metadata.namespace}{" "}{.kind}{" "}{.metadata.name}'
    form = f'{{range .items[*]}}{fields}{{"\\n"}}{{end}}'
    found = kubectl.run("get", ",".join(wanted), "-A", "-o", f"jsonpath={form}").stdout.splitlines()
    of_tests = {each for each in found if each.startswith(("e2e-", " Namespace e2e-"))}
    return {each for each in found if "sh.helm.release" not in each} - of_tests


def node_objects(kubectl: Kubectl) -> dict[str, Object]:
    """What nodes say of themselves, and who says it."""
    listed = json.loads(kubectl.run("get", "nodes", "-o", "json", "--show-managed-fields").stdout)
    return {
        each["metadata"]["name"]: {
            "annotations": each["metadata"].get("annotations", {}),
            "status": {name: each["status"].get(name) for name in ("capacity", "allocatable")},
            "managers": sorted({entry["manager"] for entry in each["metadata"]["managedFields"]}),
        }
        for each in listed["items"]
    }


class Switch:
    """The release, and the processes that its pods would run."""

    def __init__(self, release: Installation, folder: Path) -> None:
        self.kubectl = release.kubectl
        self._release = release
        self._folder = folder

    def upgrade(self, chart: Path, *flags: str) -> None:
        """Upgrade the release; its values stay."""
        self._release.helm("upgrade", RELEASE, str(chart), "--reset-then-reuse-values", *flags)

    def on(self) -> None:
        """Switch it on."""
        strategy = f"capacity.colocationConfig={json.dumps(STRATEGY)}"
        self.upgrade(CHART, "--set=capacity.enabled=true", "--set-json", strategy)

    def command(self, spec: Object, name: str) -> Process:
        """Run the command of a pod's container with the pod's account."""
        kubeconfig = self._folder / f"{name}-kubeconfig"
        self.kubectl.account(CONTROLLER, namespace=NAMESPACE, kubeconfig=kubeconfig)
        (port,) = free_ports(1)
        moved = {
            "--in-cluster": f"--kubeconfig={kubeconfig}",
            "--admin-bind=:8082": f"--admin-bind=localhost:{port}",
        }
        arguments = [moved.get(each, each) for each in spec["containers"][0]["args"]]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        command = ["/bin/bash", "-c", f"exec {shlex.join(['colocation-webhook', *arguments])}"]
        return Process(name, command, self._folder / f"{name}.log", env=env, cwd=self._folder)

    def off(self) -> str:
        """Switch it off: the chart's hook ends before anything else happens. Return what it said."""
        with ThreadPoolExecutor(1) as pool:
            upgrading = pool.submit(self.upgrade, CHART, "--set=capacity.enabled=false")
            selector = "app.kubernetes.io/component=controller-withdraw"

            def pod() -> Object:
                if upgrading.done():
                    upgrading.result()
                found = self.kubectl.items("pods", namespace=NAMESPACE, selector=selector)
                assert len(found) == 1
                return found[0]

            made = eventually(pod, seconds=60, what="pod of the hook")
            with stopping(self.command(made["spec"], "withdraw")) as process:
                assert process.ended(120), "it did not end"
                said = process.log()
            terminated = {"exitCode": 0, "reason": "Completed"}
            status = {"name": "withdraw", "image": "none", "imageID": "", "ready": False, "restartCount": 0}
            succeeded = {
                "phase": "Succeeded",
                "containerStatuses": [{**status, "state": {"terminated": terminated}}],
            }
            patch = json.dumps({"status": succeeded})
            name = made["metadata"]["name"]
            self.kubectl.run(
                "-n", NAMESPACE, "patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch
            )
            upgrading.result(120)
        return said
