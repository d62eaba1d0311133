"""Files and a cluster as one view: profiles of both, everything else as the cluster has it.

A profile in the cluster wins over one of the same name in a file. PriorityClasses,
namespaces, limits and quotas in files are ignored: what the cluster does not have does not
exist for the API server either.
"""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread
from types import MappingProxyType

from webhook.admission import View
from webhook.admission.profiles.index import ProfileIndex
from webhook.cluster.files import FilesSource
from webhook.cluster.source import SourceStatus, unready
from webhook.cluster.watch import ClusterSource
from webhook.kube.client import Client


class CombinedSource:
    """A source made of two.

    Attributes:
        view: one reference, swapped whole, whenever one of the two has a new view.
        cache: what is kept of the cluster; statuses are written from it.
    """

    def __init__(self, directory: Path, api: Client) -> None:
        """Name the directory and the API server; nothing is read yet."""
        self._lock = Lock()
        self._files = FilesSource(directory, on_change=self._refresh)
        self._cluster = ClusterSource(api, on_change=self._refresh)
        self.cache = self._cluster.cache
        self._made_of = (self._files.view, self._cluster.view)
        self.view: View = combine(*self._made_of, None)

    def load(self) -> None:
        """Read the directory; raises SourceError."""
        self._files.load()

    @property
    def status(self) -> SourceStatus:
        """Both statuses in one."""
        files, cluster, view = self._files.status, self._cluster.status, self.view
        return replace(
            cluster,
            error="; ".join(filter(None, (files.error, cluster.error))) or None,
            reload_errors=files.reload_errors + cluster.reload_errors,
            files=files.files,
            profiles=len(view.profiles),
            unready_profiles=unready(view),
        )

    def watch(self, stop: Event, interval: float) -> None:
        """Keep the view up to date until ``stop`` is set; ``interval`` is that of the files."""
        watching = Thread(target=self._cluster.watch, args=(stop,), name="cluster", daemon=True)
        watching.start()
        self._files.watch(stop, interval)
        watching.join(2.0)

    def look_up(self, namespace: str) -> Future[None]:
        """Ask the cluster."""
        return self._cluster.look_up(namespace)

    def _refresh(self) -> None:
        with self._lock:
            made_of = (self._files.view, self._cluster.view)
            if made_of[0] is self._made_of[0] and made_of[1] is self._made_of[1]:
                return
            unchanged = all(
                new.profiles is old.profiles for new, old in zip(made_of, self._made_of, strict=True)
            )
            self.view = combine(*made_of, self.view if unchanged else None)
            self._made_of = made_of


def combine(files: View, cluster: View, before: View | None) -> View:
    """Lay the cluster over the files.

    Args:
        files: profiles that lie below.
        cluster: everything else.
        before: a view made of the same profiles, whose index is taken over; None: there is none.
    """
    profiles = (
        before.profiles
        if before
        else MappingProxyType(dict(sorted({**files.profiles, **cluster.profiles}.items())))
    )
    index = before.index if before else ProfileIndex(profiles.values())
    return replace(cluster, index=index, profiles=profiles)
