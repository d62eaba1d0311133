"""What ``lscpu`` prints of a machine's CPUs: JSON (``-J -e``), a table (``-e``), the parsable form (``-p``).

Versions and languages differ (util-linux 2.27 to 2.41): numbers are text or bare, nothing is ``-``,
``"-"``, ``null`` or an empty cell, fractions may have a comma, and ``yes`` and ``no`` are translated. Only
the columns of CPU, core, socket, NUMA node and what encloses a socket count; the others may hold anything.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.cpuset.errors import TopologyError
from webhook.cpuset.siblings import socket_numbers
from webhook.cpuset.topology import Cpu

_REMEDY: Final = "give the output of lscpu -J -e, or of lscpu -e=CPU,NODE,SOCKET,CORE,ONLINE"
_NOTHING: Final = (None, "", "-")
_OFF: Final = (False, "0", "no", "n", "false")
_SOCKET: Final = ("drawer", "book", "socket")
"""What a socket is known by: mainframes number sockets within a book, which lies in a drawer."""

_BARE: Final = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*"\s*:\s*)(?P<value>[^\s"\[\]{}][^"\[\]{}\n]*?)(?=\s*(?:,\s*["\n}]|[\n}]))'
)

_Row = Mapping[str, object]


def read_lscpu(text: str) -> list[Cpu]:
    """Return the CPUs that are online, by what lscpu printed.

    A row without a core is offline, whatever its column ``online`` says. No NUMA node or no
    socket is number 0. Raises TopologyError with the row and the column.
    """
    rows = list(_json_rows(text) if text.lstrip().startswith(("{", "[")) else _table_rows(text))
    for column in ("cpu", "core"):
        if not any(column in row for _, row in rows):
            raise TopologyError("lscpu", text[:80], f"has no column {column.upper()}", _REMEDY)
    found = []
    for place, row in rows:
        online = row.get("online")
        if (online.lower() if isinstance(online, str) else online) in _OFF:
            continue
        core = _number(row, "core", place)
        if core is None:
            continue
        cpu = _number(row, "cpu", place)
        if cpu is None:
            raise TopologyError(f"{place}.cpu", row.get("cpu"), "is not a number", _REMEDY)
        socket = tuple(_number(row, column, place) or 0 for column in _SOCKET)
        found.append((cpu, core, _number(row, "node", place) or 0, socket))
    if not found:
        raise TopologyError("lscpu", text[:80], "lists no CPU that is online and has a core", _REMEDY)
    numbers = socket_numbers({socket: socket[-1] for socket in sorted({row[-1] for row in found})})
    return [Cpu(cpu, core, node, numbers[socket]) for cpu, core, node, socket in found]


def _json_rows(text: str) -> Iterator[tuple[str, _Row]]:
    document = _json(text)
    rows = document.get("cpus") if isinstance(document, Mapping) else None
    if not isinstance(rows, list):
        raise TopologyError("lscpu", text[:80], "lists no CPUs", _REMEDY)
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TopologyError(f"lscpu.cpus[{index}]", row, "is not an object", _REMEDY)
        yield f"lscpu.cpus[{index}]", {str(key).lower(): value for key, value in row.items()}


def _json(text: str) -> Any:
    """Read lscpu's JSON; before version 2.42 values such as ``-`` and ``3000,0000`` have no quotes."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(_BARE.sub(_quoted, text))
    except (ValueError, RecursionError) as error:
        raise TopologyError("lscpu", text[:80], f"is not JSON ({error})", _REMEDY) from None


def _quoted(match: re.Match[str]) -> str:
    value = match["value"]
    try:
        json.loads(value)
    except ValueError:
        value = json.dumps(value)
    return match["key"] + value


def _table_rows(text: str) -> Iterator[tuple[str, _Row]]:
    """Read a table, or the parsable form: its header is the last comment, and a comma ends a cell."""
    header: list[str] = []
    parsable = False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped:
            continue
        if stripped.startswith("#"):
            header, parsable = stripped.lstrip("# ").lower().split(","), True
            continue
        if not header:
            header = stripped.lower().split()
            if "cpu" not in header:
                raise TopologyError(f"lscpu line {number}", stripped, "names no column CPU", _REMEDY)
            continue
        cells = [cell.strip() for cell in stripped.split(",")] if parsable else stripped.split()
        if len(cells) != len(header):
            problem = f"has {len(cells)} cells under {len(header)} columns"
            raise TopologyError(f"lscpu line {number}", stripped, problem, _REMEDY)
        yield f"lscpu line {number}", dict(zip(header, cells, strict=True))


def _number(row: _Row, column: str, place: str) -> int | None:
    """Return a number of a row, None where there is nothing; raises TopologyError."""
    value = row.get(column)
    if value in _NOTHING:
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TopologyError(f"{place}.{column}", value, "is not a number", _REMEDY)
