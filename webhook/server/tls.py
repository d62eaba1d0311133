"""The TLS context, and the certificate in it, which changes with where it comes from."""

import datetime as dt
import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from webhook.certificates.verifying import CertificateError, Pair, check_pair, split
from webhook.kube.access import load_pair
from webhook.kube.files import read_file
from webhook.kube.loop import run_loop
from webhook.kube.timestamps import utc_now

_LOG = logging.getLogger(__name__)


class PairSource(Protocol):
    """Where the pair to serve comes from.

    Attributes:
        trusted: whether the API server trusts what is served, as far as can be known here.
        error: why a newer pair cannot be had, None when all is well.
        failures: how often a newer pair could not be had, ever.
    """

    trusted: bool
    error: str | None
    failures: int

    def ends(self) -> Mapping[str, float]:
        """Return when the certificates end that are not in the pair's chain, in seconds since the epoch."""

    def read(self) -> Pair | None:
        """Return the newest good pair, None before there is one; raises CertificateError or OSError."""


class PairFiles:
    """A chain and its key in two files, which somebody else makes and renews."""

    trusted: bool = True
    error: str | None = None
    failures: int = 0

    def __init__(self, certificate: Path, key: Path, *, now: Callable[[], dt.datetime] = utc_now) -> None:
        """Name the files."""
        self._certificate = certificate
        self._key = key
        self._now = now

    def __str__(self) -> str:
        """Name the files."""
        return f"{self._certificate} and {self._key}"

    def ends(self) -> Mapping[str, float]:
        """Return nothing: there is no other certificate than those of the chain."""
        return {}

    def read(self) -> Pair:
        """Read and check both; raises CertificateError or OSError.

        Content is compared by whoever asks, not time stamps: a Secret's symlink swap and two writes
        within one tick look the same.
        """
        return check_pair(read_file(self._certificate), read_file(self._key), self._now())


class ServingCertificate:
    """The certificate being served, taken over from its source only when it is good.

    `context` stays the same object for the life of the process. It hands each handshake to the
    newest certificate's own context, because a certificate of another key type does not replace the
    old one inside a context but joins it. Before there is a pair every handshake is refused.

    Attributes:
        pair: what is served; None before there is anything.
        reads: how often the source was asked.
        reload_errors: how often it had nothing good, each new reason counted once.
        requires_client_cert: whether clients are asked for a certificate (``client_ca``).
    """

    def __init__(
        self,
        source: PairSource,
        *,
        client_ca: Path | None = None,
        on_refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read the source once; raises CertificateError or OSError.

        Args:
            source: of the pair.
            client_ca: PEM file with the CAs of clients; a client is asked for a certificate then,
                one of another CA ends the handshake, and `Connection` turns away those without.
            on_refused: called, in the event loop, with why a client's certificate was not accepted.
        """
        self._source = source
        self._client_ca = client_ca
        self._error: str | None = None
        self._reload_errors = 0
        self.reads = 1
        self.requires_client_cert = client_ca is not None
        self.pair = source.read()
        self._clients = self._read_clients()
        self._current = None if self.pair is None else _context(self.pair, self._clients)
        self.context = _empty_context(requires_client_cert=self.requires_client_cert)
        self.context.sni_callback = self._choose
        if self.requires_client_cert:
            self.context.sslobject_class = _reporting(on_refused)

    @property
    def ready(self) -> bool:
        """Whether there is a pair, and the API server trusts it as far as can be known here."""
        return self.pair is not None and self._source.trusted

    @property
    def error(self) -> str | None:
        """Why the newest state is not served, None when it is."""
        return self._error or self._source.error

    @property
    def reload_errors(self) -> int:
        """How often something newer could not be had."""
        return self._reload_errors + self._source.failures

    @property
    def ends(self) -> dict[str, float]:
        """When each certificate ends, in seconds since the epoch: ``leaf`` (its whole chain), and ``ca``."""
        served = {} if self.pair is None else {"leaf": self.pair.expires_at.timestamp()}
        return {**self._source.ends(), **served}

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None

    def reload_if_changed(self) -> None:
        """Take over what the source has now, if it is new and good; each new reason why not is noted once."""
        self.reads += 1
        pair, clients, wrong = self.pair, self._clients, []
        try:
            pair = self._source.read()
        except (OSError, CertificateError) as error:
            wrong.append(f"{self._source}: {error}")
        try:
            clients = self._read_clients()
        except (OSError, CertificateError) as error:  # which must not keep a new pair away
            wrong.append(str(error))
        context = None
        if pair is not None and (pair, clients) != (self.pair, self._clients):
            try:
                context = _context(pair, clients)
            except ssl.SSLError as error:
                wrong.append(str(error))
        reason = "; ".join(wrong) or None
        if reason is not None and reason != self._error:
            self._reload_errors += 1
            _LOG.error("%s; the old one stays", reason)
        self._error = reason
        if pair is None or context is None:
            return
        self.pair, self._clients, self._current = pair, clients, context
        _LOG.info(
            "serving the certificate of %s, which ends at %s",
            ", ".join(pair.names),
            pair.expires_at.isoformat(),
        )

    def watch(self, stop: threading.Event, interval: float) -> None:
        """Look at the source every ``interval`` seconds until ``stop``; runs in a thread of its own."""
        name = "reloading the certificate"
        run_loop(self.reload_if_changed, stop, name=name, interval=interval, pause=interval)

    def _read_clients(self) -> bytes | None:
        if self._client_ca is None:
            return None
        try:
            return b"".join(split(read_file(self._client_ca)))
        except CertificateError as error:
            raise CertificateError(f"{self._client_ca}: {error}") from None


def _empty_context(*, requires_client_cert: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if requires_client_cert:
        context.verify_mode = ssl.CERT_OPTIONAL
        # A session that is taken up again would not be asked once more.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def _reporting(refused: Callable[[str], None]) -> type[ssl.SSLObject]:
    """Return a class that makes handshakes, and reports to both sides a certificate that ends one.

    A loop that sees the error closes the connection and leaves OpenSSL's alert unsent; one that
    is asked for more bytes sends it, and the client closes.
    """

    class Reporting(ssl.SSLObject):
        reported = False

        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLCertVerificationError as error:
                if self.reported:
                    raise
                self.reported = True
                refused(error.verify_message)
                raise ssl.SSLWantReadError from error

    return Reporting


def _context(pair: Pair, clients: bytes | None) -> ssl.SSLContext:
    context = _empty_context(requires_client_cert=clients is not None)
    load_pair(context, pair.key + b"\n" + pair.chain)
    if clients is not None:
        context.load_verify_locations(cadata=clients.decode("ascii"))
    return context
