"""Discovery of a topology: from the kernel's files, lscpu, Koordinator's annotation or plain data."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.cpuset.errors import TopologyError
from webhook.cpuset.lscpu import read_lscpu
from webhook.cpuset.siblings import socket_numbers, topology_of_whole_cores
from webhook.cpuset.topology import Cpu, Topology

_SYS_REMEDY: Final = "give the /sys of a machine"

_READS: Final = 3
"""How often the kernel's files are read before CPUs that come and go are an error."""


def topology_from_sysfs(root: Path | str = "/sys") -> Topology:
    """Read this machine's online CPUs from the kernel (``/sys/devices/system``).

    Sockets and cores are known by the CPUs that the kernel lists as theirs. A machine
    without NUMA files is a single node 0, as the kernel counts it. TopologyError names the
    missing or malformed file.
    """
    system = Path(root) / "devices" / "system"
    changed = system / "cpu" / "online"
    for _ in range(_READS):
        online = _cpulist_file(changed)
        try:
            entries = _sysfs_cpus(system, online)
        except TopologyError:
            if _cpulist_file(changed) == online:
                raise
            continue
        if _cpulist_file(changed) == online:
            return topology_of_whole_cores(entries)
    problem = "changes while the CPUs are read"
    raise TopologyError(str(changed), format_cpulist(online), problem, "read it when no CPU comes or goes")


def topology_from_lscpu(text: str) -> Topology:
    """Read what ``lscpu`` prints of CPUs, in any of its forms (see webhook.cpuset.lscpu)."""
    return topology_of_whole_cores(read_lscpu(text))


def topology_from_annotation(text: str) -> Topology:
    """Read the value of Koordinator's ``node.koordinator.sh/cpu-topology`` annotation.

    It is ``{"detail": [{"id", "core", "socket", "node"}, …]}``, with core numbers that are
    unique within a socket. TopologyError names the malformed entry.
    """
    document = _json(text, "cpu-topology")
    rows = document.get("detail") if isinstance(document, Mapping) else None
    return topology_of_whole_cores(_cpus(rows, "cpu-topology.detail", "id"))


def topology_annotation(topology: Topology) -> str:
    """Return the value of that annotation for a topology; core numbers are unique in the whole machine."""
    places = sorted(topology.places)
    detail = [{"id": at.cpu, "core": at.core, "socket": at.socket, "node": at.node} for at in places]
    return json.dumps({"detail": detail}, separators=(",", ":"))


def topology_from_data(value: object) -> Topology:
    """Read a topology from a parsed problem or file.

    It is either a list of ``{"cpu", "core", "node", "socket"}``, with core numbers that are
    unique within a NUMA node, or the counts of a regular machine, ``{"sockets",
    "numaPerSocket", "coresPerNuma", "threadsPerCore", "numbering"}``; the numbering is
    optional (``adjacent``).
    """
    if isinstance(value, Mapping):
        fields = ("sockets", "numaPerSocket", "coresPerNuma", "threadsPerCore")
        for field in fields:
            if field not in value:
                raise TopologyError(f"topology.{field}", None, "is missing", f"give {', '.join(fields)}")
        sockets, nodes, cores, threads = (value[field] for field in fields)
        return Topology.regular(sockets, nodes, cores, threads, value.get("numbering", "adjacent"))
    return Topology(_cpus(value, "topology", "cpu"))


def parse_shape(text: str, numbering: str = "adjacent") -> Topology:
    """Return the machine ``SOCKETSxNUMAxCORESxTHREADS``, such as ``2x1x16x2``.

    NUMA nodes are per socket, cores per NUMA node, threads per core.
    """
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})x(\d{1,6})x(\d{1,6})", text, flags=re.ASCII)
    if not match:
        raise TopologyError(
            "topology",
            text,
            "is not sockets x NUMA nodes x cores x threads",
            "write four counts such as 2x1x16x2",
        )
    sockets, nodes, cores, threads = map(int, match.groups())
    return Topology.regular(sockets, nodes, cores, threads, numbering)


def _cpus(rows: object, field: str, id_field: str) -> list[Cpu]:
    if not isinstance(rows, list):
        raise TopologyError(
            field, rows, "is not a list of CPUs", f'give [{{"{id_field}", "core", "node", "socket"}}, …]'
        )
    names = (id_field, "core", "node", "socket")
    remedy = f"give {id_field}, core, node and socket"
    entries = []
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TopologyError(f"{field}[{index}]", row, "is not an object", remedy)
        for name in names:
            if name not in row:
                raise TopologyError(f"{field}[{index}].{name}", None, "is missing", remedy)
        entries.append(Cpu(*(row[name] for name in names)))
    return entries


def _json(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TopologyError(field, text[:80], f"is not JSON ({error})", "give the whole text") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise TopologyError("file", str(path), f"cannot be read ({error.strerror})", _SYS_REMEDY) from None
    except UnicodeDecodeError:
        raise TopologyError("file", str(path), "cannot be read (it is not ASCII)", _SYS_REMEDY) from None


def _cpulist_file(path: Path) -> frozenset[int]:
    return parse_cpulist(_read(path), field=str(path))


def _number_file(path: Path) -> int:
    text = _read(path).strip()
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise TopologyError(str(path), text, "is not a number", _SYS_REMEDY)
    return int(text)


def _sysfs_cpus(system: Path, online: frozenset[int]) -> list[Cpu]:
    nodes: dict[int, int] = {}
    for folder in sorted((system / "node").glob("node[0-9]*")):
        for cpu in _cpulist_file(folder / "cpulist"):
            nodes[cpu] = int(folder.name[len("node") :])
    packages: dict[frozenset[int] | int, int] = {}
    package_of, first_of, core_of = {}, {}, {}
    for cpu in sorted(online):
        place = system / "cpu" / f"cpu{cpu}" / "topology"
        number = _number_file(place / "physical_package_id")
        # Without a list of its CPUs a package is known by its number; -1 is an unknown one.
        package = _siblings(place, "package_cpus_list", "core_siblings_list") or number
        packages.setdefault(package, number)
        package_of[cpu] = package
        siblings = _siblings(place, "core_cpus_list", "thread_siblings_list")
        first_of[cpu] = min(siblings) if siblings else cpu
        core_of[cpu] = first_of[cpu] if siblings else _number_file(place / "core_id")
    sockets = socket_numbers(packages)
    # A core lies in the socket of its first CPU.
    return [
        Cpu(cpu, core, nodes.get(cpu, 0), sockets[package_of.get(first_of[cpu], package_of[cpu])])
        for cpu, core in core_of.items()
    ]


def _siblings(place: Path, *names: str) -> frozenset[int]:
    """Return the CPUs that the first of these files lists; none where there is no such file."""
    for name in names:
        if (place / name).exists():
            return _cpulist_file(place / name)
    return frozenset()
