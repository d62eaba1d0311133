"""What others change is right again, whoever restarts."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.node.chart.ledger import actions
from tests.e2e.node.chart.metrics import rounds
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.machine.node import FIGURES, NAME
from tests.e2e.node.workloads.colocated import ALL, NAMES, planned
from tests.e2e.node.workloads.pods import container, running
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.protocol import KubeQoS

FOREIGN = {
    "own pod cpu.cfs_quota_us": "180000",
    "own container cpu.cfs_quota_us": "150000",
    "batch pod cpu.cfs_quota_us": "-1",
    "batch container cpu.cfs_quota_us": "20000",
    "batch pod memory.limit_in_bytes": str(128 << 20),
    "batch container memory.limit_in_bytes": str(32 << 20),
    "batch container cpu.shares": "100",
    "batch pod cpu.idle": "0",
    "mid pod cpu.cfs_quota_us": "-1",
    "mid container cpu.cfs_quota_us": "20000",
    "mid pod memory.limit_in_bytes": str(128 << 20),
    "mid container memory.limit_in_bytes": str(32 << 20),
    "mid container cpu.shares": "100",
    "online pod cpu.cfs_burst_us": "1000",
    "online container cpu.cfs_burst_us": "2000",
}
"""What is written behind the agent's back; to each ``cpuset.cpus`` all CPUs."""

MOST_ROUNDS = 10
"""Of the agent, one a second, until it is right again."""


@pytest.fixture(autouse=True)
def _enforced(release, colocated):
    """The agent has written what it plans."""
    release.set_mode("enforce")
    colocated.wait_for(colocated.after)


def agent(kubectl):
    """The agent's pod."""
    (pod,) = kubectl.items("pods", namespace=NAMESPACE, selector="app.kubernetes.io/component=agent")
    return pod


def processes(node, qos, stored):
    """The processes of a pod's container."""
    hierarchy = find_hierarchy(kubepods=f"{node.cgroup}/kubepods")
    below = hierarchy.containers(hierarchy.pod(qos, stored["metadata"]["uid"]))
    group = below.get(container(stored))
    path = Path(hierarchy.file("cpu", group, "cgroup.procs")) if group else None
    return [int(pid) for pid in path.read_text().split()] if path else []


def kill(node, qos, stored):
    """End a container as the kernel does, without a word to anybody."""
    for pid in processes(node, qos, stored):
        os.kill(pid, signal.SIGKILL)


def ended(pod):
    """How often the container of a pod has ended."""
    (status,) = pod["status"]["containerStatuses"]
    return status["restartCount"]


def changed(colocated, pod):
    """Change each file of a pod that the agent owns in turn; return what was written, seconds and rounds."""
    paths, written, took = colocated.paths(), [], []
    for name in (each for each in planned() if each.startswith(f"{pod} ")):
        file = name.split()[2]
        if file == "cpuset.cpus":
            # A container's set is within its pod's.
            changes = [f"{pod} pod {file}", *([name] if " pod " not in name else [])]
        elif name in FOREIGN:
            changes = [name]
        else:
            assert name == "batch pod cpu.shares", "which the kernel keeps while the pod is idle"
            continue
        texts = {each: FOREIGN.get(each, ALL) for each in changes}

        def write(texts=texts):
            count = rounds()
            for each, text in texts.items():
                paths[each].write_text(text)
            return count

        def right_again():
            count = rounds()
            colocated.assert_as(colocated.after, pod)
            return count

        # Refused where the agent was here between a pod's set and its container's.
        before = eventually(write, what=f"{name} changed")
        begun = time.monotonic()
        written += texts.items()
        after = eventually(right_again, seconds=90, what=f"{name} right again")
        took.append((time.monotonic() - begun, after - before))
    return written, took


def start_again(kubectl, node, colocated):
    """End the batch pod's container, and wait for its successor and what the agent makes of it."""
    before = colocated.pods["batch"]
    kill(node, KubeQoS.BEST_EFFORT, before)

    def restarted():
        stored = running(kubectl, colocated.namespace, "batch")
        return stored if container(stored) != container(before) else None

    colocated.pods["batch"] = eventually(restarted, seconds=90, what="another container")
    colocated.wait_for(colocated.after)


def test_the_kubelet_starts_again(kubectl, node, colocated):
    """Whatever it writes; and it ends no pod for what stands in their cgroups.

    It counts the shares of a pod's cgroup as CPU that the pod requests, where they are more than that.
    """
    node.stop("kubelet")
    node.start_kubelet()
    # It admits pods one after another: those that it finds before one that comes now.
    colocated.written("later")
    colocated.wait_for(colocated.after)
    for name, before in colocated.pods.items():
        assert container(running(kubectl, colocated.namespace, name)) == container(before)


def test_a_container_starts_again(kubectl, node, colocated):
    """Its successor has a cgroup of its own."""
    start_again(kubectl, node, colocated)


def test_each_file_that_was_changed_is_right_again(kubectl, node, colocated):
    """One after the other of each pod, in ten rounds; the ledger names what was found, nothing else changed.

    Also of a container that began on the CPUs which the agent had written to its pod.
    """
    start_again(kubectl, node, colocated)
    paths = colocated.paths()
    before = {pod: len(actions(kubectl, f"{colocated.namespace}/{pod}")) for pod in NAMES}
    with ThreadPoolExecutor(len(NAMES)) as pool:
        done = dict(zip(NAMES, pool.map(partial(changed, colocated), NAMES), strict=True))
    colocated.wait_for(colocated.after)
    took = [each for _, all_of_pod in done.values() for each in all_of_pod]
    seconds, most = (max(each) for each in zip(*took, strict=True))
    figures = {"files": len(took), "longest seconds": round(seconds, 1), "most rounds": most}
    show("right again", figures, FIGURES)
    assert most <= MOST_ROUNDS
    where = {str(path).partition("/kubepods/")[2]: name for name, path in paths.items()}
    for pod, (written, _) in done.items():
        lines = [
            (where.get(f"{each['path']}/{each['file']}".partition("/kubepods/")[2], each["path"]), each)
            for each in actions(kubectl, f"{colocated.namespace}/{pod}")[before[pod] :]
        ]
        undone = {(name, each["old"], each["expected"]) for name, each in lines if "expected" in each}
        assert undone == {(name, text, colocated.after[name]) for name, text in written}, lines


def test_the_api_server_is_away(kubectl, node, node_control_plane, colocated):
    """The last known state holds on, also for an agent that starts meanwhile."""
    before, name = agent(kubectl), "batch pod cpu.cfs_quota_us"
    file = colocated.paths()[name]
    node_control_plane.stop_apiserver()
    try:
        file.write_text(FOREIGN[name])
        colocated.wait_for(colocated.after)
        kill(node, KubeQoS.BURSTABLE, before)
        file.write_text(FOREIGN[name])
        colocated.wait_for(colocated.after)
    finally:
        node_control_plane.start_apiserver()
    kubectl.run("wait", "--for=condition=Ready", f"node/{NAME}", "--timeout=60s")
    eventually(lambda: ended(agent(kubectl)) > ended(before), seconds=90, what="word of the agent's end")


def test_the_agent_is_killed(kubectl, node, colocated):
    """All stays as it is, and what is changed meanwhile is right again when it is back."""
    kill(node, KubeQoS.BURSTABLE, agent(kubectl))
    name = "batch pod cpu.cfs_quota_us"
    colocated.paths()[name].write_text(FOREIGN[name])
    colocated.wait_for(colocated.after)


def test_a_container_that_started_meanwhile_is_given_back(kubectl, node, release, colocated):
    """It began on the CPUs which the agent had written to its pod; without the agent it has all of them."""
    start_again(kubectl, node, colocated)
    release.set_mode("observe")
    assert colocated.settings() == colocated.before
