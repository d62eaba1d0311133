"""Real Spark applications to their end, on a plain control plane with the chart's pods on the node.

spark-submit in cluster mode, PySpark's pi.py: driver and executors are mutated by the webhook, placed by the
stock scheduler on batch resources that the controller publishes by what the agent measured, and run by the
kubelet. The agent reports what they use.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.e2e.cluster.objects import assert_be
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads import spark
from tests.e2e.node.workloads.pods import BATCH_CPU, BATCH_MEMORY

SETTINGS = {
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.kubernetes.driver.request.cores": "300m",
    "spark.kubernetes.driver.limit.cores": "300m",
    "spark.kubernetes.executor.request.cores": "250m",
    "spark.kubernetes.executor.limit.cores": "250m",
    # Else they are gone with the application, and nothing is left to look at.
    "spark.kubernetes.executor.deleteOnTermination": "false",
}
DYNAMIC = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": "1",
    "spark.dynamicAllocation.maxExecutors": "2",
    "spark.dynamicAllocation.schedulerBacklogTimeout": "1s",
}
MEMORY = "896Mi"
"""The 512 MiB of the settings, and 384 MiB that Spark adds."""


@pytest.fixture(scope="module")
def image(node, tmp_path_factory):
    """Spark's small image, on the node."""
    folder = tmp_path_factory.mktemp("spark")
    spark.save(folder / "spark.tar")
    node.load(folder / "spark.tar")
    return folder


@pytest.fixture
def account(kubectl, opted_in):
    """A namespace with the account of Spark's driver."""
    kubectl.run("-n", opted_in, "create", "serviceaccount", "spark")
    account = f"--serviceaccount={opted_in}:spark"
    kubectl.run("-n", opted_in, "create", "rolebinding", "spark", "--clusterrole=edit", account)
    return opted_in


def offered(kubectl):
    """What the node offers of batch CPU, in milli-cores."""
    figure = kubectl.get("node", NAME)["status"]["allocatable"][BATCH_CPU]
    return int(figure.replace("k", "000"))


@pytest.mark.parametrize(
    ("settings", "partitions"),
    [({"spark.executor.instances": "2"}, "4"), (DYNAMIC, "24")],
    ids=["fixed", "dynamic allocation"],
)
def test_spark_pi(kubectl, node_control_plane, account, image, settings, partitions):
    """It ends Succeeded; each of its pods was colocated, bound and run."""
    eventually(lambda: offered(kubectl) >= 800, seconds=90, what="room for three pods")
    command = spark.submit(
        node_control_plane.url,
        account,
        spark.template(image),
        SETTINGS | settings,
        spark.PI,
        partitions,
    )
    environment = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig), "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(  # noqa: S603 — our own command line
        command, env=environment, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr[-4000:]

    def pods(role):
        return kubectl.items("pods", namespace=account, selector=f"spark-role={role}")

    reported = set()

    def ended():
        report = kubectl.get("nodemetric", NAME)["status"]["podsMetric"]
        reported.update(
            each["name"]
            for each in report
            if (each["namespace"], each["qos"], each["priority"]) == (account, "BE", "koord-batch")
        )
        (driver,) = pods("driver")
        assert driver["status"]["phase"] in {"Succeeded", "Failed"}, json.dumps(driver["status"])
        return driver

    driver = eventually(ended, seconds=420, what="the driver's end")
    said = kubectl.run("-n", account, "logs", driver["metadata"]["name"]).stdout
    assert driver["status"]["phase"] == "Succeeded", said[-4000:]
    assert "Pi is roughly 3.1" in said
    executors = pods("executor")
    assert len(executors) == 2
    for each, cpu in ((driver, "300"), *((executor, "250") for executor in executors)):
        assert_be(each, {BATCH_CPU: cpu, BATCH_MEMORY: MEMORY})
        assert each["spec"]["nodeName"] == NAME
    assert driver["metadata"]["name"] in reported
