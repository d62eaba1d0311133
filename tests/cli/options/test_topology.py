"""The machine that --topology means: every form that people have at hand, and what is none."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from webhook.cli.options.topology import load_topology
from webhook.cpuset.errors import TopologyError
from webhook.cpuset.topology import Topology

DETAIL = {"detail": [{"id": cpu, "core": cpu // 2, "node": 0, "socket": 0} for cpu in range(4)]}
NRT = {
    "apiVersion": "topology.node.k8s.io/v1alpha1",
    "kind": "NodeResourceTopology",
    "metadata": {
        "name": "node-1",
        "annotations": {"node.koordinator.sh/cpu-topology": json.dumps(DETAIL)},
    },
    "topologyPolicies": ["None"],
}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
YAML = (
    "apiVersion: topology.node.k8s.io/v1alpha1\nkind: NodeResourceTopology\nmetadata:\n  name: node-1\n"
    f"  annotations:\n    node.koordinator.sh/cpu-topology: '{json.dumps(DETAIL)}'\n"
)
ROWS = [{"cpu": cpu, "core": cpu // 2, "node": 0, "socket": 0} for cpu in range(4)]
TABLE = "CPU NODE SOCKET CORE ONLINE\n0 0 0 0 yes\n1 0 0 0 yes\n2 0 0 1 yes\n3 0 0 1 yes\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nrt.json", json.dumps(NRT)),
        ("nrt.yaml", YAML),
        ("list.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [NODE, NRT]})),
        ("stream.yaml", f"{json.dumps(NODE)}\n---\n{YAML}"),
        ("annotation", json.dumps(DETAIL)),
        ("lscpu.json", json.dumps({"cpus": ROWS})),
        ("bare.json", json.dumps({"cpus": [row | {"mhz": None} for row in ROWS]}).replace("null", "-")),
        ("lscpu.txt", TABLE),
        ("marked.txt", "\ufeff" + TABLE),
        ("lscpu.csv", "# CPU,Core,Socket,Node\n0,0,0,\n1,0,0,\n2,1,0,\n3,1,0,\n"),
        ("rows.json", json.dumps(ROWS)),
    ],
)
def test_every_form(tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine of two cores of two threads, whichever the file."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert load_topology(str(path), "adjacent") == Topology.regular(1, 1, 2, 2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (json.dumps(NODE), "has 0 objects of kind NodeResourceTopology, not one"),
        (json.dumps({"apiVersion": "v1", "kind": "List", "items": [NRT, NRT]}), "has 2 objects"),
        (json.dumps(NRT | {"metadata": {"name": "node-1"}}), "has no annotation node.koordinator.sh/cpu-top"),
        (YAML.replace('"core": 0', '"core": "x"'), r"topology\[0\].core 'x'"),
        (YAML + " bad: [", "cannot be read .*not YAML"),
        ("[1]", r"topology\[0\] 1: is not an object"),
        ("", "has no column CPU"),
        ("{", "is not JSON"),
    ],
)
def test_refused(tmp_path: Path, text: str, problem: str) -> None:
    """What describes no machine is refused with the place."""
    path = tmp_path / "machine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((TopologyError, click.ClickException), match=problem):
        load_topology(str(path), "adjacent")


def test_a_core_in_two_numa_nodes_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is taken otherwise than described is said on standard error."""
    path = tmp_path / "machine.txt"
    path.write_text(TABLE.replace("1 0 0 0 yes", "1 1 0 0 yes"), encoding="utf-8")
    assert load_topology(str(path), "adjacent") == Topology.regular(1, 1, 2, 2)
    assert "CPUs 1 lie in another NUMA node" in capsys.readouterr().err


def test_this_machine_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the option says which machine it is."""

    def refused() -> Topology:
        raise TopologyError("file", "online", "cannot be read", "give the /sys of a machine")

    monkeypatch.setattr("webhook.cli.options.topology.topology_from_sysfs", refused)
    with pytest.raises(TopologyError, match="cannot be read; give a machine by --topology instead"):
        load_topology(None, "adjacent")
