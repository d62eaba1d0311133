"""A real Spark application with dynamic allocation, on a plain control plane with the chart's pods.

spark-submit in cluster mode, PySpark's pi.py: driver and executors are mutated by the webhook, placed by the
stock scheduler on batch resources that the controller publishes by what the agent measured, run by the
kubelet, and limited by the agent, which reports what they use. With as many executors as are asked for,
test_plain_cluster.py runs it.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.workloads import spark
from tests.e2e.node.workloads.pods import wait_for_room

pytestmark = pytest.mark.usefixtures("_enforcing")

CPUS = {"driver": 900, "executor": 500}
"""Milli-cores."""

SETTINGS = {
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.kubernetes.driver.request.cores": f"{CPUS['driver']}m",
    "spark.kubernetes.driver.limit.cores": f"{CPUS['driver']}m",
    "spark.kubernetes.executor.request.cores": f"{CPUS['executor']}m",
    "spark.kubernetes.executor.limit.cores": f"{CPUS['executor']}m",
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": "1",
    "spark.dynamicAllocation.maxExecutors": "2",
    "spark.dynamicAllocation.schedulerBacklogTimeout": "1s",
}
PARTITIONS = "150"
"""More than one executor has done before the other comes, or before the next metric."""


@pytest.fixture
def account(kubectl, opted_in):
    """A namespace with the account of Spark's driver."""
    kubectl.run("-n", opted_in, "create", "serviceaccount", "spark")
    account = f"--serviceaccount={opted_in}:spark"
    kubectl.run("-n", opted_in, "create", "rolebinding", "spark", "--clusterrole=edit", account)
    return opted_in


def test_spark_pi_with_dynamic_allocation(kubectl, node, node_control_plane, account, spark_image):
    """It ends Succeeded; each of its pods was colocated, bound, limited, reported and counted."""
    wait_for_room(kubectl, 2000)
    template = spark.template(spark_image)
    command = spark.submit(node_control_plane.url, account, template, SETTINGS, spark.PI, PARTITIONS)
    environment = spark.environment(kubectl.kubeconfig)
    done = subprocess.run(  # noqa: S603 — our own command line
        command, env=environment, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen = spark.Seen(kubectl, node, account, NAMESPACE, CPUS)

    def ended():
        seen.look()
        (driver,) = spark.pods(kubectl, account, "driver")
        assert driver["status"]["phase"] in {"Succeeded", "Failed"}, json.dumps(driver["status"])
        return driver

    driver = eventually(ended, seconds=420, what="the driver's end")
    said = kubectl.run("-n", account, "logs", driver["metadata"]["name"]).stdout
    assert driver["status"]["phase"] == "Succeeded", said[-4000:]
    assert "Pi is roughly 3.1" in said
    spark.assert_colocated(kubectl, account, ("900", "500", "500"))
    seen.assert_all()
    executors = spark.pods(kubectl, account, "executor")
    assert seen.reported & {each["metadata"]["name"] for each in executors}
