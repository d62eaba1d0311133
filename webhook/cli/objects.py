"""The view for one run of a command."""

from pathlib import Path

import click

from webhook.admission import View
from webhook.cluster import FilesSource, SourceError


def load_view(directory: Path) -> View:
    """Read the objects of a directory.

    Raises:
        click.ClickException: they give no view.
    """
    source = FilesSource(directory)
    try:
        source.load()
    except SourceError as error:
        raise click.ClickException(str(error)) from None
    return source.view
