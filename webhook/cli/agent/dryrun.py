"""``agent --dry-run``: prints what an agent would write, on this machine or on a recorded one."""

from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from webhook.cli.agent.objects import Objects
from webhook.cli.agent.place import Place
from webhook.cli.agent.processes import ProcessFlags
from webhook.cli.options.output import echo_data

if TYPE_CHECKING:
    from webhook.agent.suppression.decision import Options


def print_plan(
    objects: Objects, place: Place, output: str, processes: ProcessFlags, suppression: "Options | None" = None
) -> None:
    """Print what would be written for these objects; nothing is.

    Args:
        objects: of which the plan is made.
        place: whose cgroups are looked at.
        output: text, json or yaml.
        processes: what is to hold for them.
        suppression: of BE pods; None: they are not suppressed.
    """
    from webhook.agent.dryrun import dry_run
    from webhook.agent.rendering import data_of, lines_of
    from webhook.cli.cpuset import paint
    from webhook.cli.terminal import wrapped

    if not objects.pods:
        click.echo("there is no pod of this node: give another --node-name, or --pods with pods", err=True)
    hierarchy, cpus, kubelet = place.find()
    run = dry_run(
        hierarchy,
        cpus,
        objects.pods,
        objects.node,
        kubelet=kubelet,
        slo=objects.slo,
        suppression=suppression,
        root=place.root,
        asked=processes.settings(),
        proc=processes.proc(place.root),
    )
    if output != "text":
        echo_data(data_of(run), output)
        return
    columns = get_terminal_size().columns
    for line in lines_of(run, cpus, width=columns, paint=paint):
        click.echo(wrapped(line, columns))
