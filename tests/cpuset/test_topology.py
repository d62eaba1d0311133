"""Topologies: the order of positions, and every source they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpuset.machines import topologies
from webhook.cpuset.discovery import (
    parse_shape,
    topology_from_annotation,
    topology_from_data,
    topology_from_lscpu,
    topology_from_sysfs,
)
from webhook.cpuset.errors import CpuSetError, RequestError, TopologyError
from webhook.cpuset.topology import Cpu, Topology


@given(topologies())
def test_positions_are_sorted(topology: Topology) -> None:
    """Places are sorted by socket, NUMA node, core, id; threads count from 0."""
    keys = [(place.socket, place.node, place.core, place.cpu) for place in topology.places]
    assert keys == sorted(keys)
    for place in topology.places:
        siblings = [other.cpu for other in topology.places if other.core == place.core]
        assert place.thread == siblings.index(place.cpu)
        assert place.threads == len(siblings)


@given(topologies(), st.data())
def test_masks(topology: Topology, data: st.DataObject) -> None:
    """CPU ids become positions and come back; nodes and cores cover the machine once."""
    cpus = data.draw(st.frozensets(st.sampled_from(sorted(topology.position))))
    assert topology.ids(topology.mask(cpus)) == cpus
    assert sum(topology.node_masks) == sum(topology.core_masks) == topology.everything


def test_numberings() -> None:
    """The three numberings put siblings where they say."""
    siblings = {}
    for numbering in ("adjacent", "linux", "interleave"):
        topology = Topology.regular(2, 1, 4, 2, numbering)
        siblings[numbering] = [sorted(topology.ids(mask)) for mask in topology.core_masks[:2]]
    assert siblings == {
        "adjacent": [[0, 1], [2, 3]],
        "linux": [[0, 8], [1, 9]],
        "interleave": [[0, 8], [2, 10]],
    }


def test_equal_core_numbers_in_two_nodes_are_two_cores() -> None:
    """Core numbers need be unique only within a NUMA node."""
    topology = Topology([Cpu(0, 0, 0, 0), Cpu(1, 0, 1, 0)])
    assert len(topology.core_masks) == 2


@pytest.mark.parametrize(
    ("cpus", "problem"),
    [
        ([], "topology 0: is not a possible number of CPUs"),
        ([Cpu(0, 0, 0, 0), Cpu(0, 1, 0, 0)], "topology.cpu 0: is listed twice"),
        ([Cpu(-1, 0, 0, 0)], r"topology\[0\].cpu -1"),
        ([Cpu(0, 0, 0, 0), Cpu(1, True, 0, 0)], r"topology\[1\].core True"),
        ([Cpu(65536, 0, 0, 0)], r"topology\[0\].cpu 65536: is out of range"),
        ([Cpu(cpu, cpu, cpu, 0) for cpu in range(65)], "topology.node 65: is too many NUMA nodes"),
        ([Cpu(cpu, cpu, cpu % 9, cpu // 9) for cpu in range(18)], "lie in several sockets"),
        ([Cpu(cpu, cpu, 0, 0) for cpu in range(8193)], "topology 8193"),
    ],
)
def test_refused(cpus: list[Cpu], problem: str) -> None:
    """What cannot be a machine is refused by name and value."""
    with pytest.raises(TopologyError, match=problem):
        Topology(cpus)


@pytest.mark.parametrize("shape", ["", "1x1x1", "0x1x1x1", "1x1x8x2x", "9x9x999x9", "axbxcxd", "1x1x-8x2"])
def test_refused_shapes(shape: str) -> None:
    """A shape is four counts of a machine that can be."""
    with pytest.raises(TopologyError):
        parse_shape(shape)


def test_unknown_numbering() -> None:
    """A numbering is one of three."""
    with pytest.raises(TopologyError, match="numbering 'random'"):
        parse_shape("1x1x1x1", "random")


def test_unknown_cpu() -> None:
    """A CPU that a machine does not have is named."""
    with pytest.raises(RequestError, match="cpus 4"):
        parse_shape("1x1x2x2").mask([4])
    with pytest.raises(RequestError, match="cpus 'a'"):
        parse_shape("1x1x2x2").mask(["a"])  # type: ignore[list-item]


def sysfs(root: Path, online: str, nodes: dict[int, str], siblings: dict[int, str]) -> Path:
    """Write the files of a machine as the kernel shows them; package 0 for node 0."""
    system = root / "devices" / "system"
    for node, cpulist in nodes.items():
        folder = system / "node" / f"node{node}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(cpulist + "\n")
    for cpu, cpulist in siblings.items():
        folder = system / "cpu" / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("-1\n" if not nodes else "0\n")
        (folder / "core_id").write_text("0\n")
        (folder / "core_cpus_list").write_text(cpulist + "\n")
    (system / "cpu").mkdir(parents=True, exist_ok=True)
    (system / "cpu" / "online").write_text(online + "\n")
    return root


def test_sysfs(tmp_path: Path) -> None:
    """The kernel's files are read: offline CPUs left out, cores known by their siblings."""
    root = sysfs(tmp_path, "0-2", {0: "0,2", 1: "1"}, {0: "0,2", 1: "1", 2: "0,2"})
    topology = topology_from_sysfs(root)
    assert [(place.cpu, place.core, place.node) for place in topology.places] == [
        (0, 0, 0),
        (2, 0, 0),
        (1, 1, 1),
    ]


def test_sysfs_without_numa(tmp_path: Path) -> None:
    """No NUMA files and an unknown package are one node and one socket."""
    topology = topology_from_sysfs(sysfs(tmp_path, "0", {}, {0: "0"}))
    assert (topology.places[0].node, topology.places[0].socket) == (0, 0)


def test_sysfs_missing(tmp_path: Path) -> None:
    """A missing or malformed file is named."""
    with pytest.raises(TopologyError, match=r"online.*cannot be read"):
        topology_from_sysfs(tmp_path)
    root = sysfs(tmp_path, "0", {0: "0"}, {0: "0"})
    (root / "devices/system/cpu/cpu0/topology/physical_package_id").write_text("zero")
    with pytest.raises(TopologyError, match="is not a number"):
        topology_from_sysfs(root)


def test_this_machine() -> None:
    """The machine the tests run on can be read."""
    assert topology_from_sysfs().size >= 1


def test_lscpu() -> None:
    """Rows of lscpu in numbers or text; offline CPUs are left out."""
    rows = [
        {"cpu": 0, "core": 0, "node": 0, "socket": 0, "online": True},
        {"cpu": "1", "core": "0", "node": "0", "socket": "0", "online": "yes"},
        {"cpu": 2, "core": "-", "node": None, "socket": "-", "online": False},
    ]
    assert topology_from_lscpu(json.dumps({"cpus": rows})) == Topology.regular(1, 1, 1, 2)
    with pytest.raises(TopologyError, match="lists no CPUs"):
        topology_from_lscpu('{"lscpu": []}')
    with pytest.raises(TopologyError, match=r"cpus\[0\].core 'x'"):
        topology_from_lscpu('{"cpus": [{"cpu": 0, "core": "x", "node": 0, "socket": 0}]}')


def test_annotation() -> None:
    """Koordinator's annotation lists CPUs by id."""
    text = '{"detail":[{"id":0,"core":0,"socket":0,"node":0},{"id":1,"core":0,"socket":0,"node":0}]}'
    assert topology_from_annotation(text) == Topology.regular(1, 1, 1, 2)


def test_data() -> None:
    """A list of CPUs and the numbers of a regular machine mean the same."""
    rows = [{"cpu": cpu, "core": cpu // 2, "node": 0, "socket": 0} for cpu in range(4)]
    regular = {"sockets": 1, "numaPerSocket": 1, "coresPerNuma": 2, "threadsPerCore": 2}
    assert topology_from_data(rows) == topology_from_data(regular)
    assert hash(topology_from_data(rows)) == hash(topology_from_data(regular))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "cpus",
                        "detail",
                        "cpu",
                        "id",
                        "core",
                        "node",
                        "socket",
                        "sockets",
                        "numaPerSocket",
                        "coresPerNuma",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_any_data(value: object) -> None:
    """Any data is a machine or is refused."""
    for read in (
        topology_from_data,
        lambda data: topology_from_lscpu(json.dumps(data)),
        lambda data: topology_from_annotation(json.dumps(data)),
    ):
        try:
            read(value)
        except CpuSetError as error:
            assert str(error)


@given(st.text(max_size=30))
def test_any_text(text: str) -> None:
    """Any text is refused as JSON text or as a machine."""
    for read in (topology_from_lscpu, topology_from_annotation):
        with pytest.raises(TopologyError):
            read(text)
