"""The README's "Colocate Spark on a plain cluster", by Helm on a real node; then all of it goes again.

There is no Koordinator, and nobody else has installed the chart: all that comes and goes is Helm's.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.conftest import make_namespace
from tests.e2e.node.chart.byhelm import ByHelm
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads import spark
from tests.e2e.node.workloads.colocated import Colocated
from tests.e2e.node.workloads.pods import offered
from tests.e2e.release.installation import NAMESPACE

SPARK = "spark-pi"
DRIVER = "spark-pi-driver"
LIMITED = "cpu.cfs_quota_us  -1 -> 50000  limits (kubernetes.io/batch-cpu=500)"
"""A line of the ledger about each of its pods."""


@pytest.fixture(scope="module")
def chart(own_image, node_control_plane, cache, tmp_path_factory):
    """The chart, installed as the README says; afterwards it is uninstalled."""
    del own_image
    installed = ByHelm(node_control_plane, cache, tmp_path_factory.mktemp("clone"))
    installed.install()
    yield installed
    installed.uninstall()


@pytest.fixture
def shell(kubectl, node_control_plane, chart, spark_image):
    """Runs the README's commands; Spark finds what is this machine's in its folder of settings."""
    settings = spark_image / "conf"
    settings.mkdir()
    conf = spark.deviations(node_control_plane.url, spark.template(spark_image))
    (settings / "spark-defaults.conf").write_text("".join(f"{name} {text}\n" for name, text in conf.items()))
    installation = chart.installation
    installation.env |= {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_CONF_DIR": str(settings),
        "SPARK_IMAGE": spark.IMAGE,
        "SPARK_EXAMPLE": spark.PI,
    }
    yield installation.shell
    kubectl.run("delete", "namespace", SPARK, "--ignore-not-found", "--timeout=100s")


def told(kubectl, pod):
    """What the agent's ledger says of a pod of the application."""
    command = ["exec", "daemonset/colocation-webhook-agent", "--", "colocation-webhook", "agent", "log"]
    return kubectl.run("-n", NAMESPACE, *command, "--pod", f"{SPARK}/{pod}").stdout


def test_spark_pi(kubectl, node, chart, shell):
    """Each command as it stands, to the end of the job; the agent says what it wrote and why."""
    commands = chart.commands
    shell(commands.opting_in)
    eventually(lambda: offered(kubectl) >= 1500, seconds=120, what="room for three pods")
    assert NAME in shell(commands.showing)
    assert DRIVER in shell(commands.submitting)
    seen = spark.Seen(kubectl, node, SPARK, NAMESPACE, {"driver": 500, "executor": 500})

    def limited():
        seen.look()
        said = shell(commands.looking)
        assert LIMITED in said, said
        return said

    said = eventually(limited, seconds=120, what="the driver's limits in the ledger")
    assert f"Node {NAME}: applied" in said

    def ended():
        seen.look()
        (driver,) = spark.pods(kubectl, SPARK, "driver")
        assert driver["status"]["phase"] in {"Succeeded", "Failed"}, json.dumps(driver["status"])
        return True

    eventually(ended, seconds=300, what="the driver's end")
    assert "Pi is roughly 3.1" in shell(commands.ending)
    spark.assert_colocated(kubectl, SPARK, ("500", "500", "500"))
    for executor in spark.pods(kubectl, SPARK, "executor"):
        assert LIMITED in told(kubectl, executor["metadata"]["name"])
    seen.assert_all()


@pytest.fixture(scope="module")
def colocated(kubectl, node, chart):
    """Pods of five kinds, made while the agent only observes."""
    chart.upgrade("--set=agent.mode=observe")
    namespace = make_namespace(kubectl, {"colocation-webhook.io/ignore": "true"})
    yield Colocated(kubectl, node, namespace)
    kubectl.run("-n", namespace, "delete", "pods", "--all", "--grace-period=1", "--timeout=60s")
    kubectl.delete("namespace", namespace)


@pytest.mark.parametrize("end", ["agent.mode=observe", "agent.enabled=false", "uninstall"])
def test_helm_waits_for_the_agents(kubectl, chart, colocated, end):
    """When it has ended, every setting is as it was before the agent, and nothing of the agents is left."""
    chart.upgrade("--install")
    colocated.wait_for(colocated.after)
    if end == "uninstall":
        chart.uninstall()
    else:
        chart.upgrade(f"--set={end}")
    assert colocated.settings() == colocated.before
    if end != "agent.mode=observe":
        left = kubectl.items("job,role,serviceaccount,daemonset", namespace=NAMESPACE)
        assert not [each for each in left if "-agent" in each["metadata"]["name"]]
