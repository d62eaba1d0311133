"""A node's CPU topology, reservations and policies, read from its Node and NodeResourceTopology.

The names are those of Koordinator's protocol. Koordlet and the administrator write these objects:
what cannot be read is left out and named in ``problems``, but for the topology itself, without
which nothing can be bound.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeVar

from webhook.cpuset.allocation import BindPolicy, Pool, Request, Strategy
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import topology_from_annotation
from webhook.cpuset.errors import CpuSetError
from webhook.cpuset.hints import NumaPolicy
from webhook.cpuset.sharing import PoolLimit, Reservations
from webhook.cpuset.topology import Topology
from webhook.pods.pod import annotations, labels
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_AMPLIFICATION,
    ANNOTATION_CPU_MANAGER_POLICY,
    ANNOTATION_CPU_TOPOLOGY,
    ANNOTATION_NODE_RESERVATION,
    ANNOTATION_POD_CPU_ALLOCS,
    ANNOTATION_RAW_ALLOCATABLE,
    ANNOTATION_SYSTEM_QOS,
    CPU,
    DISTRIBUTE_EVENLY,
    FULL_PCPUS_ONLY,
    LABEL_NODE_BIND_POLICY,
    LABEL_NUMA_POLICY,
    LABEL_NUMA_STRATEGY,
    POLICY_NONE,
    SPREAD_BY_PCPUS,
)

_Kind = TypeVar("_Kind", dict[str, Any], list[Any])

NODE_ANNOTATIONS: Final = (
    ANNOTATION_CPU_TOPOLOGY,
    ANNOTATION_POD_CPU_ALLOCS,
    ANNOTATION_CPU_MANAGER_POLICY,
    ANNOTATION_NODE_RESERVATION,
    ANNOTATION_SYSTEM_QOS,
    ANNOTATION_AMPLIFICATION,
    ANNOTATION_RAW_ALLOCATABLE,
)
"""What is read of a Node and of its NodeResourceTopology: caches keep no other annotation."""

_NODE_POLICIES: Final = {
    "": BindPolicy.NONE,
    POLICY_NONE: BindPolicy.NONE,
    FULL_PCPUS_ONLY: BindPolicy.FULL_PCPUS,
    SPREAD_BY_PCPUS: BindPolicy.SPREAD_BY_PCPUS,
}


_FULL_PCPUS_ONLY_OPTION: Final = "full-pcpus-only"
_STRICT_CPU_RESERVATION_OPTION: Final = "strict-cpu-reservation"
_ONE_CPU: Final = PoolLimit()


class NodeTopologyError(ValueError):
    """A node to which nothing can be bound; the message says why."""


@dataclass(frozen=True, slots=True)
class NodeTopology:
    """What binding needs to know of one node.

    Attributes:
        name: of the node.
        uid: of the Node object: another one of that name is another machine.
        cpu_topology: its CPUs.
        reservations: CPUs that no pod may get.
        bind_policy: what the node demands of every CPU set; NONE leaves it to the pod.
        strategy: which NUMA nodes are filled first.
        numa_policy: on how many NUMA nodes a CPU set may lie.
        pool_limit: how many CPUs stay in the share pool.
        max_bindable: CPUs that may be bound at all, where CPU is amplified: the node advertises more
            than it has, and bound CPUs are real. None: all.
        problems: what was left out because it could not be read.
    """

    name: str
    uid: str
    cpu_topology: Topology
    reservations: Reservations = field(default_factory=Reservations)
    bind_policy: BindPolicy = BindPolicy.NONE
    strategy: Strategy = Strategy.MOST_ALLOCATED
    numa_policy: NumaPolicy = NumaPolicy.NONE
    pool_limit: PoolLimit = _ONE_CPU
    max_bindable: int | None = None
    problems: tuple[str, ...] = ()


def read_node_topology(
    node: Mapping[str, Any],
    nrt: Mapping[str, Any] | None,
    *,
    strategy: Strategy = Strategy.MOST_ALLOCATED,
    pool_limit: PoolLimit = _ONE_CPU,
) -> NodeTopology:
    """Read a Node and the NodeResourceTopology of its name.

    Args:
        node: a v1 Node; its metadata is enough.
        nrt: None where there is none.
        strategy: where the node states none.
        pool_limit: of the share pool.

    Raises:
        NodeTopologyError: there is no topology, or none that can be read; the text begins as Koordinator's.
    """
    metadata = node.get("metadata") or {}
    name = metadata.get("name", "")
    text = annotations(nrt or {}).get(ANNOTATION_CPU_TOPOLOGY)
    if not text:
        missing = (
            "it has no NodeResourceTopology"
            if nrt is None
            else f"its NodeResourceTopology has no annotation {ANNOTATION_CPU_TOPOLOGY}"
        )
        raise NodeTopologyError(
            f"node(s) invalid CPU Topology: {name}: {missing}; koordlet or an agent writes it"
        )
    try:
        topology = _cpu_topology(text)
    except CpuSetError as error:
        raise NodeTopologyError(f"node(s) invalid CPU Topology: {name}: {error}") from None
    reader = _Reader(node, nrt or {}, topology)
    kubelet = reader.value(ANNOTATION_CPU_MANAGER_POLICY, dict)
    return NodeTopology(
        name=name,
        uid=metadata.get("uid", ""),
        cpu_topology=topology,
        reservations=reader.reservations(kubelet),
        bind_policy=reader.bind_policy(kubelet),
        strategy=reader.strategy(strategy),
        numa_policy=reader.numa_policy(nrt or {}),
        pool_limit=pool_limit,
        max_bindable=reader.max_bindable(),
        problems=tuple(reader.problems),
    )


@lru_cache(maxsize=256)
def _cpu_topology(text: str) -> Topology:
    """Nodes of one model are described by one text, and share what is made of it."""
    return topology_from_annotation(text)


def _has_option(kubelet: Mapping[str, Any], option: str) -> bool:
    """Whether the kubelet's static CPU manager policy has an option switched on."""
    options = kubelet.get("options")
    return (
        kubelet.get("policy") == "static"
        and isinstance(options, dict)
        and options.get(option) in ("true", True)
    )


class _Reader:
    """Reads annotations of the Node, or of its topology where the Node has none of that key."""

    def __init__(self, node: Mapping[str, Any], nrt: Mapping[str, Any], topology: Topology) -> None:
        self.problems = [f"annotation {ANNOTATION_CPU_TOPOLOGY}: {note}" for note in topology.notes]
        self._labels = labels(node)
        self._sources = (annotations(nrt), annotations(node))
        self._annotations = {**annotations(nrt), **annotations(node)}
        self._topology = topology

    def reservations(self, kubelet: Mapping[str, Any]) -> Reservations:
        system = self.value(ANNOTATION_SYSTEM_QOS, dict)
        of_kubelet = self._cpus(kubelet.get("reservedCPUs"), ANNOTATION_CPU_MANAGER_POLICY)
        # With this option no pod at all runs on the kubelet's reserved CPUs.
        strict = _has_option(kubelet, _STRICT_CPU_RESERVATION_OPTION)
        return Reservations(
            reserved=self._reserved() | (of_kubelet if strict else frozenset()),
            kubelet_reserved=of_kubelet,
            system=self._cpus(system.get("cpuset"), ANNOTATION_SYSTEM_QOS),
            system_exclusive=system.get("cpusetExclusive") is not False,
            kubelet_pinned=self._pinned(),
        )

    def bind_policy(self, kubelet: Mapping[str, Any]) -> BindPolicy:
        label = self._labels.get(LABEL_NODE_BIND_POLICY, "")
        if label not in _NODE_POLICIES:
            self.problems.append(f"label {LABEL_NODE_BIND_POLICY}: {shown(label)} is unknown")
        elif _NODE_POLICIES[label] is not BindPolicy.NONE:
            return _NODE_POLICIES[label]
        return BindPolicy.FULL_PCPUS if _has_option(kubelet, _FULL_PCPUS_ONLY_OPTION) else BindPolicy.NONE

    def strategy(self, default: Strategy) -> Strategy:
        label = self._labels.get(LABEL_NUMA_STRATEGY, "")
        if label in list(Strategy):
            return Strategy(label)
        if label == DISTRIBUTE_EVENLY:
            self.problems.append(
                f"label {LABEL_NUMA_STRATEGY}: {label} is not supported: sets are chosen by {default}; "
                f"use {' or '.join(Strategy)}, or remove the label"
            )
        elif label:
            self.problems.append(f"label {LABEL_NUMA_STRATEGY}: {shown(label)} is unknown")
        return default

    def numa_policy(self, nrt: Mapping[str, Any]) -> NumaPolicy:
        stated = nrt.get("topologyPolicies")
        names = [self._labels.get(LABEL_NUMA_POLICY, ""), *(stated if isinstance(stated, list) else ())]
        for name in names:
            try:
                policy = NumaPolicy.parse(str(name))
            except CpuSetError as error:
                self.problems.append(str(error))
            else:
                if policy is not NumaPolicy.NONE:
                    return policy
        return NumaPolicy.NONE

    def max_bindable(self) -> int | None:
        """What is left of the real CPUs after reservations, where more are advertised than there are."""
        if ANNOTATION_AMPLIFICATION not in self._annotations:
            return None
        ratio = self.value(ANNOTATION_AMPLIFICATION, dict).get(CPU, 1)
        if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not ratio >= 1:
            self.problems.append(
                f"annotation {ANNOTATION_AMPLIFICATION}: {shown(ratio)} is no ratio from 1 on"
            )
            return None
        raw = self.value(ANNOTATION_RAW_ALLOCATABLE, dict).get(CPU)
        if ratio == 1 or raw is None:
            return None
        try:
            return milli(text_of(raw)) // 1000
        except QuantityError as error:
            self.problems.append(f"annotation {ANNOTATION_RAW_ALLOCATABLE}: {error}")
            return None

    def _reserved(self) -> frozenset[int]:
        """CPUs of the node's reservation, of which koordlet writes a copy with a bare amount made concrete.

        Where there is no koordlet, a bare amount takes the CPUs that a pod of that size would get first.
        """
        cpus: frozenset[int] = frozenset()
        amount: object = 0
        for annotations_of in self._sources:
            reservation = self.value(ANNOTATION_NODE_RESERVATION, dict, annotations_of)
            cpus |= self._cpus(reservation.get("reservedCPUs"), ANNOTATION_NODE_RESERVATION)
            resources = reservation.get("resources")
            amount = (resources.get(CPU) if isinstance(resources, dict) else 0) or amount
        if cpus or not amount:
            return cpus
        try:
            count = -(-milli(text_of(amount)) // 1000)
            everything = [place.cpu for place in self._topology.places]
            return Pool(self._topology, everything).allocate(Request(min(count, len(everything)))).cpus
        except (QuantityError, CpuSetError) as error:
            self.problems.append(f"annotation {ANNOTATION_NODE_RESERVATION}: {error}")
            return frozenset()

    def _pinned(self) -> frozenset[int]:
        """CPUs that the kubelet has given to pods it manages."""
        pinned: frozenset[int] = frozenset()
        for entry in self.value(ANNOTATION_POD_CPU_ALLOCS, list):
            if isinstance(entry, dict) and entry.get("managedByKubelet") and entry.get("uid"):
                pinned |= self._cpus(entry.get("cpuset"), ANNOTATION_POD_CPU_ALLOCS)
        return pinned

    def value(self, key: str, kind: type[_Kind], source: Mapping[str, str] | None = None) -> _Kind:
        """The value of an annotation; an empty one where there is none, or none of that kind."""
        text = (self._annotations if source is None else source).get(key)
        if not text or text == "null":
            return kind()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, kind):
            self.problems.append(f"annotation {key}: {shown(text)} cannot be read")
            return kind()
        return value

    def _cpus(self, text: object, key: str) -> frozenset[int]:
        """The CPUs of a cpulist that the node has."""
        if not text:
            return frozenset()
        try:
            cpus = parse_cpulist(str(text), field=key)
        except CpuSetError as error:
            self.problems.append(str(error))
            return frozenset()
        return frozenset(cpu for cpu in cpus if cpu in self._topology.position)
