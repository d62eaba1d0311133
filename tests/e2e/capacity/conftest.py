"""Nodes that advertise no batch resources, and the chart's controller."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.capacity.controller import Controller, install
from tests.e2e.capacity.nodes import POOL
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.release.rendering import Helm


@pytest.fixture(scope="module")
def helm(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """What renders the chart."""
    return Helm(cache, tmp_path_factory.mktemp("capacity-render"))


@pytest.fixture(scope="module")
def nodes(kubectl: Kubectl) -> Iterator[list[str]]:
    """Three nodes of 16 CPUs that advertise no batch resources."""
    made = [f"cap-{secrets.token_hex(2)}-{letter}" for letter in "abc"]
    for name in made:
        node = FakeNode(name=name, shape=(1, 1, 8, 2))
        figures = {"cpu": "16", "memory": "64Gi", "pods": "100"}
        ready = {"type": "Ready", "status": "True", "reason": "ForTheTest", "message": ""}
        # As a kubelet registers its node: nobody owns a field of such a status.
        status = {"capacity": figures, "allocatable": figures, "conditions": [ready]}
        kubectl.create({**node.node(POOL), "status": status})
    kubectl.run("taint", "node", *made, "node.kubernetes.io/not-ready-")
    yield made
    kubectl.run("delete", "node", "--ignore-not-found", *made)


@pytest.fixture(scope="module")
def controller(
    kubectl: Kubectl, helm: Helm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Controller]:
    """The chart's controller; it does not run."""
    installed = install(kubectl, helm)
    yield Controller(kubectl, helm, tmp_path_factory.mktemp("controller"))
    kept = [each for each in installed if each["kind"] != "CustomResourceDefinition"]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": kept})
    kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=listed)
    kubectl.run("delete", "crd", "nodemetrics.slo.koordinator.sh", "nodeslos.slo.koordinator.sh")
