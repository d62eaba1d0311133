"""Events about objects, written in the background: aggregated and rate limited; nobody waits for them."""

import datetime as dt
import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.kube.client import MERGE_PATCH, ApiError, Client
from webhook.kube.loop import run_loop
from webhook.kube.paths import collection, member
from webhook.kube.timestamps import timestamp, utc_now

WARNING: Final = "Warning"
NORMAL: Final = "Normal"
AGAIN_SECONDS: Final = 60.0
"""The same Event about the same object is written again after this long, with a higher count."""

PER_SECOND: Final = 10.0
_WAITING: Final = 1000
_REMEMBERED: Final = 5000
_LONGEST_NAME: Final = 200
_LONGEST: Final = 1024  # bytes of a message that the API server takes

_OF_ONE_EVENT: Final = frozenset({400, 403, 404, 409, 413, 422})
"""Answers that say nothing about other Events."""

_log = logging.getLogger(__name__)


class Event(NamedTuple):
    """An Event about an object of a namespace, a pod unless kind and version say otherwise."""

    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str
    kind: str = "Pod"
    api_version: str = "v1"


class _Series(NamedTuple):
    name: str
    times: int
    at: float
    first: str


@dataclass(eq=False)
class EventRecorder:
    """Takes Events from any thread and writes them in one of its own.

    Made of the API server, and of the component that reports: it names the program in each Event.

    Attributes:
        clock: seconds, for aggregation.
        now: the time of day, for what is written.
    """

    _api: Client
    _component: str
    _: KW_ONLY
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = utc_now
    _waiting: queue.Queue[Event] = field(default_factory=lambda: queue.Queue(_WAITING), init=False)
    _series: OrderedDict[Event, _Series] = field(default_factory=OrderedDict, init=False)

    def record(self, event: Event) -> None:
        """Queue an Event; it is dropped while too many are queued."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            _log.debug("too many Events wait: %s is dropped", event)

    def watch(self, stop: threading.Event, interval: float = 1.0) -> None:
        """Write until ``stop`` is set; meant to run in a thread.

        Args:
            stop: ends the loop.
            interval: seconds after which ``stop`` is seen at the latest.
        """
        run_loop(lambda: self._step(interval), stop, name="an Event is lost", pause=1.0)

    def _step(self, interval: float) -> float:
        """Write the next Event; return the seconds to wait after it."""
        try:
            event = self._waiting.get(timeout=interval)
        except queue.Empty:
            return 0.0
        try:
            return 1 / PER_SECOND if self._write(event) else 0.0
        except ApiError as error:
            # No Event can be made in a namespace that is being deleted; nothing depends on one.
            if error.status in _OF_ONE_EVENT:
                _log.debug("%s is lost: %s", event, error)
                return 1 / PER_SECOND
            raise

    def _write(self, event: Event) -> bool:
        """Write one, unless it was written a moment ago; return whether a call was made."""
        known = self._series.get(event)
        now = self.clock()
        if known is not None and now - known.at < AGAIN_SECONDS:
            self._series[event] = known._replace(times=known.times + 1)
            return False
        moment = timestamp(self.now())
        path = collection("v1", "events", event.namespace)
        if known is not None:
            change = {"count": known.times + 1, "lastTimestamp": moment, "message": _cut(event.message)}
            try:
                self._api.call("PATCH", member(path, known.name), body=change, content_type=MERGE_PATCH)
                self._remember(event, known._replace(times=known.times + 1, at=now))
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                del self._series[event]  # it has expired
            else:
                return True
        body = self._body(event, moment)
        self._api.call("POST", path, body=body)
        self._remember(event, _Series(body["metadata"]["name"], 1, now, moment))
        return True

    def _remember(self, event: Event, series: _Series) -> None:
        self._series[event] = series
        self._series.move_to_end(event)
        if len(self._series) > _REMEMBERED:
            self._series.popitem(last=False)

    def _body(self, event: Event, moment: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": _name(event), "namespace": event.namespace},
            "involvedObject": {
                "apiVersion": event.api_version,
                "kind": event.kind,
                "namespace": event.namespace,
                "name": event.name,
                "uid": event.uid,
            },
            "type": event.type,
            "reason": event.reason,
            "message": _cut(event.message),
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }


def _name(event: Event) -> str:
    """A name that no other Event has: a DNS subdomain, also where the pod's name is cut in the middle."""
    return f"{event.name[:_LONGEST_NAME].rstrip('-.')}.{secrets.token_hex(8)}"


def _cut(message: str) -> str:
    return message.encode()[:_LONGEST].decode(errors="ignore")
