"""The keeper: brings the Secret and the webhook configurations to where `rotation.plan` wants them.

Every process of every replica runs one, and none is needed more than another: each looks at
what is, changes one thing if something is to be changed, and looks again. A write holds for the
version that was looked at and no other, so whoever comes second looks again, too; no lease is
needed.

Of two times of day, its own and the API server's, a keeper believes the earlier one: what begins
later than the API server's clock tells is of no use, and a replica whose clock is ahead would make
just that for all of them.

A look reads the configurations first and the Secret after them. What is then published belongs
to a Secret no older than the configuration it replaces: a replica that slept in between cannot
take back what another one has published since.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from threading import Event, Thread
from typing import Any, Final
from urllib.parse import quote

from webhook.certificates import cabundle
from webhook.certificates.issuing import canonical
from webhook.certificates.rotation import Material, Seen, Terms, plan, supersedes
from webhook.certificates.secret import read_secret, write_secret
from webhook.certificates.verifying import CertificateError, Pair, read_chain
from webhook.kube.backoff import Backoff
from webhook.kube.client import JSON_PATCH, ApiError, Client
from webhook.kube.reflector import Reflector
from webhook.protocol import ANNOTATION_ROTATE

POLL_SECONDS: Final = 60.0
"""A look at least so often, whatever the watches tell."""

_PAUSE_SECONDS: Final = 0.1
"""After a look, so that somebody who undoes every write is not met by a busy loop."""

_LONG_SECONDS: Final = 5.0
_APART: Final = dt.timedelta(minutes=10)
"""Clocks that differ by more are worth a word."""

_OVERTAKEN_AT_MOST: Final = 10
"""Times in a row; somebody who is faster each time is nobody: the write is refused for good."""

_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
_KINDS: Final = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
_OVERTAKEN: Final = {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Somebody was faster: a newer version, deleted, or a patch whose ``test`` does not hold any more."""

Object = Mapping[str, Any]
_log = logging.getLogger(__name__)


class Rotator:
    """Keeps one Secret, and the ``caBundle`` of our webhooks in some configurations.

    Attributes:
        trusted: whether every configuration there is has been seen to trust what is served. Once
            true it stays so: what is overwritten later is put back sooner than a probe would tell.
        error: why the last look failed, None after a good one.
        failures: looks that failed, ever.
        writes: what has been written: ``secret`` and ``configuration``.
    """

    def __init__(  # noqa: PLR0913 — what it keeps, by which clocks, and whom it informs
        self,
        api: Client,
        secret: tuple[str, str],
        configurations: Iterable[str],
        terms: Terms,
        *,
        now: Callable[[], dt.datetime],
        clock: Callable[[], float] = time.monotonic,
        on_signing_key: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """Name what is kept; nothing is called yet.

        Args:
            api: the API server.
            secret: namespace and name.
            configurations: names; each may be that of a mutating one, a validating one, or both.
            terms: what an administrator chose.
            now: the time of day, for the ends of certificates.
            clock: seconds, for how long something has been so.
            on_signing_key: called with the Secret's signing key before its pair is given to anybody.
        """
        self.trusted = False
        self.error: str | None = None
        self.failures = 0
        self.writes = {"secret": 0, "configuration": 0}
        self._on_signing_key = on_signing_key
        self._api = api
        self._namespace, self._name = secret
        self._secrets = f"/api/v1/namespaces/{quote(self._namespace, safe='')}/secrets"
        self._configurations = [(f"{_ADMISSION}/{kind}", name) for name in configurations for kind in _KINDS]
        self._terms = terms
        self._names = {canonical(name) for name in terms.names}
        self._now = now
        self._clock = clock
        self._memory: Material | None = None
        self._pair: Pair | None = None
        self._since: dict[str, tuple[object, float]] = {}
        self._told = ""
        self._apart = False
        self._elsewhere: set[str] = set()
        self._overtaken = 0
        self._bell = _Bell()

    def read(self) -> Pair | None:
        """Return the pair to serve, None before there is one; of what is no good the last good one stays."""
        return self._pair

    @property
    def ends(self) -> dict[str, float]:
        """When the leaf and the CA behind it end, in seconds since the epoch."""
        if self._memory is None:
            return {}
        chains = {"leaf": self._memory.chain, "ca": self._memory.authority.certificate}
        return {name: read_chain(chain).expires_at.timestamp() for name, chain in chains.items()}

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Keep everything right until ``stop`` is set; meant to run in a thread.

        Args:
            stop: ends the loop and the watches.
            interval: seconds after which ``stop`` is seen at the latest.
        """
        watched = [(self._secrets, self._name), *self._configurations]
        reflectors = [
            Reflector(self._api, path, self._bell, selector={"fieldSelector": f"metadata.name={name}"})
            for path, name in watched
        ]
        for reflector in reflectors:
            Thread(target=reflector.run, args=(stop,), name="watch-certificates", daemon=True).start()
        backoff = Backoff()
        while not stop.is_set():
            try:
                wait = self.look()
                backoff.reset()
            except ApiError as error:
                wait = backoff.wait(error.retry_after)
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001 — see below
                # The loop must outlive a fault of ours, or certificates end in silence.
                _log.exception("looking after certificates failed")
                wait = _LONG_SECONDS
                self._failed(repr(error))
            stop.wait(_PAUSE_SECONDS)
            until = time.monotonic() + wait
            while not stop.is_set() and time.monotonic() < until:
                if self._bell.rang.wait(min(interval, max(until - time.monotonic(), 0.0))):
                    break
        for reflector in reflectors:
            reflector.abort()

    def look(self) -> float:
        """Look once and change at most what that look showed; return the seconds until the next one is due.

        Raises:
            ApiError: something could not be read or written; what was good until now stays in use.
        """
        self._bell.rang.clear()
        configurations = self._read_configurations()
        secret = self._get(self._secrets, self._name)
        found = self._read(secret)
        step = plan(
            found, self._memory, seen=self._seen(found, configurations), terms=self._terms, now=self._time()
        )
        if step.material is None:
            return step.wait or 0.0
        if step.material is not found:
            try:
                self._write(step.material, secret or {}, step.reason)
            except ApiError:
                if found is not None and not supersedes(self._memory, found):
                    self._serve(configurations, found)  # good until its end, although it cannot be renewed
                raise
            return 0.0  # what is there now is looked at before it is used
        if not self._serve(configurations, found):
            return 0.0
        self.error, self._overtaken = None, 0
        return min(POLL_SECONDS, POLL_SECONDS if step.wait is None else step.wait)

    @property
    def _where(self) -> str:
        return f"Secret {self._namespace}/{self._name}"

    def _time(self) -> dt.datetime:
        now, theirs = self._now(), self._api.date
        if theirs is None:
            return now
        apart = abs(now - theirs) > _APART
        if apart and not self._apart:
            _log.warning(
                "the clock here says %s, the API server's %s: put it right; the earlier is believed",
                f"{now:%Y-%m-%dT%H:%MZ}",
                f"{theirs:%Y-%m-%dT%H:%MZ}",
            )
        self._apart = apart
        return min(now, theirs)

    def _get(self, collection: str, name: str) -> dict[str, Any] | None:
        try:
            return self._api.get(f"{collection}/{quote(name, safe='')}")
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _read_configurations(self) -> dict[str, Object]:
        """Those there are, by path. One that is not there sends nobody here: nothing is to be done."""
        found: dict[str, Object] = {}
        for collection, name in self._configurations:
            one = self._get(collection, name)
            if one is not None:
                found[f"{collection}/{quote(name, safe='')}"] = one
        elsewhere = {path for path, one in found.items() if cabundle.leads_elsewhere(one, self._names)}
        for path in sorted(elsewhere - self._elsewhere):
            names = ", ".join(self._terms.names)
            _log.warning("%s: no webhook leads to %s, none gets a caBundle (--certificate-name)", path, names)
        self._elsewhere = elsewhere
        return found

    def _read(self, secret: Object | None) -> Material | None:
        if secret is None:
            if self._memory is not None:
                self._tell("was deleted")
            return None
        asked = ((secret.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION_ROTATE)
        try:
            material = read_secret(secret)
        except CertificateError as error:
            self._tell(f"is no good: {error}")
            return None
        if asked and material.asked is None:
            self._tell(f"annotation {ANNOTATION_ROTATE}: {asked!r} is not 'leaf' or 'ca': nothing is rotated")
        else:
            self._told = ""
        return material

    def _tell(self, message: str) -> None:
        """Log once for as long as it is so."""
        if message != self._told:
            self._told = message
            _log.warning("%s %s", self._where, message)

    def _seen(self, found: Material | None, configurations: Mapping[str, Object]) -> Seen:
        if found is None:
            known = set(self._memory.trusted) if self._memory is not None else set()
            strange = any(cabundle.trusted_by(one, self._names) - known for one in configurations.values())
            return Seen(strangers=self._for("strangers", True if strange else None))
        self._for("strangers", None)
        right = not any(cabundle.patch(one, self._names, found.bundle) for one in configurations.values())
        versions = {path: one["metadata"]["resourceVersion"] for path, one in configurations.items()}
        published = self._for("published", (found.revision, versions) if right else None)
        return Seen(held=self._for("held", found.revision) or 0.0, published=published)

    def _for(self, what: str, state: object) -> float | None:
        """Return for how many seconds ``state`` has been so; None: it is not."""
        if state is None:
            self._since.pop(what, None)
            return None
        if what not in self._since or self._since[what][0] != state:
            self._since[what] = (state, self._clock())
        return self._clock() - self._since[what][1]

    def _write(self, material: Material, secret: Object, reason: str) -> None:
        body = write_secret(material, self._namespace, self._name, secret)
        try:
            if secret:
                self._api.call("PUT", f"{self._secrets}/{quote(self._name, safe='')}", body=body)
            else:
                body["metadata"].pop("resourceVersion", None)
                self._api.call("POST", self._secrets, body=body)
        except ApiError as error:
            # Of a creation only the namespace can be not found.
            if error.status == HTTPStatus.CONFLICT or (secret and error.status == HTTPStatus.NOT_FOUND):
                self._forgive(error)
                return
            raise
        self._overtaken = 0
        self.writes["secret"] += 1
        _log.info("%s, revision %d: %s", self._where, material.revision, reason)

    def _serve(self, configurations: Mapping[str, Object], material: Material) -> bool:
        """Take what the Secret holds, and have it trusted; tell whether it was already."""
        self._take(material)
        if not self._publish(configurations, material):
            return False
        if not self.trusted:
            _log.info("%s: every webhook configuration trusts what is served", self._where)
        self.trusted = True
        return True

    def _take(self, material: Material) -> None:
        """Serve with what the Secret holds, and remember it."""
        before, self._memory = self._memory, material
        if before is None or before.signing_key != material.signing_key:
            self._on_signing_key(material.signing_key)
        if before != material:
            self._pair = material.check()

    def _publish(self, configurations: Mapping[str, Object], material: Material) -> bool:
        """Put every ``caBundle`` right; tell whether all were right already."""
        right, failed = True, None
        for path, one in configurations.items():
            operations = cabundle.patch(one, self._names, material.bundle)
            if not operations:
                continue
            right = False
            try:
                self._api.call("PATCH", path, body=operations, content_type=JSON_PATCH)
            except ApiError as error:
                if error.status not in _OVERTAKEN:
                    failed = error  # the other configurations need not suffer
                    continue
                self._forgive(error)
            else:
                self._overtaken = 0
                self.writes["configuration"] += 1
                _log.info("%s: caBundle put right", path)
        if failed is not None:
            raise failed
        return right

    def _forgive(self, error: ApiError) -> None:
        """Look again at once where somebody was faster; raise ``error`` where that cannot be why."""
        self._overtaken += 1
        if self._overtaken > _OVERTAKEN_AT_MOST:
            raise error

    def _failed(self, reason: str) -> None:
        if reason != self.error:
            _log.warning("certificates are not looked after: %s", reason)
        self.error = reason
        self.failures += 1


class _Bell:
    """What a reflector tells rings it; the look itself reads everything anew."""

    def __init__(self) -> None:
        self.rang = Event()

    def begin(self) -> None:
        """Nothing is kept."""

    def add(self, raw: Object) -> None:
        """Nothing is kept."""

    def commit(self) -> None:
        """A list is whole."""
        self.rang.set()

    def changed(self, _raw: Object) -> None:
        """An object changed."""
        self.rang.set()

    def deleted(self, _raw: Object) -> None:
        """An object is no more."""
        self.rang.set()
