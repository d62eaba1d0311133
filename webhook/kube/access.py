"""Where an API server is, and what proves who we are: in a pod, or what a kubeconfig says.

Files are read again for each connection, because they rotate: a service account's token
lives an hour, a certificate authority years.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(ValueError):
    """The cluster cannot be reached with what was given; the message names field, value and remedy."""


Bytes = Callable[[], bytes]
"""Something that may change: read when it is needed. May raise AccessError."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate chain and its key, both PEM."""

    certificate: Bytes
    key: Bytes


@dataclass(slots=True)
class Access:
    """How to reach one API server.

    Attributes:
        server: URL, https or (for tests and proxies) http.
        namespace: where a service account or a context is at home.
        authority: PEM of the CA to trust; None: those of the system.
        verify: whether the server's certificate is checked.
        server_name: the name it must be for, where that is not the URL's.
        token: the bearer token, without white space around it.
        client: what is shown in a TLS handshake.
        renew: called after a 401: the credentials were not good, or are not any more.
    """

    server: str
    namespace: str = "default"
    authority: Bytes | None = None
    verify: bool = True
    server_name: str | None = None
    token: Bytes | None = None
    basic: str | None = None
    client: Callable[[], ClientCertificate | None] = lambda: None
    renew: Callable[[], None] = lambda: None
    _context: ssl.SSLContext | None = field(default=None, repr=False)
    _made_of: tuple[bytes, ...] | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """Return what goes into each request; raises AccessError."""
        if self.token is not None:
            return {"Authorization": f"Bearer {self.token().decode('ascii', 'replace').strip()}"}
        return {"Authorization": f"Basic {self.basic}"} if self.basic else {}

    def context(self) -> ssl.SSLContext:
        """Return the TLS context for a new connection, made anew where files changed; raises AccessError."""
        authority = self.authority() if self.authority is not None else b""
        client = self.client()
        pair = (client.certificate(), client.key()) if client else (b"", b"")
        made_of = (authority, *pair)
        if self._context is None or made_of != self._made_of:
            self._context = self._make_context(*made_of)
            self._made_of = made_of
        return self._context

    def _make_context(self, authority: bytes, certificate: bytes, key: bytes) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
        except (ssl.SSLError, ValueError) as error:
            raise AccessError(
                f"the certificate authority of {self.server} is no PEM certificate: {error}"
            ) from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate:
            with _as_file(key + b"\n" + certificate) as path:
                try:
                    context.load_cert_chain(path)
                except (ssl.SSLError, OSError) as error:
                    raise AccessError(
                        f"the client certificate for {self.server} and its key cannot be used: {error}"
                    ) from None
        return context


def in_cluster(
    folder: Path = SERVICE_ACCOUNT, environment: "os._Environ[str] | dict[str, str]" = os.environ
) -> Access:
    """Return the access that a pod's service account has.

    Raises:
        AccessError: this is no pod, or its service account is not mounted.
    """
    host, port = (
        environment.get("KUBERNETES_SERVICE_HOST", ""),
        environment.get("KUBERNETES_SERVICE_PORT", ""),
    )
    if not host or not port:
        raise AccessError(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: "
            "this is no pod; use --kubeconfig FILE outside a cluster"
        )
    token, authority = from_file(folder / "token"), from_file(folder / "ca.crt")
    token()
    authority()
    namespace = folder / "namespace"
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        authority=authority,
        token=token,
    )


def from_file(path: Path) -> Bytes:
    """Return a reader of a file as it is at the time."""

    def read() -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise AccessError(f"{path}: {error.strerror}") from None

    return read


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give ``content`` a path, for OpenSSL, which takes nothing else; in memory where that is possible."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("client-pair"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name
