"""The last resort, carried out: who is announced and killed, and what is said before and after."""

from pathlib import Path
from typing import Any

import pytest

from tests.agent.builders import GI
from tests.agent.cluster import PODS, Cluster
from tests.agent.eviction.node import BE, Node
from tests.agent.tree import write
from tests.agent.writing.test_kill import Files
from tests.waiting import until
from webhook.agent.eviction.asker import REQUESTS
from webhook.agent.eviction.killer import Killer
from webhook.agent.writing.kill import Kills
from webhook.agent.writing.ledger import LAST_RESORT, ActionLedger, read_lines
from webhook.kube.events import Event

AFTER = 20
ENDING = {"deletionTimestamp": "2026-01-31T09:00:00Z", "deletionGracePeriodSeconds": 3600}
GROUP = "sys/fs/cgroup/unified/kubepods/besteffort/poduid-be"
OUTCOME = "colocation_webhook_agent_last_resort_total"


class Recorder:
    """Keeps Events instead of writing them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        """Keep one."""
        self.events.append(event)


class Short(Node):
    """The node, short of memory, with its BE pod asked to end, and an agent that may kill it."""

    def __init__(self, cluster: Cluster, folder: Path, **metadata: Any) -> None:
        super().__init__(cluster)
        write(cluster.tree.root, {f"{GROUP}/cgroup.events": "populated 1\n", f"{GROUP}/cgroup.kill": ""})
        self.ledger_folder = folder / "ledger"
        files = Files(cluster.tree.root)
        ledger = ActionLedger(self.ledger_folder, boot="one", identity=files.identity)
        self.recorder = Recorder()
        self.killer = Killer(
            cluster.watched,
            Kills(cluster.tree.hierarchy, files, ledger, lambda: cluster.now),
            self.findings,
            self.recorder,  # type: ignore[arg-type] # what it needs of one
            cluster.registry,
            lambda: self.asker.shortage,
            AFTER,
            cluster.tree.clock,
        )
        if metadata:
            self.change(metadata)

    def change(self, metadata: dict[str, Any]) -> None:
        """Change the BE pod, and wait until the agent has heard of it."""
        stored = self.cluster.api.objects[PODS]["shop", "be"]
        kept = {key: stored["metadata"][key] for key in ("uid", "labels") if key in stored["metadata"]}
        rest = {key: stored[key] for key in ("spec", "status")}
        before = self.cluster.watched.pods.values["shop", "be"]
        self.cluster.api.put(PODS, "be", "shop", metadata={**kept, **metadata}, **rest)
        until(lambda: self.cluster.watched.pods.values["shop", "be"] is not before)

    def seconds(self, number: int, **more: Any) -> None:
        """Let time pass, with a look each second."""
        for _ in range(number):
            self.work(1, **more)
            self.killer.look()

    @property
    def said(self) -> list[str]:
        """The reasons of Events."""
        return [each.reason for each in self.recorder.events]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of the ledger."""
        return [dict(each) for each in read_lines(self.ledger_folder) if "path" in each]

    @property
    def killed(self) -> bool:
        """Whether the kernel was asked to."""
        return (self.cluster.tree.root / GROUP / "cgroup.kill").read_text() == "1\n"


def announced(cluster: Cluster, folder: Path) -> Short:
    """A node that has just said that it will kill."""
    node = Short(cluster, folder, **ENDING)
    while not node.said:
        node.seconds(1)
    return node


def test_said_before_and_after(cluster: Cluster, tmp_path: Path, caplog: Any) -> None:
    """By an Event about the pod, the log, the ledger and a metric, all with the figures."""
    node = Short(cluster, tmp_path, **ENDING)
    node.seconds(80)
    assert node.said == ["LastResort", "KilledForNode"]
    assert node.killed
    for event in node.recorder.events:
        assert (event.namespace, event.name, event.uid) == ("shop", "be", "uid-be")
        assert "24.0Gi of 32.0Gi memory are used: at least 70 %" in event.message
        assert "uses 5.0Gi" in event.message
        assert event.message in caplog.text
    before, after = node.lines
    assert (before["new"], before["why"]["inputs"]["in"], after["new"]) == ("", "10 s", "1")
    for line in (before, after):
        assert (line["file"], line["why"]["rule"], line["why"]["pod"]) == (
            "cgroup.kill",
            LAST_RESORT,
            "shop/be",
        )
        figures = line["why"]["inputs"]
        assert (figures["form"], figures["used"]) == ("BEMemoryEvict", str(24 * GI))
        assert int(figures["release"]) > 0
    for outcome in ("announced", "killed"):
        assert cluster.registry.get_sample_value(OUTCOME, {"outcome": outcome}) == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {**ENDING, "labels": {**BE, "koordinator.sh/qosClass": "LS"}},
        {**ENDING, "annotations": {"colocation-webhook.io/agent": "observe"}},
        {**ENDING, "annotations": {"colocation-webhook.io/agent": "ignore"}},
        {**ENDING, "labels": {**BE, "koordinator.sh/eviction-enabled": "false"}},
        {**ENDING, "ownerReferences": [{"kind": "DaemonSet", "name": "d", "uid": "d", "controller": True}]},
    ],
    ids=["not asked to end", "online", "observed", "ignored", "kept", "of a DaemonSet"],
)
def test_nobody_else(cluster: Cluster, tmp_path: Path, metadata: dict[str, Any]) -> None:
    """Whoever was not asked to end, or is not to be touched."""
    node = Short(cluster, tmp_path, **metadata)
    node.seconds(80)
    assert (node.said, node.lines, node.killed) == ([], [], False)


def test_it_recovers_in_time(cluster: Cluster, tmp_path: Path) -> None:
    """What was announced is withdrawn, and said to be."""
    node = announced(cluster, tmp_path)
    node.seconds(30, used=8)
    assert node.said == ["LastResort", "LastResortWithdrawn"]
    assert not node.killed


def test_it_ends_in_time(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing runs in its group any more."""
    node = announced(cluster, tmp_path)
    write(cluster.tree.root, {f"{GROUP}/cgroup.events": "populated 0\n"})
    node.seconds(30)
    assert node.said == ["LastResort", "LastResortWithdrawn"]
    assert not node.killed


def test_figures_that_stop(cluster: Cluster, tmp_path: Path) -> None:
    """Nobody looks at the node any more: what it asked for last is no reason."""
    node = announced(cluster, tmp_path)
    for _ in range(30):
        cluster.tree.now += 1
        node.killer.look()
    assert node.said == ["LastResort", "LastResortWithdrawn"]
    assert not node.killed


def test_an_api_server_that_is_slow(cluster: Cluster, tmp_path: Path) -> None:
    """Its answers hold up the figures for some seconds each time: it takes longer, and is not in vain."""
    node = Short(cluster, tmp_path, **ENDING)
    for _ in range(30):
        node.seconds(4)
        node.seconds(5, steps=False)  # the request is under way
    assert node.said == ["LastResort", "KilledForNode"]
    assert node.killed


def test_an_api_server_that_is_away(cluster: Cluster, tmp_path: Path) -> None:
    """Its pods may have changed, and nobody would read what is said."""
    node = announced(cluster, tmp_path)
    cluster.api.stop()
    until(lambda: cluster.watched.reflectors["pods"].contact.error is not None)
    node.killer.look()
    assert node.said == ["LastResort", "LastResortWithdrawn"]
    cluster.api.start()


def test_an_agent_that_ends(cluster: Cluster, tmp_path: Path) -> None:
    """What it has announced it does not do, and says so."""
    node = announced(cluster, tmp_path)
    node.killer.end()
    node.killer.end()
    assert node.said == ["LastResort", "LastResortWithdrawn"]
    assert not node.killed


def test_a_group_that_goes_as_it_is_announced(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was said of it, and so nothing is taken back."""

    def gone(*_: object) -> None:
        raise FileNotFoundError

    node = Short(cluster, tmp_path, **ENDING)
    monkeypatch.setattr(Kills, "announce", gone)
    node.seconds(80)
    assert (node.said, node.killed) == ([], False)


def test_a_request_that_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """The node has asked nobody then, whatever it has measured."""
    node = Short(cluster, tmp_path, **ENDING)
    cluster.api.failures["PATCH", f"{REQUESTS}/n1"] = [(403, {"message": "no"})] * 99
    node.seconds(80)
    assert (node.said, node.lines, node.killed) == ([], [], False)


def test_koordlets_node(cluster: Cluster, tmp_path: Path) -> None:
    """An agent that stands by asks for nothing, and so kills nobody."""
    node = Short(cluster, tmp_path, **ENDING)
    node.standby = True
    node.seconds(80)
    assert node.said == []


def test_a_kernel_that_cannot(cluster: Cluster, tmp_path: Path, caplog: Any) -> None:
    """It is said once, for each pod, with what is needed."""
    node = Short(cluster, tmp_path, **ENDING)
    (cluster.tree.root / GROUP / "cgroup.kill").unlink()
    node.seconds(80)
    assert node.said == []
    assert caplog.text.count("pod shop/be could not be killed as the last resort: this kernel has none") == 1


def test_a_kernel_that_refuses(
    cluster: Cluster, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is said, and it is not tried again and again."""
    node = Short(cluster, tmp_path, **ENDING)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Files, "write", refuse)
    node.seconds(120)
    assert node.said == ["LastResort", "LastResortFailed"]
    assert "were not killed: Permission denied" in caplog.text
    assert [each["new"] for each in node.lines] == [""]
    assert cluster.registry.get_sample_value(OUTCOME, {"outcome": "refused"}) == 1
