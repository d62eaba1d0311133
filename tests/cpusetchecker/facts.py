"""What the checker of CPU sets reads out of nodes, pods and ledgers.

Written from the protocol's description alone; nothing of the webhook is imported, so that one misreading does
not hide another.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

Object = dict[str, Any]
Core = tuple[int, int, int]
"""Socket, NUMA node, core."""

STATUS = "scheduling.koordinator.sh/resource-status"
SPEC = "scheduling.koordinator.sh/resource-spec"
WHOLE, SPREAD = "FullPCPUs", "SpreadByPCPUs"
BINDING = (WHOLE, SPREAD)
_BANDS = {"koord-prod": range(9000, 10000), "koord-mid": range(7000, 8000)}
_BANDS |= {"koord-batch": range(5000, 6000), "koord-free": range(3000, 4000)}
_UNITS = {"m": Decimal("0.001"), "k": Decimal(1000), "": Decimal(1)}


class UnreadableError(ValueError):
    """Something of the protocol that cannot be read."""


class NodeTopology(NamedTuple):
    """A node's CPUs.

    Attributes:
        cores: where each lies.
        closed: those that no pod may be given.
        pooled: those of the closed that pods without a set run on nevertheless.
        policy: what every set there has to obey.
    """

    cores: Mapping[int, Core]
    closed: frozenset[int]
    pooled: frozenset[int]
    policy: str

    def free(self, held: Iterable[int]) -> frozenset[int]:
        """Return the CPUs that are neither closed nor held."""
        return frozenset(self.cores) - self.closed - frozenset(held)

    def obeys(self, cpus: frozenset[int], policy: str) -> bool:
        """Return whether known CPUs are whole cores, or one of each core."""
        taken = Counter(self.cores[cpu] for cpu in cpus)
        if policy == WHOLE:
            size = Counter(self.cores.values())
            return all(size[core] == count for core, count in taken.items())
        return policy != SPREAD or all(count == 1 for count in taken.values())

    def whole(self, free: frozenset[int]) -> list[int]:
        """Return the number of threads of each core that is free altogether."""
        size, left = Counter(self.cores.values()), Counter(self.cores[cpu] for cpu in free)
        return [count for core, count in size.items() if left[core] == count]

    def fits(self, free: frozenset[int], milli: int, policy: str) -> bool:
        """Return whether a request can be had of free CPUs under a required policy ("": none).

        One CPU has to stay for the pods without a set.
        """
        wanted, rest = divmod(milli, 1000)
        if rest or wanted >= len(free | self.pooled):
            return False
        if policy == WHOLE:
            sums = 1  # bit n: some whole cores have n threads together
            for threads in self.whole(free):
                sums |= sums << threads
            return bool(sums >> wanted & 1)
        if policy == SPREAD:
            return wanted <= len({self.cores[cpu] for cpu in free})
        return wanted <= len(free)


class CPUSetRequest(NamedTuple):
    """What a pod asks of its CPUs: amount, and the policies that it requires or prefers."""

    qos: str
    milli: int
    prod: bool
    required: str
    preferred: str

    @property
    def wants_set(self) -> bool:
        """Whether it is to have CPUs of its own."""
        bound = self.qos in {"LSE", "LSR"} and self.prod and (self.required or self.preferred) in BINDING
        return bound and self.milli > 0

    def must_obey(self, topology: NodeTopology) -> tuple[str, ...]:
        """Return the policies that its set has to obey there: the node's, and its own; two may conflict."""
        return tuple(policy for policy in (topology.policy, self.required) if policy in BINDING)


def cpulist(text: str) -> frozenset[int]:
    """Read ``0-3,8``; UnreadableError for anything that is not in that form, in order and without overlap."""
    cpus: list[int] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise UnreadableError(f"{text!r} is no list of CPUs")
        span = range(int(first), int(last or first) + 1)
        if not span or (cpus and span[0] <= cpus[-1]):
            raise UnreadableError(f"{text!r} is out of order")
        cpus += span
    return frozenset(cpus)


def entries(ledger: Object) -> list[Object]:
    """Read the lines of a ledger, as far as rules speak of them; UnreadableError for what is none."""
    found = []
    for line in ledger.get("spec", {}).get("allocations", ()):
        try:
            pod, qos, cpuset, policy, _, uid = line.split(" ")
            namespace, name = pod.split("/")
        except ValueError:
            raise UnreadableError(f"{line!r} is no line of a ledger") from None
        policy, *more = policy.split(",")
        found.append(
            {"podUID": uid, "namespace": namespace, "name": name, "qosClass": qos.strip("-")}
            | {"cpuset": cpuset, "bindPolicy": policy, "required": more[:1] == ["required"]}
        )
    return found


def read_topology(node: Object, topology: Object) -> NodeTopology:
    """Read a Node and its NodeResourceTopology."""
    said = topology["metadata"].get("annotations", {})
    own = node["metadata"].get("annotations", {})
    labels = node["metadata"].get("labels", {})
    rows = json.loads(said["node.koordinator.sh/cpu-topology"])["detail"]
    cores = {row["id"]: (row["socket"], row["node"], row["core"]) for row in rows}
    kubelet = json.loads(said.get("kubelet.koordinator.sh/cpu-manager-policy", "{}"))
    kept = cpulist(kubelet.get("reservedCPUs", ""))
    closed: set[int] = set()
    for source in (own, said):
        reservation = json.loads(source.get("node.koordinator.sh/reservation", "{}"))
        closed |= cpulist(reservation.get("reservedCPUs", ""))
        system = json.loads(source.get("node.koordinator.sh/system-qos-resource", "{}"))
        if system.get("cpusetExclusive", True):
            closed |= cpulist(system.get("cpuset", ""))
    for pinned in json.loads(said.get("node.koordinator.sh/pod-cpu-allocs", "null")) or ():
        if pinned.get("managedByKubelet"):
            closed |= cpulist(pinned["cpuset"])
    label = labels.get("node.koordinator.sh/cpu-bind-policy", "None")
    static = kubelet.get("policy") == "static" and kubelet.get("options", {}).get("full-pcpus-only") == "true"
    policy = WHOLE if label == "FullPCPUsOnly" or static else SPREAD if label == SPREAD else ""
    return NodeTopology(cores, kept | closed, kept - closed, policy)


def read_request(pod: Object) -> CPUSetRequest:
    """Read what a stored pod asks for."""
    metadata = pod["metadata"]
    labels = metadata.get("labels", {})
    qos = labels.get("koordinator.sh/qosClass", "")
    spec = json.loads(metadata.get("annotations", {}).get(SPEC, "{}"))
    required, preferred = (spec.get(f"{kind}CPUBindPolicy", "") for kind in ("required", "preferred"))
    return CPUSetRequest(
        qos,
        _milli(pod["spec"]),
        _prod(labels, pod["spec"], qos),
        WHOLE if required == "Default" else required,
        WHOLE if preferred in {"", "Default"} else preferred,
    )


def _prod(labels: Mapping[str, str], spec: Object, qos: str) -> bool:
    label = labels.get("koordinator.sh/priority-class")
    if label is None:
        priority = spec.get("priority", 0)
        label = next((name for name, band in _BANDS.items() if priority in band), "")
    if label in _BANDS:
        return label == "koord-prod"
    return qos in {"SYSTEM", "LSE", "LSR", "LS"}


def _milli(spec: Object) -> int:
    """Thousandths of a CPU that a pod requests, by the scheduler's rule."""
    running = sum(_cpu(container) for container in spec["containers"])
    most = Decimal(0)
    sidecars = Decimal(0)
    for container in spec.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            sidecars += _cpu(container)
            most = max(most, sidecars)
        else:
            most = max(most, sidecars + _cpu(container))
    total = max(running + sidecars, most)
    if "cpu" in spec.get("resources", {}).get("requests", {}):
        total = _cpu(spec)
    total += _quantity(spec.get("overhead", {}).get("cpu", "0"))
    return int(total * 1000)


def _cpu(holder: Object) -> Decimal:
    return _quantity(holder.get("resources", {}).get("requests", {}).get("cpu", "0"))


def _quantity(text: str) -> Decimal:
    digits = text.rstrip("mk")
    return Decimal(digits) * _UNITS[text[len(digits) :]]
