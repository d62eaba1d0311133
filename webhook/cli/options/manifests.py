"""Pods of manifest files."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from webhook.cluster.files import NO_FILES, SUFFIXES
from webhook.kube.files import read_all, read_file
from webhook.pods.documents import MAX_BYTES, Document, DocumentError, objects_of, read_each
from webhook.pods.manifests.podtemplates import PodOf, WorkloadError, name_of
from webhook.pods.manifests.workloads import NotShown, pods_of

FILE = click.Path(exists=True, allow_dash=True)
# What Helm's templates begin with inside of braces. Those of Argo Workflows begin with a plain name.
_UNRENDERED: Final = re.compile(
    r"\{\{-?\s*(?:[.$(]|/\*|(?:block|default|define|else|end|if|include|lookup|printf|quote|range|required"
    r"|template|toYaml|tpl|with)\b)"
)
_RENDER: Final = "this is an unrendered Helm template: render it first: helm template CHART | … -"


class Ignored(NamedTuple):
    """An object of which no pods are shown."""

    source: str
    object: str
    reason: NotShown

    def __str__(self) -> str:
        """Return it as a line for people."""
        colon = ":" * (self.reason is NotShown.UNKNOWN)
        return f"{self.source}: {self.object}{colon} {self.reason}"


@dataclass(frozen=True, slots=True)
class Manifests:
    """What files hold: pods, objects of which none are shown, and what cannot be read."""

    pods: list[PodOf] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def read_manifests(files: Iterable[str]) -> Manifests:
    """Read files and directories as ``kubectl apply -f`` does; ``-`` is standard input.

    A document or an item of a List that cannot be read costs only itself.
    """
    found = Manifests()
    for file in files:
        try:
            for name in _files(file):
                _read(name, found)
        except OSError as error:
            found.errors.append(f"{file}: {error.strerror}")
    return found


def read_pods(file: str) -> list[PodOf]:
    """Return the pods of a file or directory, all of which must be readable.

    Objects of which no pods are shown are named on standard error.

    Raises:
        click.ClickException: something cannot be read.
    """
    found = read_manifests([file])
    if found.errors:
        raise click.ClickException("\n".join(found.errors))
    for ignored in found.ignored:
        click.echo(str(ignored), err=True)
    return found.pods


def _files(file: str) -> Iterator[str]:
    """Yield the files of a directory in their order, none of its subdirectories; a file is itself."""
    if file == "-" or not Path(file).is_dir():
        yield file
        return
    names = sorted(str(path) for path in Path(file).iterdir() if path.suffix in SUFFIXES and path.is_file())
    if not names:
        raise FileNotFoundError(0, NO_FILES)
    yield from names


def _read(file: str, found: Manifests) -> None:
    name = "standard input" if file == "-" else file
    data = read_all(sys.stdin.buffer, MAX_BYTES) if file == "-" else read_file(Path(file), MAX_BYTES)
    for document in read_each(data, name):
        if isinstance(document, DocumentError):
            unrendered = _UNRENDERED.search(document.text)
            found.errors.append(f"{document}: {_RENDER}" if unrendered else str(document))
            continue
        try:
            for one in objects_of(document):
                _take(one, found)
        except DocumentError as error:
            found.errors.append(str(error))


def _take(one: Document, found: Manifests) -> None:
    if _UNRENDERED.search(" ".join(_names(one.value))):
        found.errors.append(f"{one.source}: {_RENDER}")
        return
    try:
        pods = pods_of(one)
    except WorkloadError as error:
        found.errors.append(str(error))
        return
    if isinstance(pods, NotShown):
        value: Any = one.value  # pods_of has refused what is no object
        found.ignored.append(Ignored(one.source, f"{value['kind']} {name_of(value)}", pods))
        return
    for pod in pods:
        if _UNRENDERED.search(" ".join(_images(pod.pod))):
            found.errors.append(f"{one.source}: {pod.origin}: {_RENDER}")
        else:
            found.pods.append(pod)


def _names(value: object) -> Iterator[str]:
    """Yield what no object may hold braces in: kind, names, namespace, labels."""
    if not isinstance(value, dict):
        return
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    labels = metadata.get("labels")
    listed = [value.get("kind"), *(metadata.get(f) for f in ("name", "generateName", "namespace"))]
    listed += labels.values() if isinstance(labels, dict) else []
    yield from (text for text in listed if isinstance(text, str))


def _images(pod: dict[str, Any]) -> Iterator[str]:
    for container in pod["spec"].get("containers") or ():
        if isinstance(container, dict):
            yield str(container.get("image"))
