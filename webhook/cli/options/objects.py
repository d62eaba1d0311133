"""Loading of objects from the directory of ``--objects``, and of a view."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click

from webhook.admission.view import View
from webhook.cluster.files import NO_FILES, SUFFIXES, FilesSource, SourceError
from webhook.cluster.source import unready
from webhook.kube.client import ApiError
from webhook.pods.documents import DocumentError, objects_of, read_documents

# Commands print what the source would log.
logging.getLogger("webhook.cluster").addHandler(logging.NullHandler())


objects_option: Final = click.option(
    "--objects",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read the objects (YAML or JSON) of this directory, and no cluster.",
)


@contextlib.contextmanager
def reading(rights: str) -> Iterator[None]:
    """Say what is wrong with files or a cluster that are read.

    Args:
        rights: what to grant where the API server refuses.

    Raises:
        click.ClickException: with the file or the call, and the remedy.
    """
    try:
        yield
    except DocumentError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    except ApiError as error:
        remedy = f": grant {rights}" if error.status == HTTPStatus.FORBIDDEN else ""
        raise click.ClickException(f"{error}{remedy}") from None


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


def objects_in(directory: Path) -> Iterator[Mapping[str, Any]]:
    """Return the objects in the files of a directory; raises as ``placed_objects``."""
    return (value for _, value in placed_objects(directory))


def placed_objects(directory: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects in the files of a directory, its subdirectories included, each with its place.

    Raises:
        DocumentError: a file is no YAML or JSON, or there is none.
        OSError: a file cannot be read.
    """
    files = [path for path in sorted(directory.rglob("*")) if _is_read(path, directory)]
    if not files:
        raise DocumentError(f"{directory}: {NO_FILES}")
    for path in files:
        for document in read_documents(path.read_bytes(), str(path)):
            for each in objects_of(document):
                if isinstance(each.value, dict):
                    yield each.source, each.value


def _is_read(path: Path, directory: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
    return path.suffix in SUFFIXES and path.is_file() and not hidden
