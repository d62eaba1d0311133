"""NUMA hints and topology policies: the best NUMA nodes for a pod's resources.

Hints are merged and policies applied as in Koordinator's topology manager, with one
difference: among equally good results the choice does not depend on their order, but
on (preferred, fewest nodes, highest score, lowest mask).
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from webhook import protocol
from webhook.cpuset._native import ffi, lib
from webhook.cpuset.allocation import Strategy, with_scratch
from webhook.cpuset.cpulist import members
from webhook.cpuset.errors import DefectError, RequestError, check_integer
from webhook.cpuset.topology import MAX_NUMA_NODES

SEARCH_LIMIT = 100_000
"""How many steps best_nodes takes for each number of nodes before it returns the best set met."""


class NumaPolicy(StrEnum):
    """A node's requirement on the NUMA nodes of a pod; NONE requires nothing."""

    NONE = ""
    BEST_EFFORT = protocol.BEST_EFFORT
    RESTRICTED = protocol.RESTRICTED
    SINGLE_NUMA_NODE = protocol.SINGLE_NUMA_NODE

    @classmethod
    def parse(cls, text: str) -> "NumaPolicy":
        """Return a policy by its name in Koordinator or the kubelet.

        ``None`` is the empty policy; the suffixes ``PodLevel`` and ``ContainerLevel`` are
        ignored. RequestError for any other name.
        """
        name = text.removesuffix("PodLevel").removesuffix("ContainerLevel")
        try:
            return cls("" if name == protocol.POLICY_NONE else name)
        except ValueError:
            known = ", ".join((protocol.POLICY_NONE, *filter(None, cls)))
            raise RequestError("numaTopologyPolicy", text, "is unknown", f"use one of {known}") from None


class NodeUse(StrEnum):
    """How bound pods use a NUMA node: not at all, only this node, or together with other nodes."""

    IDLE = "idle"
    SINGLE = "single"
    SHARED = "shared"


class Hint(NamedTuple):
    """One resource's hint about a set of NUMA nodes, given as bits; 0 means any."""

    mask: int
    preferred: bool = False
    score: int = 0


class Affinity(NamedTuple):
    """The chosen NUMA nodes of a pod, as bits; 0: it may run on any."""

    mask: int
    preferred: bool = False
    score: int = 0
    unsatisfied: bool = False
    admit: bool = True

    @property
    def nodes(self) -> tuple[int, ...]:
        """The node numbers, ascending."""
        return tuple(members(self.mask))


class Amount(NamedTuple):
    """A pod's request for one resource, and the free and total amount of each node.

    ``pieces``, where it is not empty, counts each node's free pieces by their size, as the
    resource comes in whole ones only: some of them have to make just ``want``.
    """

    want: int
    free: Sequence[int]
    capacity: Sequence[int]
    pieces: Sequence[Mapping[int, int]] = ()


_POLICY = {
    NumaPolicy.BEST_EFFORT: lib.CPUSET_NUMA_BEST_EFFORT,
    NumaPolicy.RESTRICTED: lib.CPUSET_NUMA_RESTRICTED,
    NumaPolicy.SINGLE_NUMA_NODE: lib.CPUSET_NUMA_SINGLE,
}
_USE = {
    NodeUse.IDLE: lib.CPUSET_NODE_IDLE,
    NodeUse.SINGLE: lib.CPUSET_NODE_SINGLE,
    NodeUse.SHARED: lib.CPUSET_NODE_SHARED,
}


def merge_hints(
    resources: Iterable[Sequence[Hint]],
    *,
    nodes: int,
    policy: NumaPolicy,
    exclusive: bool = False,
    uses: Sequence[NodeUse] = (),
) -> Affinity:
    """Return the best nodes that the hints of all resources allow on a machine of ``nodes``.

    Each resource has a sequence of hints; an empty one means that no node can provide it;
    a resource without a preference is left out. ``exclusive`` is Koordinator's
    ``singleNUMANodeExclusive: Required``: several nodes are not preferred if a pod uses
    only one of them, nor is one node if pods use it together with others; ``uses`` gives
    this by node. RequestError names a hint with nodes that the machine does not have.
    """
    if policy is NumaPolicy.NONE:
        return Affinity(0, preferred=True)
    everything = _all_nodes(nodes)
    lists = [list(hints) for hints in resources]
    start = [0]
    for index, hints in enumerate(lists):
        for hint in hints:
            if not 0 <= hint.mask <= everything:
                raise RequestError(
                    f"hints[{index}]",
                    hint.mask,
                    f"is not a set of {nodes} NUMA nodes",
                    "set bits of nodes the machine has",
                )
            if abs(hint.score) > lib.CPUSET_MAX_SCORE:
                raise RequestError(f"hints[{index}]", hint.score, "is not a score", "give 0 to 100")
        start.append(start[-1] + len(hints))
    flat = [(hint.mask, hint.score, int(hint.preferred)) for hints in lists for hint in hints]
    keep = (ffi.new("struct cpuset_hint[]", flat), ffi.new("size_t[]", start), _uses(uses, nodes))
    merge = ffi.new(
        "struct cpuset_merge *",
        (keep[0], keep[1], len(lists), everything, _POLICY[policy], int(exclusive), keep[2]),
    )
    out = ffi.new("struct cpuset_affinity *")
    status, _ = with_scratch(lib.cpuset_merge_hints, (merge,), (out,))
    if status:
        raise DefectError("hints", len(flat), status)
    return Affinity(out.mask, bool(out.preferred), out.score, bool(out.unsatisfied), bool(out.admit))


def best_nodes(
    amounts: Mapping[str, Amount],
    *,
    nodes: int,
    policy: NumaPolicy,
    strategy: Strategy = Strategy.MOST_ALLOCATED,
    exclusive: bool = False,
    uses: Sequence[NodeUse] = (),
) -> Affinity:
    """Return the best nodes to take amounts from, without trying every set.

    These are the fewest nodes that together hold every amount, then those with the highest
    score (0 to 100 for each resource: the share in use after the pod for MostAllocated, the
    free share for LeastAllocated), then the lowest mask. If no set suffices, BestEffort
    admits the pod anywhere and the other policies refuse it; SingleNUMANode also refuses
    several nodes. On machines of many nodes that all differ, the best of as many sets as
    SEARCH_LIMIT allows is taken.
    """
    if policy is NumaPolicy.NONE:
        return Affinity(0, preferred=True)
    everything = _all_nodes(nodes)
    rows, keep = [], []
    for name, amount in amounts.items():
        for value in (amount.want, *amount.free, *amount.capacity):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**50:
                raise RequestError(f"amounts.{name}", value, "is not an amount", "give 0 to 2**50")
        if any(len(row) != nodes for row in (amount.free, amount.capacity, amount.pieces or amount.free)):
            raise RequestError(
                f"amounts.{name}",
                len(amount.free),
                f"is not one for each of {nodes}",
                "give free and capacity of every NUMA node",
            )
        sizes = sorted({size for pieces in amount.pieces for size in pieces})
        counts = [pieces.get(size, 0) for pieces in amount.pieces for size in sizes]
        arrays = (
            ffi.new("int64_t[]", list(amount.free)),
            ffi.new("int64_t[]", list(amount.capacity)),
            len(sizes),
            ffi.new("int32_t[]", sizes),
            ffi.new("int32_t[]", counts),
        )
        keep.append(arrays)
        rows.append((amount.want, *arrays))
    mask, score = ffi.new("uint64_t *"), ffi.new("int64_t *")
    fault = ffi.new("struct cpuset_fault *")
    kind = lib.CPUSET_LEAST_ALLOCATED if strategy is Strategy.LEAST_ALLOCATED else lib.CPUSET_MOST_ALLOCATED
    status = lib.cpuset_best_nodes(
        ffi.new("struct cpuset_amount[]", rows),
        len(rows),
        nodes,
        1 if policy is NumaPolicy.SINGLE_NUMA_NODE else nodes,
        kind,
        int(exclusive),
        _uses(uses, nodes),
        SEARCH_LIMIT,
        mask,
        score,
        fault,
    )
    if status:
        raise DefectError("amounts", sorted(amounts), status)
    found = int(mask[0])
    if not found:
        best_effort = policy is NumaPolicy.BEST_EFFORT
        return Affinity(everything if best_effort else 0, admit=best_effort)
    return Affinity(found, preferred=True, score=int(score[0]))


def _all_nodes(nodes: int) -> int:
    check_integer("nodes", nodes, "a number of NUMA nodes", least=1, most=MAX_NUMA_NODES)
    return (1 << nodes) - 1


def _uses(uses: Sequence[NodeUse], nodes: int) -> Any:
    if not uses:
        return ffi.NULL
    if len(uses) != nodes:
        raise RequestError(
            "uses", len(uses), f"is not one for each of {nodes} nodes", "give every NUMA node's use"
        )
    return ffi.new("uint8_t[]", [_USE[NodeUse(use)] for use in uses])
