"""The reconcile loop that brings the Secret and the webhook configurations to what `rotation.plan` wants.

Every process of every replica runs one, and all are equal: each reads the present state, makes
at most one change, and reads again. A write is conditional on the version that was read, so a
replica that comes second fails and reads again; no lease is needed.

Of two times of day, its own and the API server's, a rotator uses the earlier one: a certificate
that begins later than the API server's clock says is not valid yet, and a replica whose clock is
ahead would issue such a certificate for all of them.

A reconcile reads the configurations first and the Secret after them. The bundle that is then
published belongs to a Secret no older than the configuration it replaces: a replica that slept
in between cannot undo what another one has published since.
"""

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from threading import Event
from typing import Any, Final

from webhook.certificates import cabundle
from webhook.certificates.issuing import canonical
from webhook.certificates.rotation import Material, Observed, Terms, plan, supersedes
from webhook.certificates.secret import read_secret, write_secret
from webhook.certificates.trustbundle import Found, TrustBundle
from webhook.certificates.verifying import CertificateError, Pair, read_chain
from webhook.kube.apply import owners_of
from webhook.kube.cache.reflector import Reflector, watching
from webhook.kube.cache.store import Store
from webhook.kube.client import JSON_PATCH, ApiError, Client
from webhook.kube.loop import run_loop
from webhook.kube.paths import collection, member
from webhook.protocol import ANNOTATION_ROTATE

POLL_SECONDS: Final = 60.0
"""Seconds between two reconciles at most, even when no watch reports a change."""

_PAUSE_SECONDS: Final = 0.1
"""Wait after each reconcile: no busy loop, even when somebody undoes every write."""

_FAULT_SECONDS: Final = 5.0
_ROLLOUT_SECONDS: Final = 2.0
"""Seconds between two looks at a rollout that is under way."""

_ROLLOUT_PATIENCE: Final = 3600.0
"""Seconds for which a new CA waits for those who read it of the ConfigMap, before it is used without them."""

_MAX_CLOCK_SKEW: Final = dt.timedelta(minutes=10)
"""A larger difference from the API server's clock is logged."""

_MAX_CONFLICTS: Final = 10
"""In a row. After so many, no other writer is the cause: the API server refuses the write itself."""

_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_RESOURCES: Final = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
_CONFLICTS: Final = {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Another writer came first: a newer version, a deleted object, or a patch whose ``test`` fails."""

Object = Mapping[str, Any]
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Rotator:
    """Reconciles one Secret, and the ``caBundle`` of our webhooks in some webhook configurations.

    Made of the API server, namespace and name of the Secret, the names of webhook configurations (mutating,
    validating, or both), and what an administrator chose. Nothing is called before ``watch``.

    Attributes:
        now: the time of day, compared with the ends of certificates.
        clock: seconds of a monotonic clock, which measures how long a state has lasted.
        on_signing_key: called with the Secret's signing key before its pair is served.
        trust_bundle: for clients that read the CA of a file; None: there are none.
        trusted: whether every existing configuration has been seen to trust the served certificate.
            Once true it stays true: an overwritten bundle is restored sooner than a probe would fail.
        error: why the last reconcile failed, None after a successful one.
        failures: how many reconciles have failed.
        writes: how many writes succeeded: ``secret``, ``configuration``; of the trust bundle ``configmap``
            and ``deployment``.
    """

    _api: Client
    _secret: tuple[str, str]
    _managed: Iterable[str]
    _terms: Terms
    _: KW_ONLY
    now: Callable[[], dt.datetime]
    clock: Callable[[], float] = time.monotonic
    on_signing_key: Callable[[bytes], None] = lambda _: None
    trust_bundle: TrustBundle | None = None
    trusted: bool = field(default=False, init=False)
    error: str | None = field(default=None, init=False)
    failures: int = field(default=0, init=False)
    writes: Counter[str] = field(default_factory=lambda: Counter(secret=0, configuration=0), init=False)
    _memory: Material | None = field(default=None, init=False)
    _pair: Pair | None = field(default=None, init=False)
    _since: dict[str, tuple[object, float]] = field(default_factory=dict, init=False)
    _warned: str = field(default="", init=False)
    _skewed: bool = field(default=False, init=False)
    _without_ours: set[str] = field(default_factory=set, init=False)
    _conflicts: int = field(default=0, init=False)
    _lags: bool = field(default=False, init=False)
    _news: Event = field(default_factory=Event, init=False)

    def __post_init__(self) -> None:
        """Name what is called later."""
        namespace, name = self._secret
        self._secret_label = f"Secret {namespace}/{name}"
        self._secrets = collection("v1", "secrets", namespace)
        resources = [collection(_ADMISSION, resource) for resource in _RESOURCES]
        self._configurations = [(path, name) for name in self._managed for path in resources]
        self._names = {canonical(name) for name in self._terms.names}

    def read(self) -> Pair | None:
        """Return the pair to serve, None before there is one; the last valid one while the Secret is bad."""
        return self._pair

    def ends(self) -> dict[str, float]:
        """Return when the leaf and the CA behind it end, in seconds since the epoch."""
        if self._memory is None:
            return {}
        chains = {"leaf": self._memory.chain, "ca": self._memory.authority.certificate}
        return {name: read_chain(chain).expires_at.timestamp() for name, chain in chains.items()}

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Reconcile until ``stop`` is set; meant to run in a thread.

        Args:
            stop: ends the loop and the watches.
            interval: seconds after which ``stop`` is noticed at the latest.
        """
        # They keep versions only: a change starts a reconcile, which reads all again.
        reflectors = {
            f"certificates-{number}": Reflector(
                self._api,
                path,
                Store(lambda _, raw, __: str(raw["metadata"]["resourceVersion"]), news=self._news.set),
                selector={"fieldSelector": f"metadata.name={name}"},
            )
            for number, (path, name) in enumerate([(self._secrets, self._secret[1]), *self._configurations])
        }

        def step() -> float:
            seconds = self.reconcile()
            stop.wait(_PAUSE_SECONDS)
            return seconds

        with watching(reflectors, stop):
            run_loop(
                step,
                stop,
                name="certificate reconcile",
                interval=interval,
                pause=_FAULT_SECONDS,
                forbidden=0.0,
                wake=self._news,
                failed=self._failed,
            )

    def reconcile(self) -> float:
        """Read the state once and make the one change that it calls for.

        Returns:
            Seconds until the next reconcile is due.

        Raises:
            ApiError: something could not be read or written; the last valid pair stays in use.
        """
        self._news.clear()
        configurations = self._read_configurations()
        bundle = None if self.trust_bundle is None else self.trust_bundle.read()
        secret = self._api.find(member(self._secrets, self._secret[1]))
        found = self._read(secret)
        observed = self._observed(found, configurations, bundle)
        step = plan(found, self._memory, observed=observed, terms=self._terms, now=self._time())
        if step.material is None:
            return step.wait or 0.0
        if step.material is not found:
            try:
                self._write(step.material, secret or {}, step.reason)
            except ApiError:
                if found is not None and not supersedes(self._memory, found):
                    # Valid until it expires, although it cannot be renewed.
                    self._serve(configurations, found)
                raise
            return 0.0  # what was written is read again before it is served
        if not self._serve(configurations, found) or self._brought(bundle, found):
            return 0.0
        self.error, self._conflicts = None, 0
        due = POLL_SECONDS if step.wait is None else step.wait
        return min(POLL_SECONDS, due, _ROLLOUT_SECONDS if self._lags else POLL_SECONDS)

    def _time(self) -> dt.datetime:
        now, theirs = self.now(), self._api.date
        if theirs is None:
            return now
        skewed = abs(now - theirs) > _MAX_CLOCK_SKEW
        if skewed and not self._skewed:
            _log.warning(
                "this machine's clock says %s, the API server's %s: correct it; the earlier time is used",
                f"{now:%Y-%m-%dT%H:%MZ}",
                f"{theirs:%Y-%m-%dT%H:%MZ}",
            )
        self._skewed = skewed
        return min(now, theirs)

    def _read_configurations(self) -> Mapping[str, Object]:
        """Return the existing ones by path. One that does not exist sends no reviews here: it is left out."""
        paths = [member(path, name) for path, name in self._configurations]
        found = {path: one for path in paths if (one := self._api.find(path)) is not None}
        without_ours = {path for path, one in found.items() if cabundle.calls_only_others(one, self._names)}
        for path in sorted(without_ours - self._without_ours):
            names = ", ".join(self._terms.names)
            _log.warning("%s: no webhook calls %s, none gets a caBundle (--certificate-name)", path, names)
        self._without_ours = without_ours
        return found

    def _read(self, secret: Object | None) -> Material | None:
        if secret is None:
            if self._memory is not None:
                self._warn_once("was deleted")
            return None
        requested = ((secret.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION_ROTATE)
        try:
            material = read_secret(secret)
        except CertificateError as error:
            self._warn_once(f"is invalid: {error}")
            return None
        if requested and material.requested is None:
            self._warn_once(
                f"annotation {ANNOTATION_ROTATE}: {requested!r} is not 'leaf' or 'ca': nothing is rotated"
            )
        else:
            self._warned = ""
        return material

    def _warn_once(self, message: str) -> None:
        """Log a problem of the Secret once for as long as it lasts."""
        if message != self._warned:
            self._warned = message
            _log.warning("%s %s", self._secret_label, message)

    def _observed(
        self, found: Material | None, configurations: Mapping[str, Object], bundle: Found | None
    ) -> Observed:
        if found is None:
            known = set(self._memory.trusted) if self._memory is not None else set()
            unknown = any(cabundle.trusted_by(one, self._names) - known for one in configurations.values())
            return Observed(unknown_ca=self._lasted("unknown_ca", True if unknown else None))
        self._lasted("unknown_ca", None)
        complete = not any(cabundle.patch(one, self._names, found.bundle) for one in configurations.values())
        versions = {path: one["metadata"]["resourceVersion"] for path, one in configurations.items()}
        if self.trust_bundle is not None and bundle is not None:
            self._lags = not self.trust_bundle.trusts(bundle, found)
            lagged = self._lasted("lags", found.revision if self._lags else None)
            complete = complete and (lagged is None or lagged > _ROLLOUT_PATIENCE)
            versions["ConfigMap"] = bundle.version
        published = self._lasted("published", (found.revision, versions) if complete else None)
        return Observed(held=self._lasted("held", found.revision) or 0.0, published=published)

    def _lasted(self, name: str, state: object) -> float | None:
        """Return for how many seconds ``state`` has lasted; None for None, which means no such state."""
        if state is None:
            self._since.pop(name, None)
            return None
        if name not in self._since or self._since[name][0] != state:
            self._since[name] = (state, self.clock())
        return self.clock() - self._since[name][1]

    def _write(self, material: Material, secret: Object, reason: str) -> None:
        body = write_secret(material, *self._secret, secret)
        try:
            if secret:
                self._api.call("PUT", member(self._secrets, self._secret[1]), body=body)
            else:
                body["metadata"].pop("resourceVersion", None)
                self._api.call("POST", self._secrets, body=body)
        except ApiError as error:
            # When a creation gets a 404, it is the namespace that does not exist.
            if error.status == HTTPStatus.CONFLICT or (secret and error.status == HTTPStatus.NOT_FOUND):
                self._conflicted(error)
                return
            raise
        self._conflicts = 0
        self.writes["secret"] += 1
        _log.info("%s, revision %d: %s", self._secret_label, material.revision, reason)

    def _serve(self, configurations: Mapping[str, Object], material: Material) -> bool:
        """Serve what the Secret holds and publish its CA; return whether all trusted it already."""
        before, self._memory = self._memory, material
        if before is None or before.signing_key != material.signing_key:
            self.on_signing_key(material.signing_key)
        if before != material:
            self._pair = material.check()
        if not self._publish(configurations, material):
            return False
        if not self.trusted:
            _log.info("%s: every webhook configuration trusts the served certificate", self._secret_label)
        self.trusted = True
        return True

    def _publish(self, configurations: Mapping[str, Object], material: Material) -> bool:
        """Correct every ``caBundle``; return whether all were correct already."""
        correct, failed = True, None
        for path, one in configurations.items():
            operations = cabundle.patch(one, self._names, material.bundle)
            if not operations:
                continue
            correct = False
            try:
                self._api.call("PATCH", path, body=operations, content_type=JSON_PATCH)
            except ApiError as error:
                if error.status not in _CONFLICTS:
                    failed = error  # raised after the other configurations were corrected
                    continue
                self._conflicted(error)
            else:
                self._conflicts = 0
                self.writes["configuration"] += 1
                _log.info("%s: caBundle updated", path)
        if failed is not None:
            raise failed
        return correct

    def _brought(self, bundle: Found | None, material: Material) -> bool:
        """Make the one change that the trust bundle needs; return whether it was made, or came too late."""
        if self.trust_bundle is None or bundle is None:
            return False
        try:
            written = self.trust_bundle.bring(bundle, material)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT or owners_of(error):
                raise
            self._conflicted(error)
            return True
        if written:
            self._conflicts = 0
            self.writes[written] += 1
            _log.info("%s: the %s that has the CA is up to date", self._secret_label, written)
        return bool(written)

    def _conflicted(self, error: ApiError) -> None:
        """Count a conflict, after which the state is read again; raise ``error`` after too many in a row."""
        self._conflicts += 1
        if self._conflicts > _MAX_CONFLICTS:
            raise error

    def _failed(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, ApiError) else repr(error)
        if reason != self.error:
            _log.warning("certificate reconcile failed: %s", reason)
        self.error = reason
        self.failures += 1
