"""The TLS context, and the certificate in it, which changes with its files."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from webhook.certificates import CertificateError, Pair, check_pair

_LOG = logging.getLogger(__name__)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class ServingCertificate:
    """The certificate being served, taken over from two files only when both are good.

    `context` stays the same object for the life of the process. It hands each handshake to the
    newest certificate's own context, because a certificate of another key type does not replace the
    old one inside a context but joins it.
    """

    def __init__(self, certificate: Path, key: Path, *, now: Callable[[], dt.datetime] = _utc_now) -> None:
        """Read and check both files; raises CertificateError or OSError."""
        self._certificate = certificate
        self._key = key
        self._now = now
        self.error: str | None = None
        self.reload_errors = 0
        self._seen = self._read()
        self.pair = check_pair(*self._seen, now())
        self._current = _context(self.pair)
        self.context = _context(self.pair)
        self.context.sni_callback = self._choose

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    def reload_if_changed(self) -> bool:
        """Take over what the files hold now, if it is new and good; whether it was.

        Content is compared, not time stamps: a Secret's symlink swap and two writes within one tick
        look the same.
        """
        try:
            content = self._read()
            if content == self._seen:
                if content == (self.pair.chain, self.pair.key):
                    self.error = None  # They could not be read for a while and are the same again.
                return False
            self._seen = content
            pair = check_pair(*content, self._now())
            context = _context(pair)
        except (OSError, CertificateError, ssl.SSLError) as error:
            self._keep(str(error))
            return False
        self.pair, self._current = pair, context
        self.error = None
        _LOG.info(
            "serving the certificate of %s, which ends at %s",
            ", ".join(pair.names),
            pair.expires_at.isoformat(),
        )
        return True

    def watch(self, stop: threading.Event, interval: float) -> None:
        """Look at the files every ``interval`` seconds until ``stop``; runs in a thread of its own."""
        while not stop.wait(interval):
            try:
                self.reload_if_changed()
            except Exception:  # noqa: BLE001 — a fault of ours must not end the watch
                _LOG.exception("looking at %s failed; tried again", self._certificate)

    def _keep(self, reason: str) -> None:
        """The files are not good: note it once for each new reason and go on with what there is."""
        if reason != self.error:
            self.error = reason
            self.reload_errors += 1
            _LOG.error("%s and %s: %s; the old certificate stays", self._certificate, self._key, reason)

    def _read(self) -> tuple[bytes, bytes]:
        return self._certificate.read_bytes(), self._key.read_bytes()


def _context(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    with _as_file(pair.key + b"\n" + pair.chain) as path:
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give ``content`` a path: OpenSSL takes nothing else, and the files may have changed."""
    if hasattr(os, "memfd_create"):  # Linux: nothing touches a disk, which may be read-only anyway.
        with os.fdopen(os.memfd_create("serving-pair"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.NamedTemporaryFile() as file:  # Readable by its owner only.
        file.write(content)
        file.flush()
        yield file.name
