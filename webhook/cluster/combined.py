"""Files and a cluster as one view: profiles of both, everything else as the cluster has it.

A profile in the cluster wins over one of the same name in a file. PriorityClasses,
namespaces, limits and quotas in files are ignored: what the cluster does not have does not
exist for the API server either.
"""

from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

from webhook.cluster.files import FilesSource
from webhook.cluster.source import SourceStatus
from webhook.cluster.watch import ClusterSource
from webhook.kube.client import Client


class CombinedSource(ClusterSource):
    """A cluster, and files whose profiles lie below those of the cluster."""

    def __init__(self, directory: Path, api: Client) -> None:
        """Name the directory and the API server; nothing is read yet."""
        super().__init__(api)
        self._files = FilesSource(directory, on_change=self._take_files)

    def load(self) -> None:
        """Read the directory; raises SourceError."""
        self._files.load()

    def reload_if_changed(self) -> bool:
        """Read the directory if anything in it changed; return whether there is a new view."""
        return self._files.reload_if_changed()

    @property
    def status(self) -> SourceStatus:
        """Both statuses in one."""
        files, cluster = self._files.status, super().status
        return replace(
            cluster,
            error="; ".join(filter(None, (files.error, cluster.error))) or None,
            reload_errors=files.reload_errors + cluster.reload_errors,
            files=files.files,
        )

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Keep the view up to date until ``stop`` is set; ``interval`` is that of the files."""
        watching = Thread(target=super().watch, args=(stop,), name="cluster", daemon=True)
        watching.start()
        self._files.watch(stop, interval)
        watching.join(2.0)

    def _take_files(self) -> None:
        self.cache.lay_below(self._files.view.profiles)
        self._refresh()
