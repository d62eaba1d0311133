"""Pods of a manifest file."""

import sys
from pathlib import Path

import click

from webhook.pods.documents import DocumentError, objects_of, read_documents
from webhook.pods.podtemplates import PodOf, WorkloadError, name_of
from webhook.pods.workloads import pods_of

FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)


def read_pods(file: str) -> list[PodOf]:
    """Return the pods of a file; ``-`` is standard input.

    Objects that make no pods are named on standard error.

    Raises:
        click.ClickException: the file cannot be read.
    """
    name = "standard input" if file == "-" else file
    found: list[PodOf] = []
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        for document in read_documents(data, name):
            for one in objects_of(document):
                pods = pods_of(one)
                if pods is None and isinstance(one.value, dict):
                    shown = f"{one.value['kind']} {name_of(one.value)}"
                    click.echo(f"{one.source}: {shown} creates no pods, ignored", err=True)
                found += pods or []
    except (DocumentError, WorkloadError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{name}: {error.strerror}") from None
    return found
