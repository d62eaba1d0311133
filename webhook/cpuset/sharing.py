"""The CPUs of one node, the pods on them, and the enforcement of the sharing rules.

The rules are Koordinator's CPU orchestration: an LSE pod is alone on its CPUs; an LSR
pod shares its CPUs with BE pods only; LS pods run on the share pool, which is all CPUs
that no LSE or LSR pod holds; BE pods run on all CPUs that no LSE pod holds. Reserved CPUs,
exclusive system CPUs and CPUs that the kubelet has pinned are in no pool; the kubelet's
own reserved CPUs stay in the pools but are never bound.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from types import MappingProxyType
from typing import Final, NamedTuple, final

from webhook.cpuset.allocation import Allocation, Exclusive, Pool, Request
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.errors import RequestError, SharingError, check_integer
from webhook.cpuset.qos import BOUND, POOLED, QoS
from webhook.cpuset.suppression import select_be
from webhook.cpuset.topology import MAX_CPUS, Topology

_NO_REQUEST: Final = Request(0)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod's CPU request.

    ``milli`` is the amount in thousandths of a CPU; for LSE and LSR pods it must be a
    positive multiple of 1000. ``request`` says how their CPUs are bound; its count is
    replaced by that of ``milli``. ``preferred`` are CPU ids to use first.
    """

    uid: str
    qos: QoS
    milli: int
    request: Request = _NO_REQUEST
    preferred: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Check the amount against the class."""
        check_integer("cpu", self.milli, "an amount in thousandths of a CPU")
        if self.qos in BOUND and (self.milli == 0 or self.milli % 1000):
            raise RequestError(
                "cpu",
                f"{self.milli}m",
                f"is not a whole number of CPUs for {self.qos}",
                "request a positive multiple of 1000m",
            )
        if self.request.count != self.milli // 1000:
            object.__setattr__(self, "request", replace(self.request, count=self.milli // 1000))


@dataclass(frozen=True, slots=True)
class Reservations:
    """CPU ids that are reserved independently of pods.

    ``reserved``: the node's reservation, in no pool. ``kubelet_reserved``: the kubelet's
    reservation, never bound but in both pools. ``system``: for SYSTEM pods, in no pool
    if ``system_exclusive``. ``kubelet_pinned``: exclusive CPUs of pods that the kubelet's
    static policy manages.
    """

    reserved: frozenset[int] = frozenset()
    kubelet_reserved: frozenset[int] = frozenset()
    system: frozenset[int] = frozenset()
    system_exclusive: bool = True
    kubelet_pinned: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class PoolLimit:
    """The minimum size of the LS share pool.

    It is the greatest of ``minimum_cpus``, ``machine_percent`` percent of the machine's CPUs,
    and ``request_percent`` percent of the sum that the LS pods on it request.
    """

    minimum_cpus: int = 1
    machine_percent: int = 0
    request_percent: int = 100

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_integer("minimum_cpus", self.minimum_cpus, "a valid limit")
        check_integer("machine_percent", self.machine_percent, "a valid limit", most=100)
        check_integer("request_percent", self.request_percent, "a valid limit")

    @classmethod
    def parse(cls, text: str, *, field: str = "share pool") -> "PoolLimit":
        """Return a minimum of one CPU at least, from a number of CPUs or a percentage: ``2``, ``10%``.

        RequestError for any other text.
        """
        match = re.fullmatch(r"0*([1-9][0-9]{0,3})(%?)", text, flags=re.ASCII)
        number, percent = (int(match[1]), bool(match[2])) if match else (0, False)
        if not 1 <= number <= (100 if percent else MAX_CPUS):
            raise RequestError(
                field, text, "is no number of CPUs", f"give 1 to {MAX_CPUS}, or 1% to 100% of a node's CPUs"
            )
        return cls(machine_percent=number) if percent else cls(minimum_cpus=number)

    def cpus(self, machine: int) -> int:
        """Return how many CPUs of a machine with so many stay in the pool, whatever its pods request."""
        return max(self.minimum_cpus, -(-machine * self.machine_percent // 100))


class _Held(NamedTuple):
    pod: Pod
    mask: int
    cpus: frozenset[int]
    unchecked: bool = False


class _Snapshot(NamedTuple):
    """An immutable state of a node; all sets are sets of positions.

    ``disjoint``: no CPU has two holders, for none was entered without checking the rules.
    """

    pods: Mapping[str, Pod]
    held: Mapping[str, _Held]
    lse: int
    lsr: int
    levels: tuple[int, int]
    disjoint: bool
    requested: int
    available: int
    shared: int
    be: int
    pool: Pool


@final
class NodeState:
    """The CPUs of one node and the pods on it; safe to use from many threads.

    Reading takes no lock: every change makes a new snapshot and swaps one reference.
    A change that would break a rule raises and changes nothing.
    """

    def __init__(
        self, topology: Topology, reservations: Reservations | None = None, limit: PoolLimit | None = None
    ) -> None:
        """Start without pods; RequestError names a CPU that the machine does not have."""
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
        self._snapshot = self._derive({}, {}, 0)

    def assign(self, pod: Pod) -> frozenset[int]:
        """Add a pod and return the CPU ids that it runs on.

        An LSE or LSR pod gets its own CPUs, another pod its pool. Raises
        NotEnoughCpusError, and SharingError for a pod that is on the node already or
        one that would leave the share pool too small.
        """
        with self._lock:
            now = self._snapshot
            self._check_new(now, pod)
            cpus = self._pool_for(now, pod).allocate(pod.request).cpus if pod.qos in BOUND else None
            self._snapshot = self._with(now, pod, cpus)
            return self._cpus_of(self._snapshot, pod)

    def adopt(self, pod: Pod, cpus: Iterable[int]) -> None:
        """Add an LSE or LSR pod that holds CPUs already, as after a restart.

        SharingError if their number differs from its request or they are not available.
        """
        with self._lock:
            now = self._snapshot
            self._check_new(now, pod)
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
            if mask & ~now.available:
                taken = self.topology.ids(mask & ~now.available)
                raise SharingError(
                    "cpuset",
                    format_cpulist(held),
                    f"CPUs {format_cpulist(taken)} are reserved or held by another pod",
                    "release their holder first",
                )
            self._snapshot = self._with(now, pod, held)

    def hold(self, holders: Iterable[tuple[Pod, Iterable[int]]]) -> None:
        """Add LSE and LSR pods that run on CPUs already, all at once and without checking the rules.

        Decisions need the real state: a set may differ in size from its pod's request,
        overlap another pod's set, or contain CPUs that were reserved later. In each case no
        other pod may get its CPUs. CPUs that the machine does not have are left out; a pod
        that is on the node already gets the given CPUs instead.
        """
        with self._lock:
            now = self._snapshot
            pods, held = dict(now.pods), dict(now.held)
            position = self.topology.position
            for pod, cpus in holders:
                here = frozenset([cpu for cpu in cpus if cpu in position])
                pods[pod.uid] = pod
                held[pod.uid] = _Held(pod, self.topology.mask(here), here, unchecked=True)
            requested = sum(pod.milli for pod in pods.values() if pod.qos in POOLED)
            self._snapshot = self._derive(pods, held, requested)

    def release(self, uid: str) -> frozenset[int]:
        """Remove a pod and return the CPU ids that it held alone; SharingError if it is unknown."""
        with self._lock:
            now = self._snapshot
            if uid not in now.pods:
                raise SharingError("uid", uid, "is not on this node", "release a pod that is")
            pods, held = {**now.pods}, {**now.held}
            pod, item = pods.pop(uid), held.pop(uid, None)
            if item is None:
                requested = now.requested - (pod.milli if pod.qos in POOLED else 0)
                self._snapshot = now._replace(pods=MappingProxyType(pods), requested=requested)
                return frozenset()
            self._snapshot = self._changed(now, item, pods, held)
            return item.cpus

    def allocate(self, request: Request) -> Allocation:
        """Return what a request would get now, without assigning it."""
        return self._snapshot.pool.allocate(request)

    def cpus_of(self, uid: str) -> frozenset[int]:
        """Return the CPU ids that a pod may run on now; SharingError if it is unknown."""
        now = self._snapshot
        try:
            pod = now.pods[uid]
        except KeyError:
            raise SharingError("uid", uid, "is not on this node", "name a pod that is") from None
        return self._cpus_of(now, pod)

    def shared_pool(self) -> frozenset[int]:
        """Return the CPU ids of the LS share pool."""
        return self.topology.ids(self._snapshot.shared)

    def be_pool(self) -> frozenset[int]:
        """Return the CPU ids that BE pods may run on without suppression."""
        return self.topology.ids(self._snapshot.be)

    def be_cpus(self, count: int, old: Iterable[int] = ()) -> frozenset[int]:
        """Return the best ``count`` CPUs of the BE pool for suppressed BE work.

        ``old`` are the CPU ids in use; as many of them as possible are kept.
        """
        now = self._snapshot
        known = [cpu for cpu in old if cpu in self.topology.position]
        return select_be(self.topology, count, candidates=now.be, lsr=now.lsr, old=self.topology.mask(known))

    def available(self) -> frozenset[int]:
        """Return the CPU ids that an LSE or LSR pod could get."""
        return self.topology.ids(self._snapshot.available)

    def available_mask(self) -> int:
        """Return the same as a set of positions."""
        return self._snapshot.available

    def pods(self) -> Mapping[str, Pod]:
        """Return the pods by uid, all from one moment."""
        return self._snapshot.pods

    def _check_new(self, now: _Snapshot, pod: Pod) -> None:
        if pod.uid in now.pods:
            raise SharingError("uid", pod.uid, "is on this node already", "release it first")

    def _pool_for(self, now: _Snapshot, pod: Pod) -> Pool:
        if not pod.preferred:
            return now.pool
        preferred = self.topology.mask(pod.preferred, field="preferred")
        return Pool.of_masks(self.topology, now.available, preferred, now.levels)

    def _cpus_of(self, now: _Snapshot, pod: Pod) -> frozenset[int]:
        if pod.qos in BOUND:
            return now.held[pod.uid].cpus
        if pod.qos is QoS.BE:
            return self.topology.ids(now.be)
        if pod.qos is QoS.SYSTEM and self._system:
            return self.topology.ids(self._system)
        return self.topology.ids(now.shared)

    def _with(self, now: _Snapshot, pod: Pod, cpus: frozenset[int] | None) -> _Snapshot:
        pods = {**now.pods, pod.uid: pod}
        if cpus is None:
            requested = now.requested + (pod.milli if pod.qos in POOLED else 0)
            after = now._replace(pods=MappingProxyType(pods), requested=requested)
        else:
            item = _Held(pod, self.topology.mask(cpus), cpus)
            after = self._changed(now, item, pods, {**now.held, pod.uid: item})
        # An unchanged pool with no higher demand was checked before.
        if after.shared != now.shared or after.requested > now.requested:
            self._check_shared(after, pod)
        return after

    def _check_shared(self, after: _Snapshot, pod: Pod) -> None:
        cpus = after.shared.bit_count()
        least = self.limit.cpus(self.topology.size) * 1000
        remedy = "place it on another node or lower the minimum of the share pool"
        needed = max(least, -(-after.requested * self.limit.request_percent // 100))
        if cpus * 1000 >= needed:
            return
        if cpus == 0 and needed == least:
            problem, remedy = "would leave the LS share pool empty", "place it on a node with more CPUs free"
        elif needed == least:
            problem = f"would leave {cpus} CPUs in the LS share pool, which keeps {least // 1000} at least"
        else:
            problem = (
                f"would leave {cpus} CPUs in the LS share pool, which needs "
                f"{needed}m for {after.requested}m requested"
            )
        raise SharingError("pod", pod.uid, problem, remedy)

    def _changed(
        self, now: _Snapshot, item: _Held, pods: Mapping[str, Pod], held: Mapping[str, _Held]
    ) -> _Snapshot:
        """Return the snapshot with a holder more, or one less."""
        if not now.disjoint:
            return self._derive(pods, held, now.requested)
        # Nobody else has its CPUs, so that they only change sides.
        mask, exclusive = item.mask, item.pod.request.exclusive
        lse, lsr = now.lse, now.lsr
        classes = (lse ^ mask, lsr) if item.pod.qos is QoS.LSE else (lse, lsr ^ mask)
        levels = now.levels
        if exclusive is Exclusive.PCPU_LEVEL:
            levels = levels[0] ^ mask, levels[1]
        elif exclusive is Exclusive.NUMA_NODE_LEVEL:
            levels = levels[0], levels[1] ^ mask
        return self._make(pods, held, classes, levels, now.requested)

    def _derive(self, pods: Mapping[str, Pod], held: Mapping[str, _Held], requested: int) -> _Snapshot:
        """Derive a snapshot from the pods; refuse a CPU with two holders unless one is unchecked."""
        by_class = {QoS.LSE: 0, QoS.LSR: 0}
        by_level = {Exclusive.NONE: 0, Exclusive.PCPU_LEVEL: 0, Exclusive.NUMA_NODE_LEVEL: 0}
        disjoint = True
        for item in held.values():
            disjoint = disjoint and not item.unchecked
            if not item.unchecked and item.mask & (by_class[QoS.LSE] | by_class[QoS.LSR] | ~self._bindable):
                raise SharingError(
                    "cpuset",
                    format_cpulist(item.cpus),
                    "has CPUs of another pod or reserved ones",
                    "release the pod that holds it first",
                )
            by_class[item.pod.qos] |= item.mask
            by_level[item.pod.request.exclusive] |= item.mask
        levels = by_level[Exclusive.PCPU_LEVEL], by_level[Exclusive.NUMA_NODE_LEVEL]
        classes = by_class[QoS.LSE], by_class[QoS.LSR]
        return self._make(pods, held, classes, levels, requested, disjoint=disjoint)

    def _make(
        self,
        pods: Mapping[str, Pod],
        held: Mapping[str, _Held],
        classes: tuple[int, int],
        levels: tuple[int, int],
        requested: int,
        *,
        disjoint: bool = True,
    ) -> _Snapshot:
        """Return the snapshot in which LSE and LSR pods hold these CPUs."""
        lse, lsr = classes
        available = self._bindable & ~(lse | lsr)
        # By position: with keywords it takes twice as long, and it is made at each change.
        return _Snapshot(
            MappingProxyType(pods),
            held,
            lse,
            lsr,
            levels,
            disjoint,
            requested,
            available,
            self._pooled & ~(lse | lsr),
            self._pooled & ~lse,
            Pool.of_masks(self.topology, available, 0, levels),
        )
