"""Loading of a view from the directory of ``--objects``."""

import logging
from pathlib import Path

import click

from webhook.admission.view import View
from webhook.cluster.files import FilesSource, SourceError
from webhook.cluster.source import unready

# Commands print what the source would log.
logging.getLogger("webhook.cluster").addHandler(logging.NullHandler())


def load_view(directory: Path, *, report_problems: bool = True) -> View:
    """Read the objects of a directory.

    Args:
        directory: of YAML and JSON files.
        report_problems: print profiles with problems on standard error.

    Raises:
        click.ClickException: a file cannot be read.
    """
    source = FilesSource(directory)
    try:
        source.load()
    except SourceError as error:
        raise click.ClickException(str(error)) from None
    if report_problems:
        for name, problems in unready(source.view).items():
            click.echo(f"profile {name} is not applied: {'; '.join(problems)}", err=True)
    return source.view
