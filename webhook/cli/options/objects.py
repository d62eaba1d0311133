"""The view for one run of a command."""

import logging
from pathlib import Path

import click

from webhook.admission import View
from webhook.cluster.files import FilesSource, SourceError

# What the source would log is said here, in the command's own way.
logging.getLogger("webhook.cluster").addHandler(logging.NullHandler())


def load_view(directory: Path, *, tell: bool = True) -> View:
    """Read the objects of a directory.

    Args:
        directory: of YAML and JSON files.
        tell: name profiles with problems on standard error.

    Raises:
        click.ClickException: they give no view.
    """
    source = FilesSource(directory)
    try:
        source.load()
    except SourceError as error:
        raise click.ClickException(str(error)) from None
    if tell:
        for name, problems in source.status.unready_profiles.items():
            click.echo(f"profile {name} is not applied: {'; '.join(problems)}", err=True)
    return source.view
