"""The agent as a process."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.agent.cluster import Cluster
from tests.kube.fakeapi import FakeApi
from tests.ports import free_ports
from tests.waiting import until
from webhook.agent.watched import TOPOLOGIES
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.ledger import ActionLedger, open_ledger

DAEMONSETS: Final = "/apis/apps/v1/daemonsets"


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


class Place:
    """A node's tree, an API server, and a command line."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.api = api
        self.cluster = Cluster(api, folder)
        self.folder = folder
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
            "current-context": "c",
        }
        (folder / "kubeconfig").write_text(json.dumps(config))

    def command(self, *flags: str) -> list[str]:
        """Return a command line."""
        given = {
            "--kubeconfig": self.folder / "kubeconfig",
            "--node-name": "n1",
            "--root": self.cluster.tree.root,
            "--state-dir": self.folder / "state",
            "--admin-bind": "127.0.0.1:0",
        }
        rest = [str(part) for pair in given.items() if pair[0] not in flags for part in pair]
        return [str(Path(sys.executable).with_name("colocation-webhook")), "agent", *rest, *flags]

    @contextmanager
    def ledger(self) -> Iterator[ActionLedger]:
        """Open the ledger of an agent that does not run."""
        ledger = open_ledger(self.folder / "state", self.cluster.tree.root, KernelFiles().identity)
        yield ledger
        ledger.close()

    @contextmanager
    def running(self, *flags: str, prelude: str = "") -> Iterator[subprocess.Popen[str]]:
        """Run an agent, after ``prelude`` in its process; it ends with a SIGTERM."""
        command = self.command(*flags)
        if prelude:
            command[:1] = [sys.executable, "-c", f"{prelude}; from webhook.cli.main import main; main()"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as agent:  # noqa: S603
            try:
                yield agent
            except AssertionError:
                agent.terminate()
                print(*agent.stderr or (), sep="")
                raise
            finally:
                agent.send_signal(signal.SIGTERM)
                agent.wait(20)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A node with a pod."""
    with FakeApi() as api:
        made = Place(api, tmp_path)
        made.cluster.pod("web")
        yield made


def test_it_serves_and_publishes_until_it_is_told_to_end(place: Place) -> None:
    """Health, readiness and metrics; metrics once more where a platform looks for them; exit status 0."""
    admin, second = free_ports(2)
    flags = ("--admin-bind", f"127.0.0.1:{admin}", "--metrics-bind", f"127.0.0.1:{second}")
    with place.running(*flags) as agent:
        until(lambda: ("", "n1") in place.api.objects[TOPOLOGIES])
        assert _get(admin, "/healthz") == "ok\n"
        ready = json.loads(_get(admin, "/readyz"))
        assert ready["ready"]
        assert ready["agent"]["cgroups"] == {"version": 1, "driver": "cgroupfs"}
        assert ready["agent"]["mode"] == "observe"
        for port, path in ((admin, "/metrics"), (second, "/actuator/prometheus")):
            assert 'k8s_cpu_cgroup_use_total{node="k8s-cgroup"} 0\n' in _get(port, path)
    assert agent.returncode == 0


def test_the_second_agent_of_a_node_ends(place: Place) -> None:
    """With a clear word and the exit status 1; the first one goes on."""
    with place.running() as first:
        until(lambda: ("", "n1") in place.api.objects[TOPOLOGIES])
        second = subprocess.run(place.command(), capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        assert second.returncode == 1
        assert "another agent of this node has this folder" in second.stderr
        assert first.poll() is None


def test_an_agent_of_another_release_ends_as_well(place: Place, tmp_path: Path) -> None:
    """Its state is in another folder, and the pods are the same."""
    with place.running() as first:
        until(lambda: ("", "n1") in place.api.objects[TOPOLOGIES])
        other = place.command("--state-dir", str(tmp_path / "another"))
        second = subprocess.run(other, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        assert second.returncode == 1
        assert "another agent of this node works on these pods" in second.stderr
        assert first.poll() is None


def test_the_api_server_may_be_away(place: Place) -> None:
    """The agent stays, measures, and publishes again when it is back."""
    soon = "import webhook.agent.publishing.publisher as p; p.FIRST_SECONDS = 3.0"
    with place.running(prelude=soon) as agent:
        until(lambda: ("", "n1") in place.api.objects[TOPOLOGIES])
        place.api.stop()
        place.api.start()
        place.cluster.metric()
        until(lambda: place.cluster.status != {}, 60)
        assert agent.poll() is None


def test_it_loads_no_flask_and_no_kubernetes() -> None:
    """Nor anything else that only the webhook needs, nor YAML."""
    code = (
        "import sys, webhook.agent.service, webhook.cli.agent.command\n"
        "heavy = {'flask', 'werkzeug', 'gunicorn', 'kubernetes', 'yaml', 'asyncio', 'webhook.admission'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert run.stdout == "[]\n"


@pytest.mark.parametrize(
    ("mode", "annotations", "left"),
    [
        ("enforce", None, ""),
        ("enforce", {}, "50000"),
        ("enforce", {"colocation-webhook.io/agent": "observe"}, ""),
        ("observe", None, "50000"),
    ],
)
def test_what_was_written_is_given_back(place: Place, mode: str, annotations: Any, left: str) -> None:
    """If its DaemonSet is gone (None here) or tells agents to observe; one that observes writes nothing."""
    if annotations is not None:
        place.api.put(DAEMONSETS, "agents", "colocation", metadata={"annotations": annotations})
    file = place.cluster.tree.root / "sys/fs/cgroup/cpu/kubepods/burstable/poduid-web/cpu.cfs_quota_us"
    file.parent.mkdir(parents=True)
    file.write_text("50000\n")
    with place.ledger() as ledger:
        why = {"rule": "limits", "pod": "shop/web", "inputs": {}}
        line = {"t": "", "path": str(file.parent), "file": file.name, "old": "-1", "new": "50000", "why": why}
        ledger.append({**line, "cgroup": KernelFiles().identity(str(file))})
    with place.running("--daemonset", "colocation/agents", "--mode", mode) as agent:
        until(lambda: ("", "n1") in place.api.objects[TOPOLOGIES])
    assert agent.returncode == 0
    assert file.read_text().strip() == (left or "-1")
    with place.ledger() as ledger:
        assert bool(ledger.originals) == bool(left)
