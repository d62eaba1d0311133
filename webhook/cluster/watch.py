"""The view kept up to date by watching an API server.

A thread for each kind (``reflector``) puts changes into a store (``cache``); one more makes
views from the stores, never more often than every 100 ms and never for more than a tenth of
its time, however many changes come in. The hot path reads ``view`` and nothing else.

A namespace that is not in the view, created a moment ago, is read by itself. The call runs in
a small pool, one for each namespace however many reviews wait for it.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from threading import Event, Lock
from typing import Any, Final

from webhook.admission.kinds import NAMESPACES
from webhook.admission.objects import ObjectError
from webhook.admission.view import View
from webhook.cluster.cache import ClusterCache
from webhook.cluster.source import LookUpError, SourceStatus, unready
from webhook.kube.client import ApiError, Client
from webhook.kube.loop import run_loop
from webhook.kube.paths import member
from webhook.kube.reflector import Reflector, watching

VIEW_SECONDS: Final = 0.1
_SHARE: Final = 10  # a view that takes t to make is followed by 10 t without one
LOOK_UP_SECONDS: Final = 3.0
_LOOK_UP_PAUSE: Final = 0.2
_LOOK_UPS_AT_ONCE: Final = 4

_log = logging.getLogger(__name__)


class ClusterSource:
    """The view of one cluster.

    Attributes:
        view: one reference, swapped whole. Until everything has been listed once its
            ``missing`` names what has not.
        cache: what is kept of the cluster; statuses are written from it.
    """

    def __init__(
        self,
        api: Client,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Name the API server; no call and no thread before ``watch`` or ``look_up``, for a process may fork.

        Args:
            api: the API server.
            clock: seconds since the epoch.
        """
        self._api = api
        self._news = Event()
        self.cache = ClusterCache(self._news.set)
        self.view: View = self.cache.view()
        self._reflectors = {
            kind.resource: Reflector(api, kind.path, store, clock=clock)
            for kind, store in self.cache.stores.items()
        }
        self._lock = Lock()
        self._looking_up: dict[str, Future[None]] = {}
        self._pool: ThreadPoolExecutor | None = None

    @property
    def status(self) -> SourceStatus:
        """How each kind is doing, put together now."""
        view = self.view
        kinds = {name: reflector.contact for name, reflector in self._reflectors.items()}
        errors = [f"{name}: {kind.error}" for name, kind in kinds.items() if kind.error]
        return SourceStatus(
            ready=not view.missing,
            error="; ".join(errors) or None,
            loaded_at=min(kind.contact_at for kind in kinds.values()),
            reload_errors=sum(kind.failures for kind in kinds.values()),
            profiles=len(view.profiles),
            unready_profiles=unready(view),
            kinds=kinds,
        )

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Keep the view up to date until ``stop`` is set; meant to run in a thread.

        Args:
            stop: ends the loop and the watches.
            interval: seconds after which ``stop`` is seen at the latest.
        """
        with watching(self._reflectors, stop):
            step = partial(self._step, stop)
            run_loop(step, stop, name="making a view", interval=interval, pause=interval, wake=self._news)
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _step(self, stop: Event) -> None:
        self._news.clear()
        started = time.monotonic()
        if self._refresh():
            stop.wait(max(VIEW_SECONDS, _SHARE * (time.monotonic() - started)))

    def look_up(self, namespace: str) -> Future[None]:
        """Ask the API server for a namespace, unless that is being done; see ``NamespaceLookup``."""
        with self._lock:
            future = self._looking_up.get(namespace)
            if future is None:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(_LOOK_UPS_AT_ONCE, "look-up")
                future = self._pool.submit(self._look_up, namespace)
                self._looking_up[namespace] = future
        future.add_done_callback(lambda _: self._looking_up.pop(namespace, None))
        return future

    def _look_up(self, namespace: str) -> None:
        known = self.cache.stores[NAMESPACES]  # perhaps not in the last view yet
        if ("", namespace) not in known.values:
            try:
                raw = self._read_namespace(namespace)
                if not isinstance(raw.get("metadata"), dict) or raw["metadata"].get("name") != namespace:
                    raise LookUpError(f"namespace {namespace!r}: the API server answered with something else")
                known.learn(raw, None)
            except (ApiError, ObjectError) as error:
                raise LookUpError(f"namespace {namespace!r} cannot be looked up: {error}") from None
        self._refresh()

    def _read_namespace(self, namespace: str) -> dict[str, Any]:
        """Ask until there is an answer: an API server that has just begun refuses what it allows later."""
        end = time.monotonic() + LOOK_UP_SECONDS
        while True:
            left = end - time.monotonic()
            try:
                return self._api.get(member(NAMESPACES.path, namespace), timeout=max(left, 0.1))
            except ApiError as error:
                if error.status == HTTPStatus.NOT_FOUND or left < _LOOK_UP_PAUSE:
                    raise
            time.sleep(_LOOK_UP_PAUSE)

    def _refresh(self) -> bool:
        """Make and swap a view; return whether it is a new one."""
        with self._lock:
            before, view = self.view, self.cache.view()
            self.view = view
        if view is before:
            return False
        if before.missing and not view.missing:
            _log.info(
                "synced: %d profiles, %d namespaces, %d PriorityClasses",
                len(view.profiles),
                len(view.namespaces),
                len(view.priority_classes),
            )
        if view.profiles is not before.profiles:
            known, watched = unready(before), self.cache.watched()
            for name, problems in unready(view).items():
                if name in watched and known.get(name) != problems:
                    _log.warning("profile %s is not applied: %s", name, "; ".join(problems))
        return True
