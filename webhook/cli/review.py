"""``colocation-webhook review``: AdmissionReviews in, responses out, by the service's own code."""

import sys
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from webhook.admission.decision import decide
from webhook.admission.response import errored, respond
from webhook.admission.review import ReviewError, Webhook, parse_review
from webhook.admission.settings import Settings
from webhook.admission.view import View
from webhook.cli.options.objects import load_view
from webhook.cli.options.settings import objects_option, settings_options
from webhook.kube.files import TooLongError, read_lines
from webhook.server.http.bodies import MAX_BODY

_ONE_A_LINE = "write one review a line, with 'jq -c . FILE' for example"


@click.command()
@objects_option
@click.option(
    "--validate", is_flag=True, help="Answer as the validating webhook instead of the mutating one."
)
@settings_options
def review(objects: Path, *, validate: bool, settings: Settings) -> None:
    """Answer AdmissionReviews from standard input on standard output.

    Each input line is one review; each output line is one response, in the same order and
    written at once. Empty lines are ignored. A line that is no AdmissionReview is answered
    with a Status, as by the service, and reported on standard error.

    Exit status: 0 if every line was a review, allowed or denied; else 1.

    \b
    Examples:
      colocation-webhook review --objects examples/objects < reviews.jsonl > responses.jsonl
      jq -c . examples/reviews/*.json | colocation-webhook review --objects examples/objects
      colocation-webhook review --objects DIR --validate --rule whole-cpus=warn < reviews.jsonl
    """  # noqa: D301 — see main
    webhook = Webhook.VALIDATE if validate else Webhook.MUTATE
    view = load_view(objects)
    try:
        failed = _answer_all(sys.stdin.buffer, sys.stdout.buffer, webhook, view, settings)
    except TooLongError as error:
        raise click.ClickException(f"standard input: {error.strerror}") from None
    if failed:
        sys.exit(1)


def _answer_all(source: BinaryIO, target: BinaryIO, webhook: Webhook, view: View, settings: Settings) -> int:
    """Answer each line of ``source`` with a line in ``target``; return how many got no review response."""
    failed, broken = 0, 0
    for number, line in enumerate(read_lines(source, MAX_BODY), 1):
        if line.isspace():
            continue
        try:
            body = respond(decide(webhook, parse_review(line), view, settings).response()).body
        except ReviewError as error:
            failed += 1
            body = errored(error.status, error.message).body
            is_object = _is_object(line)
            broken += not is_object
            if is_object:
                click.echo(f"line {number}: {error}", err=True)
            elif broken == 1:
                click.echo(f"line {number}: {error}; {_ONE_A_LINE}", err=True)
        except Exception as error:  # noqa: BLE001 — a bug of ours costs one answer, as in the service
            failed += 1
            body = errored(500, f"internal error: {error!r}").body
            click.echo(f"line {number}: internal error: {error!r}", err=True)
        target.write(body + b"\n")
        target.flush()  # line by line, so that the command works in a pipe
    if broken > 1:
        click.echo(f"{broken - 1} more lines are no JSON object", err=True)
    return failed


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
