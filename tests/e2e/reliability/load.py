"""Pods created all the time through the real API server, and the books about what became of each."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

from tests.e2e.cluster.apiclient import NOW, ApiClient, message
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.objects import is_be, pod

OK, CREATED = 200, 201
UNANSWERED = 0
"""The code of a request whose connection broke, or that nobody accepted: the API server is away."""

_PAGE = 500


class Answer(NamedTuple):
    """What became of one creation: when it was sent (monotonic), how long it took, and what was said."""

    name: str
    sent: float
    seconds: float
    code: int
    message: str


class Books(NamedTuple):
    """The creations of some time, counted.

    ``refused`` were answered with anything but 201, ``unanswered`` not at all, ``unmutated`` are stored as
    they were sent. Seconds are those of the answered.
    """

    sent: int
    created: int
    refused: int
    unanswered: int
    stored: int
    unmutated: int
    rate: float
    p50: float
    p99: float
    longest: float


def gated(name: str) -> Object:
    """A Spark driver's pod that no scheduler looks at: nothing but its creation is work."""
    return pod(name, schedulingGates=[{"name": "example.com/never"}])


class Creators:
    """Clients that together create ``rate`` pods a second, from entering to leaving.

    What could not be sent in time, because all clients waited, is not made up for later.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        namespace: str,
        *,
        rate: float = 60.0,
        clients: int = 16,
        make: Callable[[str], Object] = gated,
    ) -> None:
        """Take where the pods go; ``make`` makes one of a name."""
        self.answers: list[Answer] = []
        self._api = ApiClient(control_plane)
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._rate = rate
        self._make = make
        # Pods of earlier ones in the namespace may not be gone yet.
        self._prefix = f"pod-{secrets.token_hex(3)}"
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._due = 0.0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._create) for _ in range(clients)]

    def __enter__(self) -> Self:
        """Begin."""
        self._due = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, with all answers in."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def created(self, since: float = 0.0) -> int:
        """How many pods were created by requests sent since then."""
        return sum(answer.code == CREATED for answer in list(self.answers) if answer.sent >= since)

    def failed(self, since: float = 0.0) -> list[Answer]:
        """The requests sent since then that created no pod, in the order of their sending."""
        return sorted(
            (answer for answer in list(self.answers) if answer.code != CREATED and answer.sent >= since),
            key=lambda answer: answer.sent,
        )

    def stored(self) -> Iterator[Object]:
        """The pods of the namespace as they are stored, page by page."""
        token: str | None = ""
        try:
            while token is not None:
                page = json.loads(self._api.call("GET", f"{self._path}?limit={_PAGE}&continue={token}")[1])
                yield from page["items"]
                token = page["metadata"].get("continue") or None
        finally:
            self._api.close()

    def books(self, since: float = 0.0, until: float = float("inf")) -> Books:
        """Count what was sent in that time and read its pods as they are stored; after the end only."""
        answers = [answer for answer in self.answers if since <= answer.sent < until]
        names = {answer.name for answer in answers}
        stored = [each for each in self.stored() if each["metadata"]["name"] in names]
        seconds = sorted(answer.seconds for answer in answers if answer.code != UNANSWERED) or [0.0]
        sent = [answer.sent for answer in answers] or [0.0]
        return Books(
            sent=len(answers),
            created=sum(answer.code == CREATED for answer in answers),
            refused=sum(answer.code not in {CREATED, UNANSWERED} for answer in answers),
            unanswered=sum(answer.code == UNANSWERED for answer in answers),
            stored=len(stored),
            unmutated=sum(not is_be(each) for each in stored),
            rate=round(len(answers) / max(max(sent) - min(sent), 1e-3), 1),
            p50=round(seconds[len(seconds) // 2], 4),
            p99=round(seconds[len(seconds) * 99 // 100], 4),
            longest=round(seconds[-1], 4),
        )

    def clear(self) -> None:
        """Delete all pods of the namespace, so that its end is no work for others.

        In portions: the API server ends a request after a minute, however much is done by then.
        """
        while json.loads(self._api.call("GET", f"{self._path}?limit=1")[1])["items"]:
            code, body = self._api.call("DELETE", f"{self._path}?limit={_PAGE}", NOW)
            assert code == OK, body
        self._api.close()

    def _next(self) -> float:
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due + 1 / self._rate, now - 1.0)
            return self._due - now

    def _create(self) -> None:
        while not self._stop.wait(max(0.0, self._next())):
            name = f"{self._prefix}-{next(self._numbers)}"
            sent = time.monotonic()
            try:
                code, body = self._api.call("POST", self._path, self._make(name))
            except OSError as error:
                code, body = UNANSWERED, repr(error)
            seconds = time.monotonic() - sent
            said = "" if code == CREATED else message(body)
            self.answers.append(Answer(name, sent, seconds, code, said))
        self._api.close()
