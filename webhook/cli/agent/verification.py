"""``agent cpusets``: which CPUs the kernel gives pods, next to what annotations say and what should stand."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from webhook.cli.agent.objects import Objects
from webhook.cli.agent.place import Place
from webhook.cli.options.output import echo_data
from webhook.cli.terminal import bad, echo_lines, good, heading, muted, warning
from webhook.cpuset.cpulist import format_cpulist

if TYPE_CHECKING:
    from webhook.agent.verification import Group, PodSets, Report

_NONE: Final = "-"


def print_cpusets(objects: Objects, place: Place, named: str | None, output: str, color: str) -> None:
    """Print the CPU sets of pods; exit status 1 where one does not run where it should.

    Args:
        objects: all pods of a node, the node, its NodeSLO.
        place: whose cgroups are looked at.
        named: only of this pod; None: of all.
        output: text, json or yaml.
        color: auto, always or never.
    """
    from webhook.agent.verification import data_of, verify
    from webhook.agent.writing.cgroupfiles import KernelFiles

    hierarchy, cpus, kubelet = place.find()
    if "cpuset" in hierarchy.lacking:
        raise click.ClickException(f"the cgroups below {place.root} have no controller cpuset")
    found = verify(
        hierarchy,
        KernelFiles(),
        cpus,
        objects.pods,
        objects.node,
        kubelet=kubelet,
        slo=objects.slo,
        named=named,
    )
    if not objects.pods:
        raise click.ClickException(
            "nothing to judge: there is no pod of this node: give another --node-name, or --pods with pods"
        )
    if named is not None and not found.pods:
        raise click.ClickException(
            f"{named}: there is no such pod among the {len(objects.pods)} of this node: "
            "give NAMESPACE/NAME, NAME or UID of one that has not ended"
        )
    if output == "text":
        echo_lines(_text(found), color)
    else:
        echo_data(data_of(found), output)
    if found.differing:
        raise click.exceptions.Exit(1)


class _Row(NamedTuple):
    """A line about a group: the cells of the table, and what stands below them."""

    cells: tuple[str, ...]
    agrees: bool | None
    folder: str


def _text(found: "Report") -> Iterator[str]:
    count = len(found.pods)
    judged = sum(each.agrees is not None for each in found.pods)
    verdict = f"{found.differing or 'none'} differ{'s' * (found.differing <= 1)}"
    yield f"{found.cgroups}: {count} pod{'s' * (count != 1)}, {judged} of them judged, {verdict}"
    head = ("", "CPUSET.CPUS", "ANNOTATION", "SHOULD BE", "RULE")
    tables = [(each, list(_rows(each))) for each in found.pods]
    lines = [head, *(row.cells for _, rows in tables for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    if found.pods:
        yield heading(f"    {_padded(head, widths)}")
    for each, rows in tables:
        yield heading(each.pod.name) + f"  {each.pod.qos or 'no class'}, {each.pod.kube_qos}"
        if each.group is None:
            mark, style = ("✗", bad) if each.agrees is False else ("·", muted)
            yield f"  {style(mark)} it has no cgroup"
        elif not each.containers:
            mark, style = ("✗", bad) if each.agrees is False else ("·", muted)
            yield f"  {style(mark)} none of its containers has a cgroup"
        for row in rows:
            yield f"  {_mark(row.agrees)} {_padded(row.cells, widths)}"
            yield muted(f"      {row.folder}")
    if found.findings:
        yield ""
        yield heading("Findings")
    yield from (f"  {warning('!')} {each}" for each in found.findings)


def _rows(each: "PodSets") -> Iterator[_Row]:
    """The pod's own group, which is not judged, then its containers."""
    if each.group is None:
        return
    yield _Row(("(pod)", _cpus(each.group), "", "", ""), None, each.group.folder)
    given = _NONE if each.given is None else format_cpulist(each.given)
    owed = _NONE if each.owed.cpus is None else format_cpulist(each.owed.cpus)
    owed = f"{owed} or less" if each.owed.less else owed
    for name, group in each.containers:
        agrees = each.owed.is_met_by(group.on)
        yield _Row((name, _cpus(group), given, owed, each.owed.rule), agrees, group.folder)


def _cpus(group: "Group") -> str:
    """What stands there, and where processes run if that is another set."""
    if group.cpus is None:
        return "no such file"
    text = format_cpulist(group.cpus) or "empty"
    return text if group.on == group.cpus else f"{text}, runs on {format_cpulist(group.on or ())}"


def _mark(agrees: bool | None) -> str:  # noqa: FBT001 — as it is found
    if agrees is None:
        return muted("·")
    return good("✓") if agrees else bad("✗")


def _padded(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
