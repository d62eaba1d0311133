"""What the agent may do with processes of a real node, with the rights that each value of the chart adds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.pods import burner, running
from webhook.protocol import ANNOTATION_OOM_SCORE_ADJ

USER = 1000
"""Another one than the agent's: what a process's user may do, root without capabilities may not."""

SCORE = 1000
"""A BestEffort pod begins with it; a Burstable one with less."""


@pytest.fixture
def groups(kubectl, node, namespace, release):
    """The cgroups of an LS pod with the annotation, of another user; it is Burstable."""
    del release
    pod = burner(namespace, "ls", "--cpu", "1", labels={"koordinator.sh/qosClass": "LS"})
    pod["metadata"]["annotations"] = {ANNOTATION_OOM_SCORE_ADJ: str(SCORE)}
    (container,) = pod["spec"]["containers"]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "16Mi"}}
    container["securityContext"] = {"runAsUser": USER}
    kubectl.create(pod)
    return PodGroups(node, running(kubectl, namespace, "ls"))


@pytest.fixture
def _observed_again(release):
    """Afterwards the agent has no more rights than by default."""
    yield
    release.set_mode("observe")


def scores(groups):
    """The oom_score_adj of each process of the container."""
    return {int(Path(f"/proc/{each}/oom_score_adj").read_text()) for each in groups.processes()}


def nice(groups):
    """The nice value of each."""
    return {os.getpriority(os.PRIO_PROCESS, int(each)) for each in groups.processes()}


@pytest.mark.usefixtures("_observed_again")
def test_by_the_hosts_proc(release, groups):
    """The annotation is obeyed; nice values are left alone."""
    before = nice(groups)
    assert scores(groups) != {SCORE}
    release.set_mode("enforce", oomScoreAdj=True)
    eventually(lambda: scores(groups) == {SCORE}, seconds=60, what="the score of the annotation")
    assert nice(groups) == before


@pytest.mark.usefixtures("_observed_again")
def test_by_the_hosts_process_ids(release, groups):
    """Both together; a process keeps its value when the agent goes on without."""
    release.set_mode("enforce", oomScoreAdj=True, nice={"LS": -5})
    both = lambda: (nice(groups), scores(groups)) == ({-5}, {SCORE})  # noqa: E731
    eventually(both, seconds=60, what="nice value and score")
