"""CPU sets on a real node: processes run where class and annotation say, as the kernel sees them.

The same pods ran on such a node under koordlet: each file that holds something else than there is explained
in docs/agent.md.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.verification import verified
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.groups import PodGroups, hierarchy
from tests.e2e.node.workloads.pods import batch, burner, running
from webhook.protocol import ANNOTATION_RESOURCE_STATUS, KubeQoS

pytestmark = pytest.mark.usefixtures("_enforcing")

MEBIBYTE = 1 << 20
DOCUMENT = Path("docs/agent.md")

KOORDLET = {
    ("lse", "container", "cpuset.cpus"): "0",
    ("lse", "sandbox", "cpuset.cpus"): "0",
    ("lse", "pod", "cpuset.cpus"): "0-1",
    ("lse", "container", "cpu.cfs_quota_us"): "-1",
    ("lse", "pod", "cpu.cfs_quota_us"): "-1",
    ("ls", "container", "cpuset.cpus"): "1",
    ("ls", "sandbox", "cpuset.cpus"): "1",
    ("ls", "pod", "cpuset.cpus"): "0-1",
    ("be", "container", "cpu.shares"): "512",
    ("be", "pod", "cpu.shares"): "512",
    ("be", "container", "cpu.cfs_quota_us"): "50000",
    ("be", "pod", "cpu.cfs_quota_us"): "50000",
    ("be", "container", "memory.limit_in_bytes"): str(64 * MEBIBYTE),
    ("be", "pod", "memory.limit_in_bytes"): str(64 * MEBIBYTE),
    ("be", "pod", "cpu.idle"): "0",
}
"""What stood in the files of three such pods on a node of two CPUs under koordlet (HEAD, July 2026)."""

BE_GROUP = "1"
"""What stood in `cpuset.cpus` of the besteffort group there, by suppression."""

EXPLAINED = {
    ("lse", "pod", "cpuset.cpus"): "| `cpuset.cpus` of these pods | left alone | the same set",
    ("ls", "pod", "cpuset.cpus"): "| `cpuset.cpus` of these pods | left alone | the same set",
    ("be", "pod", "cpu.shares"): "| `cpu.shares` of its pod | 512 | 3, for it is idle",
    ("be", "pod", "cpu.idle"): "| `cpu.idle` | only with `coreSched` and `schedIdle` | 1 on BE pods",
}
"""Where ours hold something else, and the line of the document that says why."""


def create_pinned(kubectl, namespace, qos, *arguments):
    """Create a pod of one CPU and bind it to the node with CPU 0 in its annotation."""
    labels = {"koordinator.sh/qosClass": qos, "koordinator.sh/priority-class": "koord-prod"}
    figures = {"cpu": "1", "memory": "32Mi"}
    name = qos.lower()
    pod = burner(namespace, name, *arguments, figures=figures, labels=labels)
    pod["spec"]["schedulerName"] = "nobody"
    kubectl.create(pod)
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "name": name,
            "annotations": {ANNOTATION_RESOURCE_STATUS: json.dumps({"cpuset": "0"})},
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/binding"
    kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))


def shared(namespace, *arguments):
    """An LS pod, which is Burstable."""
    labels = {"koordinator.sh/qosClass": "LS", "koordinator.sh/priority-class": "koord-prod"}
    pod = burner(namespace, "ls", *arguments, labels=labels)
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "50m", "memory": "16Mi"}}
    return pod


def placed(kubectl, node, namespace, **cpus):
    """Wait until the processes of these pods may run on these CPUs, by name; return their groups."""
    groups = {name: PodGroups(node, running(kubectl, namespace, name)) for name in cpus}

    def there():
        found = {name: each.allowed() for name, each in groups.items()}
        assert found == {name: {text} for name, text in cpus.items()}, found
        return True

    eventually(there, seconds=90, what="processes on their CPUs")
    return groups


def test_processes_of_an_lse_pod_are_alone(kubectl, node, namespace):
    """LS and BE pods run on the other CPU; each file is koordlet's, or the document says why not."""
    create_pinned(kubectl, namespace, "LSE", "--cpu", "1")
    kubectl.create(shared(namespace, "--cpu", "1"))
    kubectl.create(batch(namespace, "be", "--cpu", "1", cpu="500", memory="64Mi"))
    groups = placed(kubectl, node, namespace, lse="0", ls="1", be="1")

    def read():
        return {
            (pod, place, name): groups[pod].text(getattr(groups[pod], place), name)
            for pod, place, name in KOORDLET
        }

    def differing():
        return {each for each, text in read().items() if text != KOORDLET[each]}

    def as_explained():
        assert differing() == EXPLAINED.keys(), differing()
        return True

    eventually(as_explained, seconds=90, what="files other than koordlet's, each explained")
    text = DOCUMENT.read_text()
    assert not [phrase for phrase in EXPLAINED.values() if phrase not in text]
    found = eventually(lambda: verified(kubectl), seconds=90, what="sets that do not differ")
    for name, each in groups.items():
        said = found[f"{namespace}/{name}"]
        assert said["agrees"], said
        (container,) = said["containers"]
        assert container["cpuset"] == each.text(each.container, "cpuset.cpus")
        assert Path(container["cgroup"]).name == Path(each.container).name
    # Suppression there took CPUs from the whole group; here that is as the kubelet made it.
    where = hierarchy(node)
    path = where.file("cpuset", where.qos(KubeQoS.BEST_EFFORT), "cpuset.cpus")
    assert Path(path).read_text().strip() == "0-1" != BE_GROUP
    assert "the besteffort group is left alone" in text


def test_cpus_of_an_lsr_pod_are_lent_to_be_pods_only(kubectl, node, namespace):
    """LS pods keep away from them."""
    create_pinned(kubectl, namespace, "LSR")
    kubectl.create(shared(namespace))
    kubectl.create(batch(namespace, "be", cpu="500"))
    placed(kubectl, node, namespace, lsr="0", ls="1", be="0-1")


def test_an_idle_pod_leaves_the_cpu_to_others(kubectl, node, namespace):
    """Both burn on the one CPU that is not the LSE pod's, with the same shares but for ``cpu.idle``."""
    create_pinned(kubectl, namespace, "LSE")
    kubectl.create(batch(namespace, "be", "--cpu", "1", cpu="1000", memory="64Mi"))
    kubectl.create(burner(namespace, "twin", "--cpu", "1"))
    groups = placed(kubectl, node, namespace, lse="0", be="1", twin="1")
    be, twin = groups["be"], groups["twin"]
    written = lambda: (be.text(be.pod, "cpu.idle"), be.text(be.container, "cpu.shares"))  # noqa: E731
    eventually(lambda: written() == ("1", "1024"), seconds=90, what="an idle pod with a core's shares")
    # Of a pod without batch resources the agent writes no shares.
    for group in (twin.pod, twin.container):
        twin.file(group, "cpu.shares").write_text("1024")
    before = be.used(), twin.used()
    time.sleep(10)
    used, beside = (new - old for old, new in zip(before, (be.used(), twin.used()), strict=True))
    assert beside > 0
    assert used <= 0.05 * beside, (used, beside)


def test_the_cpus_of_an_lse_pod_that_ends(kubectl, node, namespace):
    """They are everybody's again."""
    create_pinned(kubectl, namespace, "LSE")
    kubectl.create(shared(namespace))
    placed(kubectl, node, namespace, lse="0", ls="1")
    kubectl.run("-n", namespace, "delete", "pod", "lse", "--grace-period=1", "--timeout=60s")
    placed(kubectl, node, namespace, ls="0-1")
