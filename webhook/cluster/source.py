"""The interface of a source of views: the newest view, how the source is doing, and a loop."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol, runtime_checkable

from webhook.admission.view import View
from webhook.kube.cache.reflector import KindStatus


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How the source is doing, for readiness, log and metrics.

    Attributes:
        ready: there is a view to decide with (perhaps not the newest, see ``error``).
        error: why the newest state cannot be used, None when it is in use.
        loaded_at: the moment whose state the view shows at least, in seconds since the
            epoch: when the files were read, when the API server last answered (for
            the kind that is furthest behind); 0 before.
        reload_errors: how often a newer state could not be had, ever.
        files: number of files behind the view in use.
        kinds: each watched kind by its plural name; empty where nothing is watched.
    """

    ready: bool = False
    error: str | None = None
    loaded_at: float = 0.0
    reload_errors: int = 0
    files: int = 0
    kinds: Mapping[str, KindStatus] = field(default_factory=dict)


class LookUpError(Exception):
    """A namespace could not be read; the message says why."""


class Source(Protocol):
    """A source of views.

    ``view`` is one reference, swapped whole, so that readers need no lock.
    """

    @property
    def view(self) -> View:
        """The newest good view."""

    @property
    def status(self) -> SourceStatus:
        """How the source is doing."""

    def watch(self, stop: Event, interval: float) -> None:
        """Keep the view up to date until ``stop`` is set; runs in a thread.

        What can be had without waiting is taken over at once.
        """


@runtime_checkable
class NamespaceLookup(Protocol):
    """A source that can ask for one namespace: its views are exhaustive, see ``View``."""

    def look_up(self, namespace: str) -> Future[None]:
        """Ask for a namespace that the view lacks.

        Returns at once, a future for each who asks. When it is done without an exception the
        view has the namespace; else the exception is a LookUpError. Who waits no longer cancels
        it; it is cancelled at the end of ``watch``.
        """


def unready(view: View) -> dict[str, tuple[str, ...]]:
    """Return the problems of the profiles that are never applied, by name."""
    return {name: profile.problems for name, profile in view.profiles.items() if not profile.ready}
