"""One kind of object, listed and then watched for as long as the process lives.

List (in pages), then watch from the list's resource version; bookmarks move that version
on, so that a watch which ends is taken up where it was. Only when the server has forgotten
the version (410) or said something that cannot be read is everything listed again. Every
way round the loop waits, unless the watch before had lasted: no failure, however it looks,
makes a busy loop. Source: Kubernetes' "Efficient detection of changes".
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from http import HTTPStatus
from threading import Event, Thread
from typing import Any, Final

import orjson

from webhook.kube.backoff import Backoff
from webhook.kube.cache.store import Store
from webhook.kube.client import JSON, METADATA_LIST, METADATA_ONLY, ApiError, Client, Stream

PAGE: Final = 500  # objects in one answer of a list
SILENCE_SECONDS: Final = 90.0
"""Without a byte for so long a watch counts as dead. The API server sends a bookmark a minute."""

WATCH_SECONDS: Final = (300, 600)
"""How long a watch is asked to last: a random time, so that replicas do not come back together."""

LASTED_SECONDS: Final = 10.0
"""A watch that lasted so long was a good one: the next begins at once."""

_LISTED_LATELY: Final = 60.0

# The version is refused, forgotten, or ahead of what the server has (etcd came from a backup).
_LIST_AGAIN: Final = {400, 404, 410, 504}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KindStatus:
    """How one watched kind is doing.

    Attributes:
        synced: all its objects have been read once.
        contact_at: when the API server was last heard of, in seconds since the epoch; 0: never.
        error: why nothing is heard at the moment, None while all is well.
        served: whether the cluster has this kind, as far as it is known.
        failures: lists and watches that failed, ever.
        lists: how often everything was listed.
    """

    synced: bool = False
    contact_at: float = 0.0
    error: str | None = None
    served: bool = True
    failures: int = 0
    lists: int = 0


@dataclass(eq=False)
class Reflector:
    """Keeps one kind up to date.

    Made of the API server, the path of the collection (``/api/v1/namespaces``), and what takes its objects.

    Attributes:
        clock: seconds since the epoch.
        selector: ``labelSelector`` and ``fieldSelector``, where not every object is wanted.
        metadata_only: leave spec and status out.
        contact: how it is doing.
    """

    _api: Client
    _path: str
    _store: Store[Any]
    _: KW_ONLY
    clock: Callable[[], float] = time.time
    selector: Mapping[str, str] = field(default_factory=dict)
    metadata_only: bool = False
    contact: KindStatus = field(default=KindStatus(), init=False)
    _backoff: Backoff = field(default_factory=Backoff, init=False)
    _version: str | None = field(default=None, init=False)
    _listed_at: float = field(default=0.0, init=False)
    _stream: Stream | None = field(default=None, init=False)

    def run(self, stop: Event) -> None:
        """List and watch until ``stop`` is set; meant to run in a thread of its own."""
        while not stop.is_set():
            started = time.monotonic()
            least = 0.0
            try:
                if self._version is None:
                    self._list()
                self._watch(stop)
            except ApiError as error:
                least = error.retry_after
                self._failed(error, stop)
            except Exception as error:  # noqa: BLE001 — see below
                # The loop must outlive a fault of ours, or the view is stale in silence.
                _log.exception("%s: watching failed", self._path)
                self._failed(ApiError(f"internal error: {error!r}", status=410), stop)
            if time.monotonic() - started >= LASTED_SECONDS:
                self._backoff.reset()
                if not least and self.contact.error is None:
                    continue
            stop.wait(self._backoff.wait(least))

    def abort(self) -> None:
        """End a watch that waits; the loop ends where ``stop`` is set."""
        if self._stream is not None:
            self._stream.abort()

    def _list(self) -> None:
        found: list[tuple[tuple[str, str], Any]] = []
        token: str | None = None
        limit: int | None = PAGE
        while True:
            try:
                page = self._api.call(
                    "GET",
                    self._path,
                    accept=METADATA_LIST if self.metadata_only else JSON,
                    query={"limit": limit, "continue": token, **self.selector},
                )
            except ApiError as error:
                if not (error.status == HTTPStatus.GONE and token):
                    raise
                # The pages took longer than the server remembers: all at once, then.
                found.clear()
                token, limit = None, None
                continue
            self._heard()
            metadata = page.get("metadata")
            items = page.get("items")
            if not isinstance(metadata, dict) or not isinstance(items, (list, type(None))):
                raise ApiError(f"GET {self._path}: the answer is no list")
            for item in items or ():
                self._take(lambda raw: found.append(self._store.listed(raw)), item)
            token = metadata.get("continue") or None
            if token is None:
                break
        version = metadata.get("resourceVersion")
        if not isinstance(version, str) or not version:
            raise ApiError(f"GET {self._path}: the list has no metadata.resourceVersion")
        self._store.replace(found)
        self._version = version
        self._listed_at = time.monotonic()
        self.contact = replace(self.contact, synced=True, lists=self.contact.lists + 1)

    def _watch(self, stop: Event) -> None:
        query = {
            **self.selector,
            "watch": "1",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": random.randint(*WATCH_SECONDS),  # noqa: S311 — not a secret
        }
        try:
            lines = self._api.stream(
                self._path,
                query=query,
                accept=METADATA_ONLY if self.metadata_only else JSON,
                silence=SILENCE_SECONDS,
                opened=partial(self._opened, stop),
            )
            opened, heard = time.monotonic(), False
            for line in lines:
                if stop.is_set():
                    return
                self._event(line)
                heard = True
        finally:
            self._stream = None
        if not heard and time.monotonic() - opened < LASTED_SECONDS:
            # The server sees no error here, but a watch that never brings anything has to be visible.
            raise ApiError(f"watch {self._path}: it ended at once, without an event")

    def _opened(self, stop: Event, stream: Stream) -> None:
        self._stream = stream
        self._heard()
        if stop.is_set():  # it was while this one was being opened: who ended the others did not see it
            stream.abort()

    def _event(self, line: bytes) -> None:
        try:
            event = orjson.loads(line)
            kind, raw = event["type"], event["object"]
            metadata = raw.get("metadata") or {}
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            # What else was lost cannot be known.
            raise ApiError(f"watch {self._path}: not an event: {line[:100]!r}", status=410) from None
        if kind == "ERROR":
            code = raw.get("code")
            raise ApiError(
                f"watch {self._path}: {raw.get('message')}",
                status=code if isinstance(code, int) else 500,
            )
        self._heard()
        if kind in {"ADDED", "MODIFIED"}:
            self._take(self._store.changed, raw)
        elif kind == "DELETED":
            self._take(self._store.deleted, raw)
        version = metadata.get("resourceVersion")
        if isinstance(version, str) and version:
            self._version = version

    def _take(self, take: Callable[[Mapping[str, Any]], None], raw: object) -> None:
        """Hand an object on; one that cannot be read must not cost the others anything."""
        metadata = raw.get("metadata") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or not isinstance(metadata, dict) or not metadata.get("name"):
            _log.error("%s: an object without a name is passed over", self._path)
            return
        try:
            take(raw)
        except Exception as error:  # noqa: BLE001 — see the docstring
            _log.error("%s %s is passed over: %s", self._path, metadata.get("name"), error)

    def _heard(self) -> None:
        self.contact = replace(self.contact, contact_at=self.clock(), error=None, served=True)

    def _failed(self, error: ApiError, stop: Event) -> None:
        if error.status in _LIST_AGAIN:
            self._version = None
            if time.monotonic() - self._listed_at > _LISTED_LATELY:
                # Often the first words of a server that is back. Another time the wait goes on growing.
                self._listed_at = time.monotonic()
                self._backoff.reset()
        if stop.is_set():
            return
        if self.contact.error is None:
            _log.warning("%s", error)
        self.contact = replace(
            self.contact,
            error=str(error),
            served=self.contact.served and error.status != HTTPStatus.NOT_FOUND,
            failures=self.contact.failures + 1,
        )


@contextmanager
def watching(reflectors: Mapping[str, Reflector], stop: Event) -> Iterator[None]:
    """Run each reflector in a thread of its own; at the end abort them and wait for the threads.

    Args:
        reflectors: by the names that their threads get.
        stop: is set before the end.
    """
    threads = [
        Thread(target=reflector.run, args=(stop,), name=f"watch-{name}", daemon=True)
        for name, reflector in reflectors.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for reflector in reflectors.values():
            reflector.abort()
        for thread in threads:
            thread.join(1.0)
