"""Pods that the real controllers make."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import assert_be, pod
from tests.e2e.cluster.processes import eventually

LABELS = {"spark-role": "executor", "app": "workload"}


def template(**spec: str) -> Object:
    """A pod template that the example profile matches."""
    made = pod("unused", LABELS, **spec)
    return {"metadata": {"labels": LABELS}, "spec": made["spec"]}


def job_spec() -> Object:
    """What Jobs run, by themselves or made by a CronJob."""
    return {"backoffLimit": 0, "template": template(restartPolicy="Never")}


WORKLOADS: dict[str, Callable[[], Object]] = {
    "Deployment": lambda: {
        "apiVersion": "apps/v1",
        "spec": {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template()},
    },
    "StatefulSet": lambda: {
        "apiVersion": "apps/v1",
        "spec": {"serviceName": "none", "selector": {"matchLabels": LABELS}, "template": template()},
    },
    "DaemonSet": lambda: {
        "apiVersion": "apps/v1",
        "spec": {"selector": {"matchLabels": LABELS}, "template": template()},
    },
    "Job": lambda: {"apiVersion": "batch/v1", "spec": job_spec()},
    # Once a minute: the controller makes the first Job at the next full minute.
    "CronJob": lambda: {
        "apiVersion": "batch/v1",
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job_spec()}},
    },
}


@pytest.mark.parametrize("kind", WORKLOADS)
def test_workloads(kubectl: Kubectl, namespace: str, batch_node: str, kind: str) -> None:
    """The pods of a workload are colocated; the workload itself is left as it was written."""
    del batch_node
    workload = {**WORKLOADS[kind](), "kind": kind, "metadata": {"name": "workload", "namespace": namespace}}
    kubectl.create(workload)
    found = eventually(
        lambda: kubectl.items("pods", namespace=namespace, selector="app=workload"),
        seconds=90,
        what=f"pods of the {kind}",
    )
    for stored in found:
        assert_be(stored)
        assert stored["metadata"]["ownerReferences"]
    assert "batch-cpu" not in str(kubectl.get(kind.lower(), "workload", namespace=namespace)["spec"])
