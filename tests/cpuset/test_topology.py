"""Topologies: the order of positions, and every source they come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpuset.machines import topologies
from webhook.cpuset.allocation import BindPolicy, Pool, Request
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.discovery import (
    parse_shape,
    topology_annotation,
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
        ([Cpu(cpu, cpu, cpu % 9, cpu // 9) for cpu in range(18)], "several sockets and share them"),
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


@given(st.integers(1, 64), st.integers(1, 5), st.data())
def test_numa_nodes_of_many_sockets(nodes: int, sockets: int, data: st.DataObject) -> None:
    """Any number of NUMA nodes may have several sockets of their own, of one CPU each, in any order."""
    numbers = data.draw(st.permutations(range(nodes * sockets)))
    topology = Topology([Cpu(cpu, cpu, cpu % nodes, number) for cpu, number in enumerate(numbers)])
    assert [place.node for place in topology.places] == sorted(
        (place.node for place in topology.places),
        key=[place.node for place in topology.places].index,
    )
    count = data.draw(st.integers(1, topology.size))
    found = Pool(topology, range(topology.size)).allocate(Request(count))
    assert len(found.numa_nodes) == -(-count // sockets)


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


def sysfs(root: Path, cpus: dict[int, tuple[int, str, str, int]], *, old_names: bool = False) -> Path:
    """Write a machine as the kernel shows it: package number, CPUs of package and core, NUMA node."""
    system = root / "devices" / "system"
    package_file, core_file = ("core_siblings_list", "thread_siblings_list")
    if not old_names:
        package_file, core_file = ("package_cpus_list", "core_cpus_list")
    nodes: dict[int, list[int]] = {}
    for cpu, (package, packages, core, node) in cpus.items():
        nodes.setdefault(node, []).append(cpu)
        folder = system / "cpu" / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        files = {"physical_package_id": package, "core_id": 0, package_file: packages, core_file: core}
        for name, value in files.items():
            if value != "":
                (folder / name).write_text(f"{value}\n")
    for node, there in nodes.items():
        if node >= 0:
            (system / "node" / f"node{node}").mkdir(parents=True)
            (system / "node" / f"node{node}" / "cpulist").write_text(format_cpulist(there) + "\n")
    (system / "cpu").mkdir(parents=True, exist_ok=True)
    (system / "cpu" / "online").write_text(format_cpulist(cpus) + "\n")
    return root


def as_sysfs(topology: Topology, package: Callable[[int], int]) -> dict[int, tuple[int, str, str, int]]:
    """Return a machine for ``sysfs``, with package numbers by a function of the socket."""
    sockets = {at.socket: [p.cpu for p in topology.places if p.socket == at.socket] for at in topology.places}
    return {
        at.cpu: (
            package(at.socket),
            format_cpulist(sockets[at.socket]),
            format_cpulist([other.cpu for other in topology.places if other.core == at.core]),
            at.node,
        )
        for at in topology.places
    }


@given(topology=topologies(), old_names=st.booleans())
def test_sysfs(topology: Topology, *, old_names: bool) -> None:
    """The kernel's files are read, under their old names and their new ones."""
    with TemporaryDirectory() as folder:
        root = sysfs(Path(folder), as_sysfs(topology, lambda socket: socket), old_names=old_names)
        found = topology_from_sysfs(root)
    assert found == topology
    assert found.notes == ()


@given(topologies(), st.sampled_from([lambda _: -1, lambda _: 0, lambda socket: socket % 2]))
def test_sockets_are_known_by_their_cpus(topology: Topology, package: Callable[[int], int]) -> None:
    """Package numbers that are unknown, or unique within something larger only, do not merge sockets."""
    with TemporaryDirectory() as folder:
        found = topology_from_sysfs(sysfs(Path(folder), as_sysfs(topology, package)))
    for mine, given_place in zip(found.places, found.places[1:], strict=False):
        same = [p.socket for p in topology.places if p.cpu in (mine.cpu, given_place.cpu)]
        assert (mine.socket == given_place.socket) == (len(set(same)) == 1)


def test_sysfs_of_numa_nodes_that_cut_cores(tmp_path: Path) -> None:
    """A required whole core is both CPUs of it, though its threads lie in two NUMA nodes."""
    core = {cpu: f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}" for cpu in range(8)}
    topology = topology_from_sysfs(sysfs(tmp_path, {cpu: (0, "0-7", core[cpu], cpu % 2) for cpu in range(8)}))
    whole = Pool(topology, range(8)).allocate(Request(2, BindPolicy.FULL_PCPUS, required=True))
    assert whole.cpulist == "0-1"
    assert "CPUs 1,3,5,7 lie in another NUMA node" in topology.notes[0]


def test_sysfs_of_a_cpu_that_goes_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPUs that go while they are read are read again; those that never rest are named."""
    root = sysfs(tmp_path, {0: (0, "0-1", "0-1", 0), 1: (0, "0-1", "0-1", 0)})
    online = root / "devices/system/cpu/online"
    read_text, states = Path.read_text, ["0-1\n", "0\n", "0\n", "0\n"]

    def changing(path: Path, encoding: str) -> str:
        return states.pop(0) if path == online else read_text(path, encoding=encoding)

    monkeypatch.setattr(Path, "read_text", changing)
    assert topology_from_sysfs(root).size == 1
    states = ["0-1\n", "0\n"] * 3
    with pytest.raises(TopologyError, match=r"online '0-1': changes while the CPUs are read"):
        topology_from_sysfs(root)


def test_sysfs_without_numa(tmp_path: Path) -> None:
    """No NUMA files and an unknown package are one node and one socket."""
    topology = topology_from_sysfs(sysfs(tmp_path, {0: (-1, "", "0", -1)}))
    assert (topology.places[0].node, topology.places[0].socket) == (0, 0)


def test_sysfs_missing(tmp_path: Path) -> None:
    """A missing or malformed file is named."""
    with pytest.raises(
        TopologyError, match=r"online': cannot be read \(No such file or directory\); give the"
    ):
        topology_from_sysfs(tmp_path)
    root = sysfs(tmp_path, {0: (0, "0", "0", 0)})
    package = root / "devices/system/cpu/cpu0/topology/physical_package_id"
    package.write_text("zero")
    with pytest.raises(TopologyError, match="is not a number"):
        topology_from_sysfs(root)
    package.write_text("null é")
    with pytest.raises(TopologyError, match=r"physical_package_id': cannot be read \(it is not ASCII\)"):
        topology_from_sysfs(root)


def test_this_machine() -> None:
    """The machine the tests run on can be read."""
    assert topology_from_sysfs().size >= 1


def test_annotation() -> None:
    """Koordinator's annotation lists CPUs by id."""
    text = '{"detail":[{"id":0,"core":0,"socket":0,"node":0},{"id":1,"core":0,"socket":0,"node":0}]}'
    assert topology_from_annotation(text) == Topology.regular(1, 1, 1, 2)


def rows_of(topology: Topology, *, numbers: bool) -> list[dict[str, int]]:
    """Return a machine as koordlet lists it; core numbers begin again in each socket if so asked."""
    first = {}
    for place in topology.places:
        first.setdefault(place.socket, place.core)
    return [
        {
            "id": place.cpu,
            "core": place.core - (first[place.socket] if numbers else 0),
            "socket": place.socket,
            "node": place.node,
        }
        for place in topology.places
    ]


@given(topology=topologies(), data=st.data(), numbers=st.booleans())
def test_annotation_of_a_machine_whose_numa_nodes_cut_cores(
    topology: Topology, data: st.DataObject, *, numbers: bool
) -> None:
    """A core stays one core in the NUMA node of its first CPU, and a note names the CPUs elsewhere.

    The twin without a cut is read as it is, with no note.
    """
    rows = rows_of(topology, numbers=numbers)
    whole = topology_from_annotation(json.dumps({"detail": rows}))
    assert whole == topology
    assert whole.notes == ()
    seconds = [place.cpu for place in topology.places if place.thread]
    cut = data.draw(st.sets(st.sampled_from(seconds), min_size=1)) if seconds else set()
    for row in rows:
        row["node"] = 63 if row["id"] in cut else row["node"]
    found = topology_from_annotation(json.dumps({"detail": rows}))
    assert found == topology
    assert bool(found.notes) == bool(cut)
    assert all(f"CPUs {format_cpulist(cut)} lie in another NUMA node" in note for note in found.notes)


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


def test_the_annotation_that_is_written_is_read_back() -> None:
    """CPUs in the order of their ids, as Koordinator has them."""
    for machine in (Topology.regular(2, 2, 3, 2), Topology.regular(1, 1, 4, 2, "linux")):
        text = topology_annotation(machine)
        assert topology_from_annotation(text) == machine
        ids = [entry["id"] for entry in json.loads(text)["detail"]]
        assert ids == sorted(ids)
