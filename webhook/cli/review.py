"""``colocation-webhook review``: reviews in, responses out, by the code of the service."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from webhook.admission import ReviewError, Settings, View, Webhook, decide, parse_review
from webhook.admission.response import errored, respond
from webhook.cli.options.objects import load_view
from webhook.cli.options.settings import objects_option, settings_options


@click.command()
@objects_option
@click.option("--validate", is_flag=True, help="Ask the validating webhook instead of the mutating one.")
@settings_options
def review(objects: Path, *, validate: bool, settings: Settings) -> None:
    """Answer AdmissionReviews from standard input on standard output.

    One review a line in, one response a line out, in the same order, each written as
    soon as it is known. Empty lines are passed over. A line that is no review is answered
    with a Status, as the service would, and reported on standard error.

    Exit status: 0 when every line was a review, whether allowed or denied; else 1.

    \b
    Examples:
      colocation-webhook review --objects examples/objects < reviews.jsonl > responses.jsonl
      jq -c . examples/reviews/*.json | colocation-webhook review --objects examples/objects
      colocation-webhook review --objects DIR --validate --rule whole-cpus=warn < reviews.jsonl
    """  # noqa: D301 — see main
    webhook = Webhook.VALIDATE if validate else Webhook.MUTATE
    view = load_view(objects)
    if answer_all(sys.stdin.buffer, sys.stdout.buffer, webhook, view, settings):
        sys.exit(1)


def answer_all(source: BinaryIO, target: BinaryIO, webhook: Webhook, view: View, settings: Settings) -> int:
    """Answer each line of ``source`` with a line in ``target``; return how many were no reviews."""
    refused = 0
    for number, line in enumerate(source, 1):
        if line.isspace():
            continue
        try:
            body = respond(decide(webhook, parse_review(line), view, settings).response()).body
        except ReviewError as error:
            refused += 1
            body = errored(error.status, error.message).body
            click.echo(f"line {number}: {error}", err=True)
        except Exception as error:  # noqa: BLE001 — a fault of ours costs one answer, as in the service
            refused += 1
            body = errored(500, f"internal error: {error!r}").body
            click.echo(f"line {number}: internal error: {error!r}", err=True)
        target.write(body + b"\n")
        target.flush()  # a line at a time, so that the command can stand in a pipe
    return refused
