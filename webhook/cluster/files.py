"""The view from a directory of files, kept up to date by polling.

Polling sees everything that a watch would miss: a ConfigMap mount or a git checkout
swaps a symbolic link, network file systems send no events. It costs one ``stat`` a
file. A broken file never costs the view: the last good one stays, and the status
says what is wrong, until the files are good again.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import chain
from pathlib import Path
from stat import S_ISREG
from threading import Event
from typing import Final

from webhook.admission.objects import ObjectError
from webhook.admission.view import View, build_view
from webhook.cluster.source import SourceStatus, unready
from webhook.kube.files import read_file
from webhook.kube.loop import run_loop
from webhook.pods.documents import DocumentError, objects_of, read_documents

SUFFIXES: Final = (".yaml", ".yml", ".json")

NO_FILES: Final = f"holds no file named {', '.join('*' + suffix for suffix in SUFFIXES)}"
"""What is wrong with a directory of which nothing is read."""
MAX_FILE: Final = 16 * 2**20  # bytes: a server that reads more is busy with it for a minute
_log = logging.getLogger(__name__)

# Path, time of change of content and of inode, size, device, inode: what differs when a
# file was written, renamed into place, made readable or reached by another symbolic link.
_Fingerprint = tuple[tuple[str, int, int, int, int, int], ...]


class SourceError(ValueError):
    """The files do not give a view; the message is one line, naming file and line."""


@dataclass(eq=False)
class FilesSource:
    """A directory of YAML and JSON files; nothing is read before ``load``.

    Attributes:
        view: the newest good view; one reference, swapped whole, so that readers in
            other threads need no lock. Empty until ``load`` has returned.
        status: swapped in the same way, after the view.
        clock: seconds since the epoch.
        on_change: called after each new view.
    """

    _directory: Path
    _: KW_ONLY
    clock: Callable[[], float] = time.time
    on_change: Callable[[], None] = lambda: None
    view: View = field(default_factory=View, init=False)
    status: SourceStatus = field(default=SourceStatus(), init=False)
    _seen: _Fingerprint | str | None = field(default=None, init=False)

    def load(self) -> None:
        """Read the directory.

        All of it counts, subdirectories too, but nothing whose name begins with a dot
        (a ConfigMap mount keeps its files a second time in such directories).

        Raises:
            SourceError: there is no such directory, it holds no file to read, a file
                cannot be read, or its objects cannot be used. View and status are
                as before, but for ``status.error`` and ``status.reload_errors``.
        """
        self._seen = None
        self.reload_if_changed()
        if self.status.error is not None:
            raise SourceError(self.status.error)

    def reload_if_changed(self) -> bool:
        """Read the directory if anything in it changed; return whether there is a new view."""
        try:
            # Taken before the files are read: a change in between is seen next time.
            fingerprint = _fingerprint(self._directory)
        except (OSError, SourceError) as error:
            if self._seen != _reason(error):
                self._seen = _reason(error)
                self._failed(self._seen)
            return False
        if fingerprint == self._seen:
            return False
        self._seen = fingerprint
        try:
            contents = ((read_file(Path(entry[0])), entry[0]) for entry in fingerprint)
            documents = chain.from_iterable(read_documents(*content) for content in contents)
            view = build_view(chain.from_iterable(map(objects_of, documents)))
        except (OSError, DocumentError, ObjectError) as error:
            self._failed(_reason(error))
            return False
        except RecursionError:  # YAML can describe a list that contains itself
            self._failed(f"{self._directory}: an object is nested too deeply, or in itself")
            return False
        self._loaded(view, len(fingerprint))
        return True

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Keep the view up to date until ``stop`` is set; meant to run in a thread.

        Args:
            stop: ends the loop, at once.
            interval: seconds between two looks at the directory.
        """
        run_loop(
            self._step,
            stop,
            name=f"reading {self._directory}",
            interval=interval,
            pause=interval,
            failed=lambda error: self._failed(f"{self._directory}: internal error: {error!r}"),
        )

    def _step(self) -> None:
        self.reload_if_changed()

    def _loaded(self, view: View, files: int) -> None:
        self.view = view
        self.status = replace(
            self.status,
            ready=True,
            error=None,
            loaded_at=self.clock(),
            files=files,
        )
        _log.info("read %d profiles from %d files in %s", len(view.profiles), files, self._directory)
        for name, problems in unready(view).items():
            _log.warning("profile %s is not applied: %s", name, "; ".join(problems))
        self.on_change()

    def _failed(self, error: str) -> None:
        self.status = replace(self.status, error=error, reload_errors=self.status.reload_errors + 1)
        if self.status.ready:
            _log.error("the last good view stays in use: %s", error)


def _fingerprint(directory: Path) -> _Fingerprint:
    entries = []
    for path in sorted(_files(directory)):
        stat = os.stat(path)  # noqa: PTH116 — ten times as cheap as a Path for each file
        if not S_ISREG(stat.st_mode):
            raise SourceError(f"{path}: is no file: only files are read")  # a pipe would be waited for
        if stat.st_size > MAX_FILE:
            raise SourceError(f"{path}: has {stat.st_size} bytes; at most {MAX_FILE} are read: split it")
        entries.append((path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_dev, stat.st_ino))
    if not entries:
        raise SourceError(f"{directory}: {NO_FILES}")
    return tuple(entries)


def _files(directory: Path) -> Iterator[str]:
    """Yield the paths of the files to read, through symbolic links, each directory once."""
    entered: set[str] = set()

    def refuse(error: OSError) -> None:
        raise error

    for parent, directories, names in os.walk(directory, onerror=refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in entered:  # a link to a directory above: going on would never end
            directories.clear()
            continue
        entered.add(real)
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in names:
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.join(parent, name)  # noqa: PTH118 — see above


def _reason(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
