"""The part is switched on and off again, from a chart that did not have it: no trace is left.

There is no kubelet: the Deployment's command runs as a process, and so does that of the hook, whose pod is
then said to have succeeded.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.e2e.capacity.controller import measure
from tests.e2e.capacity.nodes import offered
from tests.e2e.capacity.switching import CONTROLLER, STRATEGY, Switch, everything, node_objects
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.processes import eventually, stopping
from tests.e2e.release.installation import CHART, NAMESPACE, Installation

KEPT = {
    " CustomResourceDefinition nodemetrics.slo.koordinator.sh",
    " CustomResourceDefinition nodeslos.slo.koordinator.sh",
    f"{NAMESPACE} Lease {CONTROLLER}",
}
"""What docs/capacity.md says of it: the definitions, and the Lease of the replicas."""


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
