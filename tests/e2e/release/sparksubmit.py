"""``spark-submit`` of PySpark's package from PyPI, against the tests' API server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pyspark

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object

SPARK_HOME = Path(pyspark.__file__).parent
CLUSTER_MODE = (
    "--deploy-mode=cluster",
    "--class=org.apache.spark.examples.SparkPi",
    "local:///opt/spark/examples/jars/spark-examples.jar",
)
"""What makes a driver pod; its image is never pulled."""

APPLICATION = """
from pyspark.sql import SparkSession
session = SparkSession.builder.appName("client").getOrCreate()
session.range(1000).selectExpr("sum(id)").collect()
"""
"""A Python application whose driver asks for executors."""


def environment(of: Mapping[str, str]) -> dict[str, str]:
    """The environment of spark-submit: the administrator's kubeconfig, and the tests' interpreter."""
    assert shutil.which("java") or "JAVA_HOME" in os.environ, (
        "spark-submit needs Java 17 or newer on the PATH"
    )
    return {
        **of,
        "SPARK_HOME": str(SPARK_HOME),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def make_account(kubectl: Kubectl, namespace: str) -> None:
    """An account that may make pods, as Spark's driver needs one."""
    kubectl.run("-n", namespace, "create", "serviceaccount", "spark")
    account = f"--serviceaccount={namespace}:spark"
    kubectl.run("-n", namespace, "create", "rolebinding", "spark", "--clusterrole=edit", account)


def submit(control_plane: ControlPlane, namespace: str, *arguments: str, **settings: str) -> list[str]:
    """The command line: master, namespace, an image that is never pulled; settings have _ for the dots."""
    given = {
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
        **{name.replace("_", "."): value for name, value in settings.items()},
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), f"--master=k8s://{control_plane.url}"]
    return [*command, *(f"--conf={name}={value}" for name, value in given.items()), *arguments]


def client_mode(folder: Path) -> list[str]:
    """The arguments for an application whose driver runs here."""
    application = folder / "application.py"
    application.write_text(APPLICATION)
    return [
        "--deploy-mode=client",
        "--conf=spark.driver.host=127.0.0.1",
        "--conf=spark.driver.bindAddress=127.0.0.1",
        str(application),
    ]


def spark_pods(kubectl: Kubectl, namespace: str, role: str) -> list[Object]:
    """Spark's pods of a role."""
    return kubectl.items("pods", namespace=namespace, selector=f"spark-role={role}")
