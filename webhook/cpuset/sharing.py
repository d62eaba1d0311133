"""Who may run where on one node, and the guard that keeps it so.

The rules are Koordinator's CPU orchestration: an LSE pod is alone on its CPUs, an
LSR pod shares its own with BE pods only, LS pods run on the share pool (all that no
LSE or LSR pod holds), BE pods on everything that no LSE pod holds. Reserved and
exclusive system CPUs are in no pool, nor are those the kubelet has pinned; the
kubelet's own reserved CPUs stay in the pools but are never bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from types import MappingProxyType
from typing import Final, NamedTuple, final

from webhook.cpuset.allocation import Allocation, Exclusive, Pool, Request
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.errors import RequestError, SharingError
from webhook.cpuset.qos import BOUND, POOLED, QoS
from webhook.cpuset.suppression import select_be
from webhook.cpuset.topology import Topology

_NO_WISH: Final = Request(0)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as far as its CPUs go.

    ``milli`` is its CPU request in thousandths of a CPU, which for LSE and LSR pods
    has to be a positive multiple of 1000. ``request`` says how these are bound; its
    count is taken from ``milli``. ``preferred`` are CPU ids to be drawn from first.
    """

    uid: str
    qos: QoS
    milli: int
    request: Request = _NO_WISH
    preferred: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Check the amount against the class."""
        if isinstance(self.milli, bool) or not isinstance(self.milli, int) or self.milli < 0:
            raise RequestError(
                "cpu", self.milli, "is no amount in thousandths of a CPU", "give an integer from 0 on"
            )
        if self.qos in BOUND and (self.milli == 0 or self.milli % 1000):
            raise RequestError(
                "cpu",
                f"{self.milli}m",
                f"is no whole number of CPUs for {self.qos}",
                "request a positive multiple of 1000m",
            )
        object.__setattr__(self, "request", replace(self.request, count=self.milli // 1000))


@dataclass(frozen=True, slots=True)
class Reservations:
    """CPU ids that are spoken for before any pod.

    ``reserved``: the node's reservation, in no pool. ``kubelet_reserved``: the
    kubelet's, never bound but in both pools. ``system``: for SYSTEM pods, in no pool
    when ``system_exclusive``. ``kubelet_pinned``: exclusive CPUs of pods that the
    kubelet's static policy manages.
    """

    reserved: frozenset[int] = frozenset()
    kubelet_reserved: frozenset[int] = frozenset()
    system: frozenset[int] = frozenset()
    system_exclusive: bool = True
    kubelet_pinned: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class PoolLimit:
    """How small the LS share pool may become.

    Never below ``minimum_cpus``, nor below ``request_percent`` percent of what the LS
    pods on it request together.
    """

    minimum_cpus: int = 1
    request_percent: int = 100

    def __post_init__(self) -> None:
        """Check the numbers."""
        for field in ("minimum_cpus", "request_percent"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise RequestError(field, value, "is no limit", "give an integer from 0 on")


class _Held(NamedTuple):
    pod: Pod
    mask: int
    allocation: Allocation
    found: bool = False


class _View(NamedTuple):
    """One state of a node, never changed; all sets are sets of positions."""

    pods: Mapping[str, Pod]
    held: Mapping[str, _Held]
    lse: int
    lsr: int
    levels: tuple[int, int]
    requested: int
    available: int
    shared: int
    be: int
    pool: Pool


@final
class NodeState:
    """The CPUs of one node and the pods on it; safe to use from many threads.

    Reading takes no lock: every change makes a new view and puts it in place at once.
    A change that would break a rule raises and leaves everything as it was.
    """

    def __init__(
        self, topology: Topology, reservations: Reservations | None = None, limit: PoolLimit | None = None
    ) -> None:
        """Begin with no pods; RequestError names a CPU the machine does not have."""
        given = reservations or Reservations()
        masks = {
            field: topology.mask(getattr(given, field), field=field)
            for field in ("reserved", "kubelet_reserved", "system", "kubelet_pinned")
        }
        self.topology = topology
        self.reservations = given
        self.limit = limit or PoolLimit()
        self._system = masks["system"]
        closed = masks["system"] if given.system_exclusive else 0
        self._pooled = topology.everything & ~(masks["reserved"] | masks["kubelet_pinned"] | closed)
        self._bindable = self._pooled & ~masks["kubelet_reserved"]
        self._lock = Lock()
        self._view = self._seen({}, {})

    def assign(self, pod: Pod) -> frozenset[int]:
        """Take a pod in and return the CPU ids it runs on.

        An LSE or LSR pod gets CPUs of its own, the others their pool. Raises
        NotEnoughCpusError, and SharingError for a pod that is there already or one
        that would leave the share pool too small.
        """
        with self._lock:
            view = self._view
            self._check_new(view, pod)
            allocation = None
            if pod.qos in BOUND:
                allocation = self._pool_for(view, pod).allocate(pod.request)
            self._view = self._with(view, pod, allocation)
            return self._cpus_of(self._view, pod)

    def adopt(self, pod: Pod, cpus: Iterable[int]) -> None:
        """Take in an LSE or LSR pod that holds CPUs already, as after a restart.

        SharingError if the CPUs are not as many as it requests or not to be had.
        """
        with self._lock:
            view = self._view
            self._check_new(view, pod)
            held = frozenset(cpus)
            mask = self.topology.mask(held)
            if pod.qos not in BOUND:
                raise SharingError(
                    "qos", str(pod.qos), "has no CPUs of its own", "adopt LSE and LSR pods only"
                )
            if len(held) * 1000 != pod.milli:
                raise SharingError(
                    "cpuset",
                    format_cpulist(held),
                    f"is not {pod.milli // 1000} CPUs",
                    "give as many CPUs as the pod requests",
                )
            if mask & ~view.available:
                taken = self.topology.ids(mask & ~view.available)
                raise SharingError(
                    "cpuset",
                    format_cpulist(held),
                    f"CPUs {format_cpulist(taken)} are reserved or another pod's",
                    "release their holder first",
                )
            self._view = self._with(view, pod, Allocation(held, self._nodes_of(mask)))

    def hold(self, holders: Iterable[tuple[Pod, Iterable[int]]]) -> None:
        """Take in all at once LSE and LSR pods that run on CPUs, whatever the rules say of it.

        What is so has to be known before anything is decided: a set may be of another size
        than its pod's request, overlap another pod's, or lie on CPUs that were reserved
        later. It is nobody else's in any case. CPUs that the machine does not have are left
        out; a pod that is there already is put in the place that is given.
        """
        with self._lock:
            view = self._view
            pods, held = dict(view.pods), dict(view.held)
            position = self.topology.position
            for pod, cpus in holders:
                here = frozenset([cpu for cpu in cpus if cpu in position])
                mask = self.topology.mask(here)
                pods[pod.uid] = pod
                held[pod.uid] = _Held(pod, mask, Allocation(here, self._nodes_of(mask)), found=True)
            self._view = self._seen(pods, held)

    def release(self, uid: str) -> frozenset[int]:
        """Let a pod go and return the CPU ids it held alone; SharingError if unknown."""
        with self._lock:
            view = self._view
            if uid not in view.pods:
                raise SharingError("uid", uid, "is not on this node", "release pods that are")
            held = view.held.get(uid)
            self._view = self._seen(
                {key: pod for key, pod in view.pods.items() if key != uid},
                {key: item for key, item in view.held.items() if key != uid},
            )
            return held.allocation.cpus if held else frozenset()

    def allocate(self, request: Request) -> Allocation:
        """Return what a request would get now, without taking it."""
        return self._view.pool.allocate(request)

    def cpus_of(self, uid: str) -> frozenset[int]:
        """Return the CPU ids a pod may run on now; SharingError if it is unknown."""
        view = self._view
        try:
            pod = view.pods[uid]
        except KeyError:
            raise SharingError("uid", uid, "is not on this node", "ask for pods that are") from None
        return self._cpus_of(view, pod)

    def shared_pool(self) -> frozenset[int]:
        """Return the CPU ids of the LS share pool."""
        return self.topology.ids(self._view.shared)

    def be_pool(self) -> frozenset[int]:
        """Return the CPU ids BE pods may run on while nothing is suppressed."""
        return self.topology.ids(self._view.be)

    def be_cpus(self, count: int, old: Iterable[int] = ()) -> frozenset[int]:
        """Return the ``count`` CPUs of the BE pool that suppressed BE work is best left.

        ``old`` are the CPU ids in force, of which as many are kept as may be.
        """
        view = self._view
        known = [cpu for cpu in old if cpu in self.topology.position]
        return select_be(
            self.topology, count, candidates=view.be, lsr=view.lsr, old=self.topology.mask(known)
        )

    def available(self) -> frozenset[int]:
        """Return the CPU ids that an LSE or LSR pod could be given."""
        return self.topology.ids(self._view.available)

    def pods(self) -> Mapping[str, Pod]:
        """Return the pods by uid, as they were at one moment."""
        return self._view.pods

    def _nodes_of(self, mask: int) -> tuple[int, ...]:
        topology = self.topology
        return tuple(
            node for node, cpus in zip(topology.nodes, topology.node_masks, strict=True) if cpus & mask
        )

    def _check_new(self, view: _View, pod: Pod) -> None:
        if pod.uid in view.pods:
            raise SharingError("uid", pod.uid, "is on this node already", "release it first")

    def _pool_for(self, view: _View, pod: Pod) -> Pool:
        if not pod.preferred:
            return view.pool
        preferred = self.topology.mask(pod.preferred, field="preferred")
        return Pool.of_masks(self.topology, view.available, preferred, view.levels)

    def _cpus_of(self, view: _View, pod: Pod) -> frozenset[int]:
        if pod.qos in BOUND:
            return view.held[pod.uid].allocation.cpus
        if pod.qos is QoS.BE:
            return self.topology.ids(view.be)
        if pod.qos is QoS.SYSTEM and self._system:
            return self.topology.ids(self._system)
        return self.topology.ids(view.shared)

    def _with(self, view: _View, pod: Pod, allocation: Allocation | None) -> _View:
        held = view.held
        if allocation is not None:
            held = {**held, pod.uid: _Held(pod, self.topology.mask(allocation.cpus), allocation)}
        after = self._seen({**view.pods, pod.uid: pod}, held)
        # What is no smaller and no more asked for than before cannot be at fault.
        if after.shared != view.shared or after.requested > view.requested:
            self._check_shared(after, pod)
        return after

    def _check_shared(self, after: _View, pod: Pod) -> None:
        cpus = after.shared.bit_count()
        needed = max(self.limit.minimum_cpus * 1000, -(-after.requested * self.limit.request_percent // 100))
        if cpus * 1000 >= needed:
            return
        if cpus == 0 and needed == self.limit.minimum_cpus * 1000:
            problem = "would leave the LS share pool empty"
        else:
            problem = (
                f"would leave {cpus} CPUs in the LS share pool, which has to have "
                f"{needed}m for {after.requested}m requested"
            )
        raise SharingError(
            "pod", pod.uid, problem, "place it on another node or lower the limit of the share pool"
        )

    def _seen(self, pods: Mapping[str, Pod], held: Mapping[str, _Held]) -> _View:
        """Derive everything from the pods; refuse two holders of one CPU, but for those that were found."""
        by_class = {QoS.LSE: 0, QoS.LSR: 0}
        by_level = {Exclusive.NONE: 0, Exclusive.PCPU_LEVEL: 0, Exclusive.NUMA_NODE_LEVEL: 0}
        for item in held.values():
            if not item.found and item.mask & (by_class[QoS.LSE] | by_class[QoS.LSR] | ~self._bindable):
                raise SharingError(
                    "cpuset",
                    item.allocation.cpulist,
                    "is not this pod's to hold",
                    "release the pod that holds it first",
                )
            by_class[item.pod.qos] |= item.mask
            by_level[item.pod.request.exclusive] |= item.mask
        lse, lsr = by_class[QoS.LSE], by_class[QoS.LSR]
        levels = by_level[Exclusive.PCPU_LEVEL], by_level[Exclusive.NUMA_NODE_LEVEL]
        available = self._bindable & ~(lse | lsr)
        return _View(
            pods=MappingProxyType(dict(pods)),
            held=held,
            lse=lse,
            lsr=lsr,
            levels=levels,
            requested=sum(pod.milli for pod in pods.values() if pod.qos in POOLED),
            available=available,
            shared=self._pooled & ~(lse | lsr),
            be=self._pooled & ~lse,
            pool=Pool.of_masks(self.topology, available, 0, levels),
        )
