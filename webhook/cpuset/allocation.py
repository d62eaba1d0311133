"""Allocation of CPUs: the pool to choose from, the request, and the resulting allocation.

``cpuset_select`` in ``native/cpuset_alloc.h`` defines which allocation is best;
docs/cpuset.md explains it. The names of policies are Koordinator's (annotation
``scheduling.koordinator.sh/resource-spec`` and node label
``node.koordinator.sh/numa-allocate-strategy``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, final

from webhook import protocol
from webhook.cpuset._native import ffi, lib
from webhook.cpuset.cpulist import format_cpulist, members
from webhook.cpuset.errors import DefectError, NotEnoughCpusError, check_integer
from webhook.cpuset.topology import Topology


class BindPolicy(StrEnum):
    """How the CPUs of a pod are distributed over cores."""

    NONE = protocol.POLICY_NONE
    FULL_PCPUS = protocol.FULL_PCPUS
    SPREAD_BY_PCPUS = protocol.SPREAD_BY_PCPUS


class Exclusive(StrEnum):
    """What a pod prefers not to share with other pods of the same exclusivity."""

    NONE = protocol.POLICY_NONE
    PCPU_LEVEL = protocol.PCPU_LEVEL
    NUMA_NODE_LEVEL = protocol.NUMA_NODE_LEVEL


class Strategy(StrEnum):
    """Which NUMA nodes are filled first."""

    MOST_ALLOCATED = protocol.MOST_ALLOCATED
    LEAST_ALLOCATED = protocol.LEAST_ALLOCATED


_BIND = {
    BindPolicy.NONE: lib.CPUSET_BIND_NONE,
    BindPolicy.FULL_PCPUS: lib.CPUSET_BIND_FULL,
    BindPolicy.SPREAD_BY_PCPUS: lib.CPUSET_BIND_SPREAD,
}
_EXCLUSIVE = {
    Exclusive.NONE: lib.CPUSET_EXCLUSIVE_NONE,
    Exclusive.PCPU_LEVEL: lib.CPUSET_EXCLUSIVE_CORE,
    Exclusive.NUMA_NODE_LEVEL: lib.CPUSET_EXCLUSIVE_NODE,
}
_STRATEGY = {
    Strategy.MOST_ALLOCATED: lib.CPUSET_MOST_ALLOCATED,
    Strategy.LEAST_ALLOCATED: lib.CPUSET_LEAST_ALLOCATED,
}
MAX_REFERENCES: int = lib.CPUSET_MAX_REFERENCES


@dataclass(frozen=True, slots=True)
class Request:
    """A request for ``count`` CPUs.

    ``required`` makes the bind policy mandatory instead of preferred;
    ``spare_whole_cores`` makes SpreadByPCPUs use shared cores before idle ones;
    ``numa_nodes`` restricts the choice to NUMA node ids (None: no restriction).
    ``codes`` are the fields after the count, as the native code has them. Raises RequestError for a
    count that is negative or not an integer.
    """

    count: int
    bind_policy: BindPolicy = BindPolicy.FULL_PCPUS
    required: bool = False
    exclusive: Exclusive = Exclusive.NONE
    strategy: Strategy = Strategy.MOST_ALLOCATED
    spare_whole_cores: bool = False
    numa_nodes: frozenset[int] | None = None
    codes: tuple[int, int, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the fields and translate them once."""
        check_integer("numCPUs", self.count, "a number of whole CPUs")
        flags = (lib.CPUSET_REQUIRED if self.required else 0) | (
            lib.CPUSET_KEEP_WHOLE if self.spare_whole_cores else 0
        )
        codes = (
            _BIND[self.bind_policy],
            _EXCLUSIVE[self.exclusive],
            _STRATEGY[self.strategy],
            flags,
        )
        object.__setattr__(self, "codes", codes)


class Holder(NamedTuple):
    """A pod that holds CPUs: their ids, and the exclusivity that it requested."""

    cpus: frozenset[int]
    exclusive: Exclusive = Exclusive.NONE


class Allocation(NamedTuple):
    """The ids of the allocated CPUs, and of their NUMA nodes, ascending."""

    cpus: frozenset[int]
    numa_nodes: tuple[int, ...]

    @property
    def cpulist(self) -> str:
        """The CPUs as a cpulist."""
        return format_cpulist(self.cpus)


@final
class Pool:
    """The CPUs that can be allocated on one machine; immutable.

    ``available`` are CPU ids; ``preferred`` are those to use first (None or empty: none);
    ``holders`` are the pods whose exclusivity counts; ``references`` is the number of pods
    that hold each CPU id, for CPUs with several holders (at most ``MAX_REFERENCES``).
    RequestError names a CPU that the machine does not have.
    """

    __slots__ = ("_made", "_masks", "_references", "topology")

    def __init__(
        self,
        topology: Topology,
        available: Iterable[int],
        *,
        preferred: Iterable[int] | None = None,
        holders: Iterable[Holder] = (),
        references: Mapping[int, int] | None = None,
    ) -> None:
        """Check the arguments."""
        levels = {Exclusive.PCPU_LEVEL: 0, Exclusive.NUMA_NODE_LEVEL: 0}
        for holder in holders:
            if holder.exclusive is not Exclusive.NONE:
                levels[holder.exclusive] |= topology.mask(holder.cpus, field="holders")
        counts = None
        if references is not None:
            counts = [0] * topology.size
            for cpu, count in references.items():
                check_integer("refcount", count, "a number of holders", most=MAX_REFERENCES)
                counts[topology.mask((cpu,), field="references").bit_length() - 1] = count
        self._hold(
            topology,
            topology.mask(available, field="available"),
            topology.mask(preferred or (), field="preferred"),
            (levels[Exclusive.PCPU_LEVEL], levels[Exclusive.NUMA_NODE_LEVEL]),
            counts,
        )

    @classmethod
    def of_masks(
        cls, topology: Topology, available: int, preferred: int = 0, held: tuple[int, int] = (0, 0)
    ) -> "Pool":
        """Return a pool from sets of positions; ``held`` at PCPULevel and NUMANodeLevel."""
        pool = cls.__new__(cls)
        pool._hold(topology, available, preferred, held, None)  # noqa: SLF001  # of its own class
        return pool

    def _hold(
        self,
        topology: Topology,
        available: int,
        preferred: int,
        held: tuple[int, int],
        references: list[int] | None,
    ) -> None:
        self.topology = topology
        self._masks = (available, preferred, *held)
        self._references = references
        self._made: tuple[Any, list[Any]] | None = None

    def _native(self) -> tuple[Any, list[Any]]:
        """Return the pool for the native code, and what it points into: to be kept while it is in use.

        It is made when it is first needed: of many states nobody asks anything.
        """
        made = self._made
        if made is None:
            bits = self.topology.bits
            buffers = [
                ffi.from_buffer("uint64_t[]", bits(mask)) if mask or not i else ffi.NULL
                for i, mask in enumerate(self._masks)
            ]
            references = self._references
            buffers.append(ffi.NULL if references is None else ffi.new("uint16_t[]", references))
            made = self._made = ffi.new("struct cpuset_pool *", buffers), buffers
        return made

    def allocate(self, request: Request) -> Allocation:
        """Return the best CPUs for a request.

        Raises NotEnoughCpusError, and RequestError for an unknown NUMA node. The GIL
        is released while the native code runs.
        """
        count = request.count
        topology = self.topology
        if request.numa_nodes is None:
            ranks = 0
        else:
            ranks = topology.node_ranks(request.numa_nodes)
            if not ranks and count:
                raise NotEnoughCpusError(count, 0)
        if count > topology.size:
            count = topology.size + 1  # any larger count gives the same result
        asked = ffi.new("struct cpuset_request *", (count, *request.codes, ranks))
        ids = ffi.new("int32_t[]", count or 1)
        out = ffi.new("uint64_t *")
        native = self._native()
        status = lib.cpuset_select_ids(topology.pointer, native[0], asked, ffi.NULL, 0, ids, out, ffi.NULL)
        if status:
            self._retry(asked, ids, out, request)
        nodes = topology.nodes
        return Allocation(
            frozenset(ffi.unpack(ids, count)) if count else frozenset(),
            tuple([nodes[rank] for rank in members(out[0])]),
        )

    def _retry(self, asked: Any, ids: Any, out: Any, request: Request) -> None:
        """Repeat a failed call with scratch memory if that was missing; raise for any other failure."""
        native = self._native()
        given = (self.topology.pointer, native[0], asked)
        status, value = with_scratch(lib.cpuset_select_ids, given, (ids, out))
        if status == lib.CPUSET_E_NOT_ENOUGH:
            raise NotEnoughCpusError(request.count, value)
        if status == lib.CPUSET_E_POLICY:
            raise NotEnoughCpusError(request.count, value, str(request.bind_policy))
        if status:
            raise DefectError("request", request, status)

    def measure(self, request: Request, cpus: Iterable[int]) -> tuple[int, ...]:
        """Return the ranking criteria of a set of CPUs; the lower tuple is better.

        ``request.count`` is ignored. The first entry counts CPUs that are not available or
        break a required policy; the last entries are the positions, which distinguish sets
        that are equal otherwise.
        """
        topology = self.topology
        ranks = topology.node_ranks(request.numa_nodes or ())
        mask = topology.mask(cpus)
        asked = ffi.new("struct cpuset_request *", (0, *request.codes, ranks))
        lines = ffi.new("int64_t[]", lib.CPUSET_LINES)
        native = self._native()
        status = lib.cpuset_measure(
            topology.pointer, native[0], asked, ffi.from_buffer("uint64_t[]", topology.bits(mask)), lines
        )
        if status:
            raise DefectError("request", request, status)
        return (*ffi.unpack(lines, lib.CPUSET_LINES), *members(mask))


def with_scratch(function: Any, given: tuple[Any, ...], out: tuple[Any, ...]) -> tuple[int, int]:
    """Call ``function(*given, work, size, *out, fault)`` with as much scratch memory as its fault asks for.

    Returns the status, and the value of the fault.
    """
    fault = ffi.new("struct cpuset_fault *")
    status, before = function(*given, ffi.NULL, 0, *out, fault), -1
    while status == lib.CPUSET_E_MEMORY and fault.value > before:
        before, size = fault.value, (fault.value + 7) // 8
        status = function(*given, _uncleared("uint64_t[]", size), size * 8, *out, fault)
    return int(status), int(fault.value)


_uncleared = ffi.new_allocator(should_clear_after_alloc=False)
