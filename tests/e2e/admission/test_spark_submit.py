"""A real ``spark-submit``, of PySpark's package from PyPI, against the API server.

There is no kubelet, so no application runs to its end: what is looked at is the pods that Spark asks for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import assert_be
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.release.installation import Installation

SPARK_HOME = Path(pyspark.__file__).parent
# Spark's default of 1g, and its overhead of at least 384 MiB; for Python it allows for more.
FIGURES = {"kubernetes.io/batch-cpu": "1k"}


@pytest.fixture(scope="module")
def spark_env(release: Installation) -> dict[str, str]:
    """The environment of spark-submit: the administrator's kubeconfig, and the tests' interpreter."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.fail("spark-submit needs Java 17 or newer on the PATH")
    return {
        **release.env,
        "SPARK_HOME": str(SPARK_HOME),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


@pytest.fixture
def spark_account(kubectl: Kubectl, namespace: str) -> str:
    """An account that may make pods, as Spark's driver needs one."""
    kubectl.run("-n", namespace, "create", "serviceaccount", "spark")
    kubectl.run(
        "-n",
        namespace,
        "create",
        "rolebinding",
        "spark",
        "--clusterrole=edit",
        f"--serviceaccount={namespace}:spark",
    )
    return "spark"


def submit(control_plane: ControlPlane, namespace: str, *arguments: str) -> list[str]:
    """The command line: master, namespace, an image that is never pulled."""
    settings = {
        "spark.kubernetes.namespace": namespace,
        "spark.kubernetes.container.image": "spark:none",
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
        "spark.kubernetes.submission.waitAppCompletion": "false",
        "spark.kubernetes.driver.request.cores": "1",
        "spark.kubernetes.driver.limit.cores": "1",
        "spark.kubernetes.executor.request.cores": "1",
        "spark.kubernetes.executor.limit.cores": "1",
        "spark.executor.instances": "2",
        "spark.ui.enabled": "false",
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), f"--master=k8s://{control_plane.url}", *arguments]
    return command[:2] + [f"--conf={name}={value}" for name, value in settings.items()] + command[2:]


def pods(kubectl: Kubectl, namespace: str, role: str) -> list[Object]:
    """Spark's pods of a role."""
    return kubectl.items("pods", namespace=namespace, selector=f"spark-role={role}")


def assert_colocated(stored: Object) -> None:
    """BE, with batch resources in place of all native ones, Spark's own figure of memory kept."""
    memory = stored["spec"]["containers"][0]["resources"]["limits"]["kubernetes.io/batch-memory"]
    assert memory == "1408Mi"
    assert_be(stored, FIGURES | {"kubernetes.io/batch-memory": memory})
    assert stored["metadata"]["annotations"]["colocation-webhook.io/profiles"] == "spark-submit"


@pytest.mark.usefixtures("spark_account")
def test_cluster_mode(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str, spark_env: dict[str, str]
) -> None:
    """The driver pod that spark-submit creates is colocated, by a profile for ``spark-role``."""
    command = submit(
        control_plane,
        namespace,
        "--deploy-mode=cluster",
        "--class=org.apache.spark.examples.SparkPi",
        "local:///opt/spark/examples/jars/spark-examples.jar",
    )
    done = subprocess.run(command, env=spark_env, capture_output=True, text=True, check=False, timeout=180)  # noqa: S603 — our own command line
    assert done.returncode == 0, done.stderr[-4000:]
    (driver,) = pods(kubectl, namespace, "driver")
    assert_colocated(driver)


@pytest.fixture
def client(
    control_plane: ControlPlane, namespace: str, spark_account: str, spark_env: dict[str, str], tmp_path: Path
) -> Iterator[Process]:
    """A Python application whose driver runs here and asks for executors."""
    del spark_account
    application = tmp_path / "application.py"
    application.write_text(
        "from pyspark.sql import SparkSession\n"
        "session = SparkSession.builder.appName('client').getOrCreate()\n"
        "session.range(1000).selectExpr('sum(id)').collect()\n"
    )
    command = submit(
        control_plane,
        namespace,
        "--deploy-mode=client",
        "--conf=spark.driver.host=127.0.0.1",
        "--conf=spark.driver.bindAddress=127.0.0.1",
        str(application),
    )
    with stopping(
        Process("spark-submit", command, tmp_path / "spark.log", env=spark_env, cwd=tmp_path)
    ) as process:
        yield process


def test_client_mode(kubectl: Kubectl, namespace: str, client: Process) -> None:
    """The executor pods that a driver outside the cluster asks for are colocated."""

    def executors() -> list[Object]:
        client.require_running()
        found = pods(kubectl, namespace, "executor")
        return found if len(found) == 2 else []

    for executor in eventually(executors, seconds=120, what="two executor pods"):
        assert_colocated(executor)
