"""An agent put together: pods that are watched become what cgroups hold."""

import errno
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.agent.bursting.world import container as limited
from tests.agent.cluster import PODS, Cluster
from tests.agent.plan.builders import batch, raw_pod
from tests.agent.tree import write
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.agent.bursting.burster import Burster
from webhook.agent.bursting.metrics import BurstCollector
from webhook.agent.enforcer import Enforcer, Known
from webhook.agent.findings import Findings
from webhook.agent.machine.host import Host
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.measuring.throttling import Throttling
from webhook.agent.plan.agentpod import read_agent_pod
from webhook.agent.statefolder import StateFolder
from webhook.agent.suppression.decision import Options
from webhook.agent.suppression.metrics import SuppressionCollector
from webhook.agent.suppression.suppressor import Suppressor
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.ledger import LEDGER, ActionLedger, read_lines
from webhook.kube.cache.reflector import watching

GROUP = "kubepods/besteffort/podu-be"
FILES = {
    "cpuset": {"cpuset.cpus": "0-3"},
    "cpu": {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000", "cpu.idle": "0", "cpu.shares": "2"},
    "memory": {"memory.limit_in_bytes": "9223372036854771712"},
}


class Node:
    """A cluster with a BE pod and an agent that enforces, stepped by a test."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.cluster, self.folder, self.time = Cluster(api, folder), folder, 100.0
        be = raw_pod("be", "BE", containers=[batch("500", "64Mi")], uid="u-be")
        lse = raw_pod("lse", "LSE", cpus=1, set_="0", uid="u-lse")
        for each in (be, lse):
            each["spec"]["nodeName"] = "n1"
            api.put(PODS, each["metadata"]["name"], namespace="shop", **each)
        top = self.cluster.tree.root / "sys/fs/cgroup"
        for group in ("kubepods", GROUP):
            for controller, files in FILES.items():
                write(top / controller / group, {name: f"{text}\n" for name, text in files.items()})
        self.ledger, self.kubelet = None, None
        self.start()

    def start(self) -> None:
        """Put an agent together, as a new process."""
        if self.ledger is not None:
            self.ledger.close()
        self.cluster.restart()
        folder = self.folder / "ledger-folder" / LEDGER
        self.ledger = ActionLedger(folder, boot="one", identity=KernelFiles().identity)
        findings = Findings()
        self.enforcer = Enforcer(
            self.cluster.watched,
            self.cluster.tree.hierarchy,
            Host(findings, self.cluster.tree.root, self.kubelet, clock=lambda: self.time),
            StateFolder(self.cluster.state),
            findings,
            self.ledger,
            CollectorRegistry(),
            enforce=True,
            clock=lambda: self.time,
        )

    def look(self, seconds: int) -> None:
        """Let it look each second."""
        for _ in range(seconds):
            self.enforcer.look()
            self.time += 1

    def text(self, controller: str, name: str) -> str:
        """What a file of the BE pod holds."""
        return (self.cluster.tree.root / "sys/fs/cgroup" / controller / GROUP / name).read_text().strip()


@pytest.fixture
def node(tmp_path):
    """One of four CPUs."""
    with FakeApi() as api:
        made = Node(api, tmp_path)
        yield made
        made.ledger.close()


def test_pods_that_are_watched_get_what_they_were_given(node):
    """After ten seconds of observing; each write is in the ledger, and all is given back on demand."""
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(9)
        assert node.text("cpu", "cpu.cfs_quota_us") == "-1"
        assert node.enforcer.report()["pods"] == 2
        node.look(12)
        node.cluster.service._stop.set()
    assert node.text("cpu", "cpu.cfs_quota_us") == "50000"
    assert node.text("cpuset", "cpuset.cpus") == "1-3"
    assert node.enforcer.report()["mode"] == "enforce"
    rounds = "colocation_webhook_agent_cgroup_rounds_total"
    assert node.enforcer.registry.get_sample_value(rounds) == 21
    lines = [line for line in read_lines(node.folder / "ledger-folder" / LEDGER) if "path" in line]
    assert {line["why"]["pod"] for line in lines} == {"shop/be"}
    node.enforcer.leave("the end")
    assert node.text("cpu", "cpu.cfs_quota_us") == "-1"
    node.look(20)
    assert node.text("cpu", "cpu.cfs_quota_us") == "-1"


def test_be_pods_give_way(node):
    """By the counters of a second and the NodeSLO; a scrape says so, and switched off they have all again."""
    sampler = Sampler(node.cluster.tree.hierarchy, node.cluster.tree.root, lambda: node.time)
    suppressor = Suppressor(
        node.cluster.tree.hierarchy, KernelFiles(), sampler, Findings(), Options(1), lambda: node.time
    )
    node.enforcer.suppressor = suppressor
    registry = CollectorRegistry()
    registry.register(SuppressionCollector(suppressor))
    prefix = "colocation_webhook_agent_suppression_"

    def seconds(count, machine, pods):
        for _ in range(count):
            node.cluster.tree.machine(machine, 2**30)
            node.cluster.tree.group("kubepods", pods, 0)
            sampler.look(node.cluster.watched.pods_now())
            node.look(1)

    asked = {"enable": True, "cpuSuppressThresholdPercent": 75}
    node.cluster.slo(resourceUsedThresholdWithBE=asked)
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        seconds(14, 0.5, 0.3)
        assert node.text("cpuset", "cpuset.cpus") == "1-3"
        assert registry.get_sample_value(f"{prefix}budget_cores") == pytest.approx(2.5)
        seconds(2, 2.5, 2.0)
        assert node.text("cpuset", "cpuset.cpus") in "123"
        assert registry.get_sample_value(f"{prefix}cpus") == 1
        assert registry.get_sample_value(f"{prefix}others_cores") == pytest.approx(2.5)
        assert node.enforcer.report()["suppression"]["budget"]["system"] == "-500"
        (node.cluster.tree.root / "proc/stat").write_text("?")
        sampler.look(node.cluster.watched.pods_now())
        node.look(1)
        assert registry.get_sample_value(f"{prefix}held") == 1
        assert registry.get_sample_value(f"{prefix}budget_cores") is None
        node.cluster.slo(resourceUsedThresholdWithBE=asked | {"cpuSuppressPolicy": "cfsQuota"})
        until(lambda: len(node.cluster.watched.slo["resourceUsedThresholdWithBE"]) == 3)
        seconds(2, 2.5, 2.0)
        assert node.text("cpu", "cpu.cfs_quota_us") == "48000"
        assert registry.get_sample_value(f"{prefix}quota_cores") == pytest.approx(0.48)
        node.cluster.slo(resourceUsedThresholdWithBE={"enable": False})
        until(lambda: len(node.cluster.watched.slo["resourceUsedThresholdWithBE"]) == 1)
        seconds(1, 2.5, 2.0)
        node.cluster.service._stop.set()
    assert node.text("cpu", "cpu.cfs_quota_us") == "50000"
    assert node.text("cpuset", "cpuset.cpus") == "1-3"
    assert not list(SuppressionCollector(suppressor).collect())


def test_online_pods_burst(node):
    """By the counters of a second and the NodeSLO; a scrape says so, and switched off all is as before."""
    group = f"kubepods/burstable/podu-web/{'c' * 64}"
    web = raw_pod("web", "LS", uid="u-web", containers=[limited("500m")])
    web["status"]["containerStatuses"][0]["containerID"] = f"containerd://{'c' * 64}"
    web["spec"]["nodeName"] = "n1"
    tree = node.cluster.tree
    for each in (group.rpartition("/")[0], group):
        for controller, files in FILES.items():
            write(tree.root / "sys/fs/cgroup" / controller / each, {k: f"{v}\n" for k, v in files.items()})
        write(tree.root / "sys/fs/cgroup/cpu" / each, {"cpu.cfs_quota_us": "50000\n"})
    node.cluster.api.put(PODS, "web", namespace="shop", **web)
    sampler = Sampler(tree.hierarchy, tree.root, lambda: node.time)
    throttling = Throttling(tree.hierarchy, lambda: node.time)
    burster = node.enforcer.burster = Burster(
        tree.hierarchy,
        KernelFiles(),
        sampler,
        Findings(),
        throttling,
        node.ledger,
        lambda: node.time,
    )
    registry = CollectorRegistry()
    registry.register(BurstCollector(burster))
    prefix = "colocation_webhook_agent_burst_"
    throttled = 0

    def seconds(count, machine, periods):
        nonlocal throttled
        for _ in range(count):
            throttled += periods
            write(tree.root / "sys/fs/cgroup/cpu", {f"{group}/cpu.stat": f"nr_throttled {throttled}\n"})
            tree.machine(machine, 2**30)
            tree.group("kubepods", 0.0, 0)
            sampler.look(node.cluster.watched.pods_now())
            node.look(1)

    def text(where):
        return (tree.root / "sys/fs/cgroup/cpu" / where / "cpu.cfs_quota_us").read_text().strip()

    node.cluster.slo(cpuBurstStrategy={"policy": "auto"})
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        seconds(14, 0.4, 0)
        assert registry.get_sample_value(f"{prefix}pool_used_cores") == pytest.approx(0.4)
        assert registry.get_sample_value(f"{prefix}pool_cores") == 3
        assert registry.get_sample_value(f"{prefix}raised_quotas") == 0
        seconds(2, 0.4, 3)
        assert (text(group), text(group.rpartition("/")[0])) == ("72000", "72000")
        assert registry.get_sample_value(f"{prefix}raised_quotas") == 1
        assert registry.get_sample_value(f"{prefix}raised_cores") == pytest.approx(0.22)
        assert node.enforcer.report()["bursts"]["raised"] == {"shop/web": {"main": 72000}}
        seconds(1, 2.0, 3)
        assert text(group) == "57600"
        assert registry.get_sample_value(f"{prefix}pool_used_cores") == pytest.approx(2.0)
        node.cluster.slo(cpuBurstStrategy={"policy": "none"})
        until(lambda: node.cluster.watched.slo["cpuBurstStrategy"]["policy"] == "none")
        seconds(1, 0.4, 3)
        assert (text(group), text(group.rpartition("/")[0])) == ("50000", "50000")
        assert not list(BurstCollector(burster).collect())
        assert node.enforcer.report()["bursts"] == {"on": False}
        node.cluster.service._stop.set()


def test_an_agent_that_starts_without_the_api_server_goes_on(node):
    """With the pods that were known last: what somebody changed meanwhile is right again."""
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(22)
        node.cluster.service._stop.set()
    node.start()
    path = node.cluster.tree.root / "sys/fs/cgroup/cpu" / GROUP / "cpu.cfs_quota_us"
    path.write_text("-1\n")
    node.look(22)
    assert node.text("cpu", "cpu.cfs_quota_us") == "50000"


def test_what_the_kubelet_pinned_is_known_without_the_api_server(node):
    """An LSE pod whose CPUs the kubelet has pinned, too, keeps them when an agent starts meanwhile."""
    kubelet = node.folder / "kubelet"
    write(kubelet, {"cpu_manager_state": '{"policyName": "static", "entries": {"u-lse": {"main": "0"}}}'})
    node.kubelet = kubelet
    node.start()
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(22)
        node.cluster.service._stop.set()
    assert node.enforcer.last.plan.cpus.placements["u-lse"].rule == "own-cpus"
    node.start()
    node.look(2)
    assert node.enforcer.last.plan.cpus.placements["u-lse"].rule == "own-cpus"


def test_what_a_nodeslo_asks_for(node, caplog):
    """It becomes settings, also after a restart without the API server; nonsense and wishes are findings."""
    used = {"enable": True, "cpuSuppressThresholdPercent": 50}
    system = {"minFreeKbytesFactor": 100}
    node.cluster.slo(resourceUsedThresholdWithBE=used, systemStrategy=system)
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(22)
        assert node.enforcer.settings.slo.threshold.cpu_suppress_threshold_percent == 50
        said = "NodeSLO n1: systemStrategy: settings of the whole machine (sysctl): not built"
        assert said in caplog.messages
        node.cluster.slo(resourceUsedThresholdWithBE={"enable": 1})
        until(lambda: node.cluster.watched.slo == {"resourceUsedThresholdWithBE": {"enable": 1}})
        node.look(1)
        assert not node.enforcer.settings.slo.threshold.enable
        assert [each for each in caplog.messages if each.startswith("NodeSLO: resourceUsed")]
        node.cluster.slo(resourceUsedThresholdWithBE=used)
        until(lambda: node.cluster.watched.slo == {"resourceUsedThresholdWithBE": used})
        node.look(22)
        node.cluster.service._stop.set()
    node.start()
    node.look(2)
    assert node.enforcer.settings.slo.threshold.cpu_suppress_threshold_percent == 50


def test_where_the_node_has_no_nodeslo(node):
    """What the agent was told at its start holds."""
    node.cluster.watched.default_slo = {"resourceUsedThresholdWithBE": {"enable": True}}
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(1)
        assert node.enforcer.settings.slo.threshold.enable
        node.cluster.slo()
        until(lambda: node.cluster.watched.slo == {})
        node.look(1)
        assert not node.enforcer.settings.slo.threshold.enable
        node.cluster.service._stop.set()


def test_without_any_knowledge_nothing_is_done(node):
    """No API server has answered yet, and nothing was kept, or what was kept cannot be read."""
    for kept in (None, b"[]", b'{"pods": [{}], "node": {}}', b"nonsense"):
        if kept is not None:
            (node.cluster.state / "known.json").write_bytes(kept)
            node.start()
        node.look(3)
        assert node.enforcer.last is None


def test_standing_by_nothing_is_known_any_more(node):
    """Otherwise an agent that starts while the API server is away would work against koordlet."""
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(22)
        node.cluster.service._stop.set()
    node.enforcer.stand_by()
    node.start()
    node.look(22)
    assert node.enforcer.last is None


def test_standing_by_what_was_written_is_given_back(node):
    """But for what koordlet has changed already, which is not touched; after that nothing is written."""
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(22)
        assert node.text("cpu", "cpu.cfs_quota_us") == "50000"
        path = node.cluster.tree.root / "sys/fs/cgroup/cpuset" / GROUP / "cpuset.cpus"
        path.write_text("2-3\n")
        node.enforcer.stand_by()
        assert node.text("cpu", "cpu.cfs_quota_us") == "-1"
        assert node.text("cpuset", "cpuset.cpus") == "2-3"
        assert node.enforcer.report()["filesWritten"] == 0
        path.write_text("3\n")
        node.enforcer.stand_by()
        assert node.text("cpuset", "cpuset.cpus") == "3"
        node.look(12)
        assert node.text("cpu", "cpu.cfs_quota_us") == "50000", "koordlet has gone again"
        node.cluster.service._stop.set()


def test_an_agent_that_observes_says_what_was_left_to_it(node, caplog):
    """Its mounts are read-only: it cannot give back what one that enforced could not."""
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(22)
        node.cluster.service._stop.set()
    node.start()
    node.enforcer.enforce = node.enforcer._reconciler.enforce = False
    node.look(22)
    assert node.text("cpu", "cpu.cfs_quota_us") == "50000"
    (said,) = [each for each in caplog.messages if "did not give back" in each]
    assert said.startswith("4 files hold")


def test_files_that_are_busy_are_given_back_later(node, monkeypatch):
    """Five times in five seconds; then the agent ends all the same."""
    with watching(node.cluster.watched.reflectors, node.cluster.service._stop):
        until(lambda: node.cluster.watched.synced)
        node.look(22)
        node.cluster.service._stop.set()
    waits, write = [], KernelFiles.write

    def busy(files, path, text):
        if len(waits) < 2 and path.endswith("cpu.cfs_quota_us"):
            raise OSError(errno.EBUSY, "busy")
        write(files, path, text)

    monkeypatch.setattr(KernelFiles, "write", busy)
    node.enforcer.sleep = waits.append
    node.enforcer.leave("the end")
    assert len(waits) == 2
    assert node.text("cpu", "cpu.cfs_quota_us") == "-1"


def test_a_pod_that_was_kept_is_the_same_pod(node, tmp_path):
    """Read from the state folder as it was written."""
    folder = StateFolder(tmp_path)
    pod = read_agent_pod(raw_pod("be", "BE", containers=[batch()]))
    folder.write("known.json", {"node": {}, "pods": [pod]})
    node.enforcer._folder = folder
    assert node.enforcer._current() == Known({}, (pod,))
