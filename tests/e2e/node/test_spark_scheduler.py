"""The seed's SparkApplication under the chart's scheduler, on a plain control plane with one real node.

All four parts of the chart are pods of that node: webhook, controller, agent, and the scheduler, a stock
kube-scheduler in an image made here, with the chart's own command, configuration and account. The driver is
the pod that was recorded from the Spark operator, and Spark makes its executor; namespace and profile are the
seed's.
"""

from __future__ import annotations

import pytest
import yaml

from tests.e2e.admission.test_spark_pods import FIGURES
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.objects import assert_be
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart import scheduling
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads import spark
from tests.e2e.node.workloads import sparkoperator as operator
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.limits import limits, wait_for
from tests.e2e.node.workloads.pods import running, wait_for_room

pytestmark = pytest.mark.usefixtures("_enforcing")

KOORD_SCHEDULER = "koord-scheduler"
SEED = ROOT / "examples" / "objects"
NAMESPACE = next(yaml.safe_load_all((SEED / "namespaces.yaml").read_text()))
PROFILE = yaml.safe_load((SEED / "spark-demo.yaml").read_text())
LIMITS = limits(1000, 3456 << 20)
"""Of both pods: a CPU, and 3 GiB with what Spark adds."""
WITHIN = 180.0
"""Seconds in which a driver comes to make its executor, on a busy machine."""


@pytest.fixture
def scheduler(release, node_control_plane, node, cache):
    """The chart's scheduler, and nobody else by its name."""
    with scheduling.installed(release, node_control_plane, node, cache):
        yield


@pytest.fixture
def demo(kubectl, scheduler):
    """The seed's namespace with Spark's account, and the seed's profile, in force."""
    del scheduler
    name = NAMESPACE["metadata"]["name"]
    kubectl.apply(NAMESPACE, PROFILE)
    kubectl.run("-n", name, "create", "serviceaccount", "spark")
    account = f"--serviceaccount={name}:spark"
    kubectl.run("-n", name, "create", "rolebinding", "spark", "--clusterrole=edit", account)
    yield name
    kubectl.run("-n", name, "delete", "pods", "--all", "--grace-period=1", "--timeout=60s")
    kubectl.delete("namespace", name)
    as_installed = '{"spec":{"schedulerName":null}}'
    kubectl.run("patch", PROFILE["kind"], PROFILE["metadata"]["name"], "--type=merge", "-p", as_installed)


def who_placed(kubectl, pod):
    """The schedulers that say, in Events, that they have placed a pod."""
    events = kubectl.items("events", namespace=pod["metadata"]["namespace"])
    return {
        each["reportingComponent"]
        for each in events
        if each["reason"] == "Scheduled" and each["involvedObject"]["uid"] == pod["metadata"]["uid"]
    }


def assert_placed(kubectl, pod):
    """It was colocated as the seed says, and koord-scheduler gave it its node."""
    assert_be(pod, FIGURES, scheduler=KOORD_SCHEDULER)
    assert pod["spec"]["nodeName"] == NAME
    assert eventually(lambda: who_placed(kubectl, pod), what="the Event") == {KOORD_SCHEDULER}


def test_the_operators_pods_run(kubectl, node, node_control_plane, demo, spark_image):
    """Driver and executor: mutated, placed by koord-scheduler and its extender, limited, Succeeded."""
    driver = operator.driver(demo, spark_image)
    name = driver["metadata"]["name"]

    def expected():
        mutated = kubectl.create(driver, dry_run=True)
        assert mutated["spec"]["schedulerName"] == KOORD_SCHEDULER
        return scheduling.fits(mutated)

    eventually(expected, seconds=90, what="a webhook that knows the profile and answers schedulers")
    wait_for_room(kubectl, 2000)
    before = scheduling.calls()
    kubectl.create(*operator.configuration(node_control_plane.url, demo), driver)

    driver = running(kubectl, demo, name, seconds=WITHIN)
    made = lambda: spark.pods(kubectl, demo, "executor")  # noqa: E731
    (executor,) = eventually(made, seconds=WITHIN, what="an executor")
    executor = running(kubectl, demo, executor["metadata"]["name"], seconds=WITHIN)
    operator.assert_as_recorded(executor)
    for pod in (driver, executor):
        assert_placed(kubectl, pod)
        wait_for(PodGroups(node, pod), LIMITS)
    asked = {call: count - before.get(call, 0) for call, count in scheduling.calls().items()}
    assert asked.pop(("filter", "answered")) >= 2
    assert not any(asked.values()), asked  # no call failed, and of one node none is the best

    (spark_image / operator.GO).touch()

    def ended():
        found = [kubectl.get("pod", each["metadata"]["name"], namespace=demo) for each in (driver, executor)]
        phases = [each["status"]["phase"] for each in found]
        assert "Failed" in phases or set(phases) == {"Succeeded"}, phases
        return phases

    phases = eventually(ended, seconds=WITHIN, what="their end")
    said = kubectl.run("-n", demo, "logs", name).stdout
    assert phases == ["Succeeded", "Succeeded"], said[-4000:]
    assert "Pi is roughly 3.1" in said
    (only,) = spark.pods(kubectl, demo, "executor")
    assert only["metadata"]["uid"] == executor["metadata"]["uid"]
