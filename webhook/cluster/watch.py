"""The view kept up to date by watching an API server.

A thread for each kind (``reflector``) puts changes into a store (``cache``); one more makes
views from the stores, never more often than every 100 ms and never for more than a tenth of
its time, however many changes come in. The hot path reads ``view`` and nothing else.

A namespace that is not in the view, created a moment ago, is read by itself. The call runs in
a small pool, one for each namespace however many reviews wait for it, and none for which no
review waits any more. What has to be asked again waits behind those that were not asked yet.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from threading import Event, Lock
from typing import Final

from webhook.admission.kinds import NAMESPACES
from webhook.admission.objects import ObjectError
from webhook.admission.view import View
from webhook.cluster.cache import ClusterCache
from webhook.cluster.source import LookUpError, SourceStatus, unready
from webhook.kube.cache.reflector import Reflector, watching
from webhook.kube.client import ApiError, Client
from webhook.kube.loop import run_loop
from webhook.kube.paths import member

VIEW_SECONDS: Final = 0.1
_SHARE: Final = 10  # a view that takes t to make is followed by 10 t without one
LOOK_UP_SECONDS: Final = 3.0
_LOOK_UP_PAUSE: Final = 0.2
_LOOK_UPS_AT_ONCE: Final = 4
MAX_LOOK_UPS: Final = 256  # namespaces; an API server that answers gets through them in a second
START_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)


class ClusterSource:
    """The view of one cluster.

    Attributes:
        view: one reference, swapped whole. Until everything has been listed once its
            ``missing`` names what has not.
        cache: what is kept of the cluster; statuses are written from it.
    """

    def __init__(self, api: Client) -> None:
        """Name the API server; no call and no thread before ``watch`` or ``look_up``: a process may fork."""
        self._api = api
        self._news = Event()
        self.cache = ClusterCache(self._news.set)
        self.view: View = self.cache.view()
        self._reflectors = {
            kind.resource: Reflector(api, kind.path, store) for kind, store in self.cache.stores.items()
        }
        self._started = time.monotonic()
        self._lock = Lock()
        self._waiting: dict[str, set[Future[None]]] = {}
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
            waiting = [each for waiters in self._waiting.values() for each in waiters]
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        for each in waiting:
            each.cancel()

    def _step(self, stop: Event) -> None:
        self._news.clear()
        started = time.monotonic()
        if self._refresh():
            stop.wait(max(VIEW_SECONDS, _SHARE * (time.monotonic() - started)))

    def look_up(self, namespace: str) -> Future[None]:
        """Ask the API server for a namespace, unless that is being done; see ``NamespaceLookup``."""
        waiting: Future[None] = Future()
        with self._lock:
            waiters = self._waiting.get(namespace)
            if waiters is None:
                if len(self._waiting) >= MAX_LOOK_UPS:
                    waiting.set_exception(LookUpError(f"{MAX_LOOK_UPS} namespaces are being looked up"))
                    return waiting
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(_LOOK_UPS_AT_ONCE, "look-up")
                waiters = self._waiting[namespace] = {waiting}
                self._pool.submit(self._look_up, namespace, waiters)
            waiters.add(waiting)
        waiting.add_done_callback(partial(self._left, namespace, waiters))
        return waiting

    def _left(self, namespace: str, waiters: set[Future[None]], waiting: Future[None]) -> None:
        """Forget one who waits no more; a namespace for which nobody waits is not asked for."""
        with self._lock:
            waiters.discard(waiting)
            if not waiters and self._waiting.get(namespace) is waiters:
                del self._waiting[namespace]

    def _look_up(
        self, namespace: str, waiters: set[Future[None]], end: float | None = None, earliest: float = 0.0
    ) -> None:
        """Ask once, not before ``earliest``; again until ``end`` where the answer may change."""
        time.sleep(max(0.0, earliest - time.monotonic()))
        if not waiters:
            return
        failed: Exception | None = None
        end = end or time.monotonic() + LOOK_UP_SECONDS
        try:
            self._read_namespace(namespace, max(end - time.monotonic(), 0.1))
        except ApiError as error:
            again = time.monotonic() + _LOOK_UP_PAUSE
            with self._lock:
                if again < end and self._pool is not None and self._may_change(error):
                    self._pool.submit(self._look_up, namespace, waiters, end, again)
                    return
            failed = LookUpError(f"namespace {namespace!r} cannot be looked up: {error}")
        except Exception as error:  # noqa: BLE001 — those who wait get it
            failed = error
        with self._lock:
            waiting = list(waiters)
            if self._waiting.get(namespace) is waiters:
                del self._waiting[namespace]
        for each in waiting:
            if each.set_running_or_notify_cancel():
                each.set_exception(failed) if failed else each.set_result(None)

    def _read_namespace(self, namespace: str, seconds: float) -> None:
        known = self.cache.stores[NAMESPACES]  # perhaps not in the last view yet
        if ("", namespace) not in known.values:
            raw = self._api.get(member(NAMESPACES.path, namespace), timeout=seconds)
            if not isinstance(raw.get("metadata"), dict) or raw["metadata"].get("name") != namespace:
                raise LookUpError(f"namespace {namespace!r}: the API server answered with something else")
            try:
                known.learn(raw, None)
            except ObjectError as error:
                raise LookUpError(f"namespace {namespace!r} cannot be looked up: {error}") from None
        self._refresh()

    def _may_change(self, error: ApiError) -> bool:
        """Whether the same question may get another answer in a moment.

        A 403 may while rights are being granted: when we have just begun, or an API server has, which
        refuses watches, too.
        """
        if error.status == HTTPStatus.FORBIDDEN:
            refused = any(reflector.contact.error for reflector in self._reflectors.values())
            return refused or time.monotonic() < self._started + START_SECONDS
        ours = HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return not ours or error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}

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
