"""The part is switched on and off again, from a chart that did not have it: no trace is left.

There is no kubelet: the Deployment's command runs as a process, and so does that of the hook, whose pod is
then said to have succeeded.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from tests.e2e.capacity.controller import measure
from tests.e2e.capacity.nodes import offered
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.processes import Process, eventually, free_ports, stopping
from tests.e2e.release.installation import CHART, NAMESPACE, RELEASE, Installation

CONTROLLER = f"{RELEASE}-controller"
KEPT = {
    " CustomResourceDefinition nodemetrics.slo.koordinator.sh",
    " CustomResourceDefinition nodeslos.slo.koordinator.sh",
    f"{NAMESPACE} Lease {CONTROLLER}",
}
"""What docs/capacity.md says of it: the definitions, and the Lease of the replicas."""

PASSING = {"events", "pods", "endpointslices", "endpoints", "apiservices"}
"""Kinds of which objects come and go by themselves, or with a definition."""

STATIC = {"policy": "static", "static": {"cpuPercent": 25, "memoryPercent": 25}}
STRATEGY = {"enable": True, "extensions": {"colocation-webhook.io": {**STATIC, "holdSeconds": 0}}}


@pytest.fixture
def chart_without(tmp_path: Path) -> Path:
    """The chart as it was before it had the controller."""

    def git(*arguments: str) -> bytes:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S603

    path = CHART.relative_to(ROOT).as_posix()
    added = git("log", "--diff-filter=A", "--format=%H", "--", f"{path}/templates/controller.yaml")
    commits = added.decode().split()
    assert commits, "the history does not go back to the chart without the controller: is the clone shallow?"
    with tarfile.open(fileobj=BytesIO(git("archive", f"{commits[-1]}~", "--", path))) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / path


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


@pytest.fixture
def switch(release: Installation, tmp_path: Path) -> Iterator[Switch]:
    """The release; its definitions of NodeMetric and NodeSLO go afterwards."""
    yield Switch(release, tmp_path)
    definitions = ("nodemetrics.slo.koordinator.sh", "nodeslos.slo.koordinator.sh")
    release.kubectl.run("delete", "crd", "--ignore-not-found", *definitions)


def test_no_trace(kubectl: Kubectl, switch: Switch, chart_without: Path, nodes: list[str]) -> None:
    """After an upgrade, on and off, objects and nodes are as if it had never been on, but for what stays."""
    objects, node_states = everything(kubectl), node_objects(kubectl)
    switch.upgrade(chart_without)
    switch.on()
    deployment = kubectl.get("deployment", CONTROLLER, namespace=NAMESPACE)
    process = switch.command(deployment["spec"]["template"]["spec"], "controller")
    with stopping(process):
        for name in nodes:
            eventually(lambda name=name: offered(kubectl, name) == 4000, seconds=120, what="figures")
            eventually(lambda name=name: kubectl.get("nodeslo", name), seconds=60, what="NodeSLO")
            measure(kubectl, name, {})
        assert everything(kubectl) > objects
        said = switch.off()
        assert "nothing is published any more" in said
        process.require_running()  # its Lease is another's: it publishes nothing again
        assert node_objects(kubectl) == node_states
    # What a kubelet would have ended.
    component = "app.kubernetes.io/component in (controller, controller-withdraw)"
    kubectl.run("-n", NAMESPACE, "delete", "pods", "-l", component, "--force", "--grace-period=0")

    def left() -> bool:
        more, gone = everything(kubectl) - objects, objects - everything(kubectl)
        assert more == KEPT
        assert gone == set()
        return True

    eventually(left, seconds=60, what="everything is as before")
    assert node_objects(kubectl) == node_states


@pytest.fixture
def checking(release: Installation) -> Iterator[str]:
    """The webhook, with the flag that the chart gives it; the name of its ConfigMap."""
    name = "slo-controller-config"
    release.stop()
    release.serve("--slo-config", f"{NAMESPACE}/{name}")
    yield name
    release.stop()
    release.serve()


def test_the_configmap_is_checked(kubectl: Kubectl, switch: Switch, nodes: list[str], checking: str) -> None:
    """A wrong value, and entries that select one node, are refused; other ConfigMaps pass."""

    def write(name: str, **data: object) -> None:
        patch = json.dumps({"data": {f"{key}-config": json.dumps(value) for key, value in data.items()}})
        kubectl.run("-n", NAMESPACE, "patch", "configmap", name, "--type=merge", "-p", patch)

    def refused(key: str, says: str, value: Callable[[int], Object]) -> bool:
        # What stands there already would not be looked at again.
        try:
            write(checking, **{key: value(next(numbers))})
        except RefusedError as error:
            return says in str(error)
        return False

    def entries(number: int) -> Object:
        labels = ({"kubernetes.io/hostname": nodes[0]}, {"pool": "capacity"})
        return {
            "nodeStrategies": [
                {"name": f"e{i}-{number}", "nodeSelector": {"matchLabels": each}}
                for i, each in enumerate(labels)
            ]
        }

    def no_time(number: int) -> Object:
        return {"degradeTimeMinutes": 0, "metricReportIntervalSeconds": number}

    numbers = itertools.count(60)
    switch.on()
    try:
        said = "colocation-config.degradeTimeMinutes: 0 is out of range"
        eventually(lambda: refused("colocation", said, no_time), what="refused")
        write(checking, colocation=STRATEGY | {"degradeTimeMinutes": 5})
        # The webhook may list nodes since the part was switched on, and asks again after a while.
        said = f"both select {nodes[0]}"
        eventually(lambda: refused("cpu-burst", said, entries), seconds=90, what="refused for a node")
        kubectl.run("-n", NAMESPACE, "create", "configmap", "another")
        write("another", colocation={"degradeTimeMinutes": 0})
        kubectl.delete("configmap", "another", namespace=NAMESPACE)
    finally:
        switch.off()
