"""CPU maps for a terminal: a grid of sockets, NUMA nodes, cores and threads."""

from collections.abc import Callable, Collection, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Final

from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState
from webhook.cpuset.topology import Place, Topology

Paint = Callable[[str, str], str]
"""A function that colours: (text, mark) to the text that is printed."""

_LEGEND: Final = {
    "E": "LSE, alone on the CPU",
    "R": "LSR, shared with BE only",
    "L": "share pool of the LS pods",
    "S": "system",
    "K": "pinned by the kubelet",
    "X": "reserved",
}
_BE_MARK: Final = "+"
_BE_LEGEND: Final = "BE may run here now"


def _plain(text: str, _mark: str) -> str:
    return text


def draw_topology(
    topology: Topology,
    marks: Mapping[int, str] | None = None,
    best_effort: Collection[int] = (),
    *,
    width: int = 80,
    paint: Paint = _plain,
) -> str:
    """Return a grid of a machine's CPU ids, a column for each core and a row for each thread.

    ``marks`` maps CPU ids to letters of the legend; ``best_effort`` are CPU ids marked with a
    plus. No line is wider than ``width`` columns, unless a single core is wider.
    """
    marks = marks or {}
    cell = max(len(str(place.cpu)) for place in topology.places) + 3
    cell = max(cell, len(str(len(topology.core_masks) - 1)) + 3)
    per_line = max(1, (width - 13) // cell)
    lines: list[str] = []
    for socket, in_socket in groupby(topology.places, key=attrgetter("socket")):
        lines.append(f"socket {socket}")
        for node, in_node in groupby(in_socket, key=attrgetter("node")):
            lines.append(f"  NUMA node {node}")
            cores = [list(core) for _, core in groupby(in_node, key=attrgetter("core"))]
            for start in range(0, len(cores), per_line):
                lines.extend(_rows(cores[start : start + per_line], cell, marks, best_effort, paint))
    used = [mark for mark in _LEGEND if mark in marks.values()]
    if used or best_effort:
        lines.append("")
        lines.extend(f"  {paint(mark, mark)}  {_LEGEND[mark]}" for mark in used)
        if best_effort:
            lines.append(f"  {paint(_BE_MARK, _BE_MARK)}  {_BE_LEGEND}")
    return "\n".join(lines)


def _rows(
    cores: list[list[Place]], cell: int, marks: Mapping[int, str], best_effort: Collection[int], paint: Paint
) -> list[str]:
    head = "".join(f"{core[0].core:>{cell - 2}}  " for core in cores)
    lines = [f"    core     {head}".rstrip()]
    for thread in range(max(len(core) for core in cores)):
        row = f"    thread {thread:<2}"
        for core in cores:
            if thread >= len(core):
                row += " " * cell
                continue
            cpu = core[thread].cpu
            mark = marks.get(cpu, "")
            plus = _BE_MARK if cpu in best_effort else ""
            text = f"{cpu}{mark}{plus}"
            pad = cell - 2 - len(str(cpu))
            row += " " * pad + paint(text, mark or plus) + " " * (2 - len(mark) - len(plus))
        lines.append(row.rstrip())
    return lines


def draw_node(
    state: NodeState, best_effort: Collection[int] = (), *, width: int = 80, paint: Paint = _plain
) -> str:
    """Return the grid of a node's CPUs, each marked with its use (see `draw_topology`)."""
    reserved = state.reservations
    marks = dict.fromkeys(state.shared_pool(), "L")
    marks.update(dict.fromkeys(reserved.reserved, "X"))
    marks.update(dict.fromkeys(reserved.kubelet_pinned, "K"))
    marks.update(dict.fromkeys(reserved.system, "S"))
    for uid, pod in state.pods().items():
        if pod.qos in (QoS.LSE, QoS.LSR):
            marks.update(dict.fromkeys(state.cpus_of(uid), "E" if pod.qos is QoS.LSE else "R"))
    return draw_topology(state.topology, marks, best_effort, width=width, paint=paint)
