"""Discovery of a topology: from the kernel's files, lscpu, Koordinator's annotation or plain data."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.errors import TopologyError
from webhook.cpuset.topology import Cpu, Topology


def topology_from_sysfs(root: Path | str = "/sys") -> Topology:
    """Read this machine's online CPUs from the kernel (``/sys/devices/system``).

    A machine without NUMA files is a single node 0, as the kernel counts it.
    TopologyError names the missing or malformed file.
    """
    system = Path(root) / "devices" / "system"
    nodes: dict[int, int] = {}
    for folder in sorted((system / "node").glob("node[0-9]*")):
        for cpu in _cpulist_file(folder / "cpulist"):
            nodes[cpu] = int(folder.name[len("node") :])
    entries = []
    for cpu in sorted(_cpulist_file(system / "cpu" / "online")):
        place = system / "cpu" / f"cpu{cpu}" / "topology"
        # The kernel writes -1 for an unknown socket; a single socket is assumed then.
        socket = max(0, _number_file(place / "physical_package_id"))
        core = _core_of(place, cpu)
        entries.append(Cpu(cpu, core, nodes.get(cpu, 0), socket))
    return Topology(entries)


def topology_from_lscpu(text: str) -> Topology:
    """Read the output of ``lscpu --json --extended`` (``lscpu -J -e``).

    It uses the columns CPU, CORE, NODE and SOCKET and skips offline CPUs. TopologyError
    names what is missing; the summary of plain ``lscpu -J`` has no CPUs.
    """
    document = _json(text, "lscpu")
    rows = document.get("cpus") if isinstance(document, Mapping) else None
    if not isinstance(rows, list):
        raise TopologyError("lscpu", text[:80], "lists no CPUs", "use the output of lscpu -J -e")
    entries = []
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TopologyError(f"lscpu.cpus[{index}]", row, "is not an object", "use lscpu -J -e")
        if row.get("online") in (False, "no", "0"):
            continue
        entries.append(Cpu(*(_column(row, name, index) for name in ("cpu", "core", "node", "socket"))))
    return Topology(entries)


def topology_from_annotation(text: str) -> Topology:
    """Read the value of Koordinator's ``node.koordinator.sh/cpu-topology`` annotation.

    It is ``{"detail": [{"id", "core", "socket", "node"}, …]}``. TopologyError names
    the malformed entry.
    """
    document = _json(text, "cpu-topology")
    rows = document.get("detail") if isinstance(document, Mapping) else None
    return _from_rows(rows, "cpu-topology.detail", "id")


def topology_from_data(value: object) -> Topology:
    """Read a topology from a parsed problem or file.

    It is either a list of ``{"cpu", "core", "node", "socket"}``, or the counts of a regular
    machine, ``{"sockets", "numaPerSocket", "coresPerNuma", "threadsPerCore", "numbering"}``;
    the numbering is optional (``adjacent``).
    """
    if isinstance(value, Mapping):
        fields = ("sockets", "numaPerSocket", "coresPerNuma", "threadsPerCore")
        for field in fields:
            if field not in value:
                raise TopologyError(f"topology.{field}", None, "is missing", f"give {', '.join(fields)}")
        sockets, nodes, cores, threads = (value[field] for field in fields)
        return Topology.regular(sockets, nodes, cores, threads, value.get("numbering", "adjacent"))
    return _from_rows(value, "topology", "cpu")


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


def _from_rows(rows: object, field: str, id_field: str) -> Topology:
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
    return Topology(entries)


def _json(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TopologyError(field, text[:80], f"is not JSON ({error})", "give the whole text") from None


def _column(row: Mapping[str, object], name: str, index: int) -> int:
    """Return one of lscpu's numbers; older versions print them as text."""
    value = row.get(name)
    if value is None and name == "node":
        return 0  # a kernel without NUMA has no such column
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TopologyError(f"lscpu.cpus[{index}].{name}", value, "is not a number", "use lscpu -J -e")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(
            str(path), None, f"cannot be read ({error})", "give a machine by --topology instead"
        ) from None


def _cpulist_file(path: Path) -> frozenset[int]:
    return parse_cpulist(_read(path), field=str(path))


def _number_file(path: Path) -> int:
    text = _read(path).strip()
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise TopologyError(str(path), text, "is not a number", "give a machine by --topology instead")
    return int(text)


def _core_of(place: Path, cpu: int) -> int:
    """Return a core number that is unique in the machine: the lowest CPU of the core.

    On some machines ``core_id`` repeats between the dies of a package.
    """
    for name in ("core_cpus_list", "thread_siblings_list"):
        if (place / name).exists():
            return min(_cpulist_file(place / name), default=cpu)
    return _number_file(place / "core_id")
