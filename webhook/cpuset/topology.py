"""The topology of a machine: its logical CPUs by position.

A position is the index of a CPU in the order (socket, NUMA node, core, CPU id), with the
sockets that are wholly one NUMA node's next to each other; thread is a CPU's rank among
the ids of its core. A set inside this package is an integer whose bit i
stands for position i, the format of the native allocator.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, final

from webhook.cpuset._native import ffi, lib
from webhook.cpuset.cpulist import MAX_CPU_ID, members
from webhook.cpuset.errors import RequestError, TopologyError, check_integer

MAX_CPUS: int = lib.CPUSET_MAX_CPUS
MAX_NUMA_NODES: int = lib.CPUSET_MAX_NODES
NUMBERINGS: Final = ("adjacent", "linux", "interleave")


class Cpu(NamedTuple):
    """One logical CPU: its id, and the numbers of its core, NUMA node and socket.

    Core numbers need be unique only within a (socket, NUMA node).
    """

    cpu: int
    core: int
    node: int
    socket: int


class Place(NamedTuple):
    """The location of a CPU; ``core`` counts from 0 over the whole machine."""

    cpu: int
    core: int
    node: int
    socket: int
    thread: int
    threads: int


@final
class Topology:
    """A machine's CPUs; immutable and safe to share between threads.

    ``places`` lists the CPUs by position, ``nodes`` the NUMA node ids ascending,
    ``position`` maps CPU ids to positions, ``everything`` is the set of all
    positions, ``node_masks`` and ``core_masks`` the positions of each NUMA node (in
    the order of ``nodes``) and of each core. ``notes`` says what was taken otherwise
    than it was described.
    """

    def __init__(self, cpus: Iterable[Cpu], *, notes: tuple[str, ...] = ()) -> None:
        """Build a topology from CPUs in any order; TopologyError names the value at fault."""
        self.notes = notes
        entries = [_checked(index, entry) for index, entry in enumerate(cpus)]
        if not 1 <= len(entries) <= MAX_CPUS:
            raise TopologyError(
                "topology", len(entries), "is not a possible number of CPUs", f"describe 1 to {MAX_CPUS}"
            )
        self._memory, self.pointer = _native_topology(entries)
        nodes = sorted({entry.node for entry in entries})
        by_id = {entry.cpu: entry for entry in entries}
        place = ffi.new("struct cpuset_place *")
        places = []
        for position in range(len(entries)):
            lib.cpuset_place_of(self.pointer, position, place)
            entry = by_id[place.cpu]
            places.append(Place(place.cpu, place.core, entry.node, entry.socket, place.thread, place.threads))
        self.places: tuple[Place, ...] = tuple(places)
        self.nodes: tuple[int, ...] = tuple(nodes)
        self.position: Mapping[int, int] = MappingProxyType(
            {place.cpu: position for position, place in enumerate(places)}
        )
        self.size = len(places)
        self.words: int = lib.cpuset_words(self.pointer)
        self.everything = (1 << self.size) - 1
        node_masks = dict.fromkeys(nodes, 0)
        core_masks = [0] * (places[-1].core + 1)
        for position, at in enumerate(places):
            node_masks[at.node] |= 1 << position
            core_masks[at.core] |= 1 << position
        self.node_masks: tuple[int, ...] = tuple(node_masks[node] for node in nodes)
        self.core_masks: tuple[int, ...] = tuple(core_masks)

    @classmethod
    def regular(
        cls,
        sockets: int,
        numa_per_socket: int,
        cores_per_numa: int,
        threads_per_core: int,
        numbering: str = "adjacent",
    ) -> "Topology":
        """Return a regular machine from counts.

        With T threads a core and C cores in all, thread t of core k is CPU ``k*T + t``
        (``adjacent``), ``t*C + k`` (``linux``: siblings half the machine apart), or
        ``t*C + (k mod cores per node)*nodes + node`` (``interleave``).
        """
        counts = {
            "sockets": sockets,
            "numaPerSocket": numa_per_socket,
            "coresPerNuma": cores_per_numa,
            "threadsPerCore": threads_per_core,
        }
        total = 1
        for field, count in counts.items():
            total *= check_integer(field, count, "a count", least=1, most=MAX_CPUS, error=TopologyError)
        if total > MAX_CPUS:
            raise TopologyError("topology", total, "is too many CPUs", f"describe 1 to {MAX_CPUS}")
        if numbering not in NUMBERINGS:
            raise TopologyError("numbering", numbering, "is unknown", f"use one of {', '.join(NUMBERINGS)}")
        nodes, cores = sockets * numa_per_socket, total // threads_per_core
        entries = []
        for core in range(cores):
            node = core // cores_per_numa
            for thread in range(threads_per_core):
                if numbering == "adjacent":
                    cpu = core * threads_per_core + thread
                elif numbering == "linux":
                    cpu = thread * cores + core
                else:
                    cpu = thread * cores + core % cores_per_numa * nodes + node
                entries.append(Cpu(cpu, core, node, node // numa_per_socket))
        return cls(entries)

    def mask(self, cpus: Iterable[int], *, field: str = "cpus") -> int:
        """Convert CPU ids to a set of positions; RequestError names an unknown CPU."""
        found = 0
        position = self.position
        for cpu in cpus:
            try:
                found |= 1 << position[cpu]
            except (KeyError, TypeError):
                raise RequestError(
                    field, cpu, "is not a CPU of this machine", "name CPUs that its topology lists"
                ) from None
        return found

    def ids(self, mask: int) -> frozenset[int]:
        """Convert a set of positions to CPU ids."""
        places = self.places
        return frozenset([places[position].cpu for position in members(mask & self.everything)])

    def node_ranks(self, nodes: Iterable[int], *, field: str = "numaNodes") -> int:
        """Convert NUMA node ids to bits by rank; RequestError names an unknown node."""
        ranks = 0
        for node in nodes:
            if node not in self.nodes or isinstance(node, bool):
                raise RequestError(
                    field,
                    node,
                    "is not a NUMA node of this machine",
                    f"use {', '.join(map(str, self.nodes))}",
                )
            ranks |= 1 << self.nodes.index(node)
        return ranks

    def bits(self, mask: int) -> bytes:
        """Convert a set of positions to the bitmap of the native functions."""
        return mask.to_bytes(self.words * 8, "little")

    def __eq__(self, other: object) -> bool:
        """Compare the described machines."""
        return isinstance(other, Topology) and self.places == other.places

    def __hash__(self) -> int:
        """Return the same hash for equal machines."""
        return hash(self.places)

    def __repr__(self) -> str:
        """Show the machine's counts."""
        sockets = len({place.socket for place in self.places})
        return (
            f"<Topology of {self.size} CPUs: {sockets} sockets, {len(self.nodes)} NUMA nodes, "
            f"{len(self.core_masks)} cores>"
        )


def _checked(index: int, entry: Cpu) -> Cpu:
    for field, value in zip(Cpu._fields, entry, strict=True):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
            raise TopologyError(
                f"topology[{index}].{field}",
                value,
                "is not a valid number",
                "give an integer from 0 to 2147483647",
            )
    return entry


def _native_topology(entries: list[Cpu]) -> tuple[Any, Any]:
    """Return the memory of a native topology, and the pointer into it."""
    size = lib.cpuset_topology_size(len(entries))
    memory = ffi.new("uint64_t[]", size // 8 + 1)
    out = ffi.new("struct cpuset_topology const **")
    fault = ffi.new("struct cpuset_fault *")
    array = ffi.new("struct cpuset_cpu[]", entries)
    status = lib.cpuset_topology_init(memory, size, array, len(entries), out, fault)
    if not status:
        return memory, out[0]
    field, value = "topology.node", fault.value
    if status == lib.CPUSET_E_DUPLICATE:
        field, problem, remedy = "topology.cpu", "is listed twice", "list every CPU once"
    elif status == lib.CPUSET_E_WIDE:
        problem = "NUMA nodes lie in several sockets and share them with other nodes"
        remedy = f"at most {lib.CPUSET_MAX_WIDE_NODES} may"
    elif status == lib.CPUSET_E_RANGE and fault.index >= 0:
        field, problem, remedy = f"topology[{fault.index}].cpu", "is out of range", f"give 0 to {MAX_CPU_ID}"
    else:
        value = len({entry.node for entry in entries})
        problem, remedy = "is too many NUMA nodes", f"describe at most {MAX_NUMA_NODES}"
    raise TopologyError(field, value, problem, remedy)
