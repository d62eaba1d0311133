"""A real ``spark-submit``, of PySpark's package from PyPI, against the API server.

There is no kubelet, so no application runs to its end: what is looked at is the pods that Spark asks for.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import assert_be
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.release.installation import Installation
from tests.e2e.release.sparksubmit import (
    CLUSTER_MODE,
    client_mode,
    environment,
    make_account,
    spark_pods,
    submit,
)

# Spark's default of 1g, and its overhead of at least 384 MiB; for Python it allows for more.
FIGURES = {"kubernetes.io/batch-cpu": "1k"}


@pytest.fixture
def spark_env(release: Installation, kubectl: Kubectl, namespace: str) -> dict[str, str]:
    """The environment of spark-submit; the namespace has an account for drivers."""
    make_account(kubectl, namespace)
    return environment(release.env)


def assert_colocated(stored: Object) -> None:
    """BE, with batch resources in place of all native ones, Spark's own figure of memory kept."""
    memory = stored["spec"]["containers"][0]["resources"]["limits"]["kubernetes.io/batch-memory"]
    assert memory == "1408Mi"
    assert_be(stored, FIGURES | {"kubernetes.io/batch-memory": memory})
    assert stored["metadata"]["annotations"]["colocation-webhook.io/profiles"] == "spark-submit"


def test_cluster_mode(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, spark_env: dict[str, str]
) -> None:
    """The driver pod that spark-submit creates is colocated, by a profile for ``spark-role``."""
    command = submit(control_plane, namespace, *CLUSTER_MODE)
    done = subprocess.run(command, env=spark_env, capture_output=True, text=True, check=False, timeout=180)  # noqa: S603 — our own command line
    assert done.returncode == 0, done.stderr[-4000:]
    (driver,) = spark_pods(kubectl, namespace, "driver")
    assert_colocated(driver)


@pytest.fixture
def client(
    control_plane: ControlPlane, namespace: str, spark_env: dict[str, str], tmp_path: Path
) -> Iterator[Process]:
    """A Python application whose driver runs here and asks for executors."""
    command = submit(control_plane, namespace, *client_mode(tmp_path))
    with stopping(
        Process("spark-submit", command, tmp_path / "spark.log", env=spark_env, cwd=tmp_path)
    ) as process:
        yield process


def test_client_mode(kubectl: Kubectl, namespace: str, client: Process) -> None:
    """The executor pods that a driver outside the cluster asks for are colocated."""

    def executors() -> list[Object]:
        client.require_running()
        found = spark_pods(kubectl, namespace, "executor")
        return found if len(found) == 2 else []

    for executor in eventually(executors, seconds=120, what="two executor pods"):
        assert_colocated(executor)
