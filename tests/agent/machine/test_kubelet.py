"""The kubelet's files."""

import json
from pathlib import Path

import pytest

from tests.agent.tree import write
from webhook.agent.inputs import cpu_manager
from webhook.agent.machine.kubelet import read_kubelet
from webhook.agent.plan.settings import CPUManager

CHECKPOINT = {
    "policyName": "static",
    "defaultCpuSet": "0,3",
    "entries": {"u1": {"main": "1", "side": "2"}, "u2": {"main": ""}},
    "checksum": 1,
}
CONFIGURATION = """apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cpuManagerPolicy: static
cpuManagerPolicyOptions:
  full-pcpus-only: "true"
reservedSystemCPUs: "0"
topologyManagerPolicy: single-numa-node
topologyManagerScope: pod
"""


def test_the_static_policy_with_pinned_pods(tmp_path: Path) -> None:
    """CPUs of all containers of a pod; reserved CPUs by number; the topology manager's policy."""
    write(tmp_path, {"cpu_manager_state": json.dumps(CHECKPOINT), "config.yaml": CONFIGURATION})
    found = read_kubelet(tmp_path)
    assert found.policy == "static"
    assert found.options == {"full-pcpus-only": "true"}
    assert (found.reserved_cpus, found.reserved_count) == ({0}, 0)
    assert found.pinned == {"u1": {1, 2}}
    assert found.topology_policy == "SingleNUMANodePodLevel"
    assert found.findings == ()


def test_a_kubelet_without_files_has_its_defaults(tmp_path: Path) -> None:
    """Nothing pinned, nothing reserved; but flags may have said another policy than none."""
    found = read_kubelet(tmp_path / "not" / "there")
    assert (found.policy, found.options, found.reserved_count, found.pinned) == ("unknown", {}, 0, {})
    assert found.topology_policy == "None"
    assert len(found.findings) == 1


def test_the_checkpoint_says_which_policy_is_at_work(tmp_path: Path) -> None:
    """Flags of the kubelet are in no file, and with the policy none it reserves no CPU."""
    write(
        tmp_path, {"cpu_manager_state": '{"policyName": "none", "entries": {}}', "config.yaml": CONFIGURATION}
    )
    found = read_kubelet(tmp_path)
    assert (found.policy, found.reserved_cpus) == ("none", frozenset())


def test_amounts_that_are_reserved_count_in_whole_cpus(tmp_path: Path) -> None:
    """Of Kubernetes and of the system together, rounded up; JSON is read, too."""
    config = {"cpuManagerPolicy": "static", "kubeReserved": {"cpu": "500m"}, "systemReserved": {"cpu": 0.7}}
    write(tmp_path, {"config.yaml": json.dumps(config)})
    assert read_kubelet(tmp_path).reserved_count == 2


def test_broken_files_are_named(tmp_path: Path) -> None:
    """What can be read of them counts."""
    broken = {**CHECKPOINT, "entries": {"u1": {"main": "5-3"}, "u2": {"main": "1"}, "u3": 7}}
    write(tmp_path, {"cpu_manager_state": json.dumps(broken), "config.yaml": "kubeReserved: {cpu: much}"})
    found = read_kubelet(tmp_path)
    assert found.pinned == {"u2": {1}}
    assert len(found.findings) == 2
    write(tmp_path, {"cpu_manager_state": "[1", "config.yaml": "a: [}"})
    found = read_kubelet(tmp_path)
    assert (found.policy, found.pinned) == ("unknown", {})
    assert len(found.findings) == 3
    assert all(str(tmp_path) in finding for finding in found.findings)


@pytest.mark.parametrize("stated", ["none", "static"])
@pytest.mark.parametrize("checkpoint", ['{"policyName": "sta', "", "{}"])
def test_a_checkpoint_that_says_no_policy_leaves_it_unknown(
    tmp_path: Path, checkpoint: str, stated: str
) -> None:
    """Whatever the configuration says: the kubelet began with another one, perhaps."""
    config = json.dumps({"cpuManagerPolicy": stated})
    write(tmp_path, {"config.yaml": config})
    assert read_kubelet(tmp_path).policy == stated
    write(tmp_path, {"cpu_manager_state": checkpoint, "config.yaml": config})
    found = read_kubelet(tmp_path)
    assert (found.policy, cpu_manager(found)) == ("unknown", CPUManager.UNKNOWN)
    assert any("do not say" in each for each in found.findings)
