"""What an agent wrote, printed; and what was there before, written back."""

import json
import time
from pathlib import Path

import click

from webhook.cli.agent.place import AgentPlace
from webhook.cli.options.output import echo_data


def print_actions(state_dir: Path, pod: str | None, output: str) -> None:
    """Print the lines of the ledger of actions, the oldest first."""
    from webhook.agent.rendering import action_line
    from webhook.agent.writing.ledger import LEDGER, is_of_pod, read_lines

    folder = state_dir / LEDGER
    try:
        found = [
            line
            for line in read_lines(folder)
            if "path" in line and not line.get("carried") and (pod is None or is_of_pod(line, pod))
        ]
    except OSError as error:
        raise click.ClickException(f"--state-dir {state_dir}: {error.strerror or error}") from None
    if output == "text":
        for line in found:
            click.echo(action_line(line))
        if not found:
            click.echo(f"{folder}: nothing was written" + (f" for pod {pod}" if pod else ""), err=True)
    elif output == "json":
        for line in found:
            click.echo(json.dumps(line, ensure_ascii=False))
    else:
        echo_data(found, output)


def restore_all(place: AgentPlace, pod: str | None) -> None:
    """Write back what each file held before the agent; exit status 1 where a file could not be."""
    from webhook.agent.machine.hierarchy import HierarchyError, find_hierarchy
    from webhook.agent.writing.cgroupfiles import KernelFiles
    from webhook.agent.writing.ledger import LedgerError, open_ledger
    from webhook.agent.writing.restore import restore
    from webhook.agent.writing.writer import Outcome, Writer
    from webhook.kube.timestamps import utc_now

    files = KernelFiles()
    try:
        hierarchy = find_hierarchy(place.root, place.kubepods)
        ledger = open_ledger(place.state_dir, place.root, files.identity)
    except HierarchyError as error:
        raise click.ClickException(str(error)) from None
    except LedgerError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    writer = Writer(files, ledger, hierarchy.version, clock=time.monotonic, now=utc_now)
    done = restore(ledger, files, writer, hierarchy.version, pod)
    ledger.close()
    for path, left, found in done.foreign:
        click.echo(f"{path}: somebody else had changed {left} to {found}", err=True)
    failed = [each.message for each in done.written.refusals]
    busy = done.written.again
    for text in (*failed, *(f"{path}: is busy: try again" for path in busy), *filter(None, [writer.stopped])):
        click.echo(text, err=True)
    gone = done.written.counts[Outcome.GONE]
    click.echo(
        f"{len(done.files)} files are as they were before the agent" + (f", {gone} are gone" * bool(gone))
    )
    if failed or busy or writer.stopped:
        raise click.exceptions.Exit(1)
