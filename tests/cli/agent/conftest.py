"""A recorded machine for tests of ``agent``."""

import pytest
import yaml

from tests.agent.plan.builders import batch, raw_pod
from tests.agent.tree import v1_tree, write
from tests.cli.agent.recorded import CONTAINER, FILES, POD


@pytest.fixture
def machine(tmp_path):
    """A recorded machine of four CPUs with a BE pod, and its objects in a file."""
    root = tmp_path / "root"
    lse = "kubepods/podu-lse"
    v1_tree(root, "kubepods", lse, POD, f"{POD}/{CONTAINER}")
    for group in ("kubepods", lse, POD, f"{POD}/{CONTAINER}"):
        write(root / "sys/fs/cgroup", {name.format(group): f"{text}\n" for name, text in FILES.items()})
    for cpu in range(4):
        topology = f"sys/devices/system/cpu/cpu{cpu}/topology"
        write(root, {f"{topology}/physical_package_id": "0\n", f"{topology}/core_id": f"{cpu}\n"})
    write(root, {"sys/devices/system/cpu/online": "0-3\n", "proc/sys/kernel/random/boot_id": "one\n"})
    be = raw_pod("be", "BE", containers=[batch("500", "64Mi")], uid="u-be")
    be["status"]["containerStatuses"][0]["containerID"] = f"containerd://{CONTAINER}"
    lse = raw_pod("lse", "LSE", cpus=1, set_="0", uid="u-lse")
    spec = {"systemStrategy": {"minFreeKbytesFactor": 100}, "cpuBurstStrategy": {"policy": "auto"}}
    slo = {"kind": "NodeSLO", "metadata": {"name": "n"}, "spec": spec}
    pods = [{"kind": "Pod", "apiVersion": "v1", **each} for each in (be, lse)]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump_all([*pods, slo]))
    return tmp_path
