"""Draws a node's CPU map and the pods that hold its CPUs, from the ledger, for a terminal."""

from webhook.binding.grant import counts_of, state_of
from webhook.binding.ledger import READY, Entry, Ledger
from webhook.binding.reconciling.audit import overlaps
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.rendering import Paint, draw_node
from webhook.pods.nodes.nodetopology import NodeTopology

_WIDEST_NAME = 30
_WIDEST_SET = 20


def draw_ledger(node: NodeTopology, ledger: Ledger, *, width: int = 80, paint: Paint | None = None) -> str:
    """Return the summary, a line for each pod, and the grid of CPUs, none wider than ``width``."""
    counts = counts_of(node, ledger)
    held = f"{counts.allocated} held by {counts.pods} pod{'s' if counts.pods != 1 else ''}"
    free = f"{counts.free} free ({counts.whole_cores_free} whole cores)"
    lines = [f"{node.name}: {counts.cpus} CPUs, {held}, {free}", ""]
    if ledger.node_uid != node.uid:
        lines += ["! the ledger is of an earlier node of this name: it will be rebuilt", ""]
    for problem in (*node.problems, *ledger.problems):
        lines += [f"! {problem}"[:width], ""]
    for condition in ledger.conditions:
        if condition.get("type") == READY and condition.get("status") != "True":
            lines += [f"! {condition.get('reason')}: {condition.get('message')}"[:width], ""]
    for entry in sorted(ledger.entries.values(), key=lambda each: min(each.cpus, default=0)):
        lines.append(_line(entry, width))
    if ledger.entries:
        lines.append("")
    state = state_of(node, ledger.entries.values())
    grid = draw_node(state, width=width) if paint is None else draw_node(state, width=width, paint=paint)
    twice = [f"! {one.pod} and {other.pod} both hold {format_cpulist(cpus)}"[:width]
             for one, other, cpus in overlaps(ledger.entries.values())]  # fmt: skip
    return "\n".join([*lines, grid, *twice])


def _line(entry: Entry, width: int) -> str:
    policy = f"{entry.policy}{' required' if entry.required else ''}"
    name = _cut(entry.pod, _WIDEST_NAME)
    cpus = _cut(format_cpulist(entry.cpus), _WIDEST_SET)
    return f"{name:<{_WIDEST_NAME}} {entry.qos or '-':<4} {cpus:<{_WIDEST_SET}} {policy}"[:width].rstrip()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
