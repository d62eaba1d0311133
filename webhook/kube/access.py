"""Where an API server is, and what proves who we are: in a pod, or what a kubeconfig says.

Files are read again for each connection, because they rotate: a service account's token
lives an hour, a certificate authority years.
"""

import os
import re
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from webhook.kube.files import read_file

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HEADER: Final = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""What a token can be made of: a line break would begin a header of its own."""

# Python 3.13 asks for more than Go does: extensions that old clusters' authorities lack. And
# Go trusts each certificate that it is given, be it the root of its chain or not.
_NOT_ASKED: Final = ssl.VERIFY_X509_STRICT
_ALSO_TAKEN: Final = ssl.VERIFY_X509_PARTIAL_CHAIN


class AccessError(ValueError):
    """The cluster cannot be reached with what was given; the message names field, value and remedy."""


Bytes = Callable[[], bytes]
"""Something that may change: read when it is needed. May raise AccessError."""


@dataclass(slots=True)
class Access:
    """How to reach one API server.

    Attributes:
        server: URL, https or (for tests and proxies) http.
        namespace: where a service account or a context is at home.
        authority: PEM of the CA to trust; None: those of the system.
        verify: whether the server's certificate is checked.
        server_name: the name it must be for, where that is not the URL's.
        proxy: URL of the HTTP proxy on the way, None where there is none.
        token: the bearer token; empty: none.
        basic: user and password as HTTP's basic authentication has them.
        client: PEM of the key and the certificate chain that a TLS handshake shows; empty: none.
        renew: called after a 401: the credentials were not good, or are not any more.
    """

    server: str
    namespace: str = "default"
    authority: Bytes | None = None
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None
    token: Bytes | None = None
    basic: str | None = None
    client: Bytes = lambda: b""
    renew: Callable[[], None] = lambda: None
    _context: ssl.SSLContext | None = field(default=None, repr=False)
    _made_of: tuple[bytes | None, bytes] | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """Return what goes into each request; raises AccessError."""
        if self.token is not None and (token := self.token()):
            check_token(token, f"the token for {self.server}")
            return {"Authorization": f"Bearer {token.decode()}"}
        return {"Authorization": f"Basic {self.basic}"} if self.basic else {}

    def context(self) -> ssl.SSLContext:
        """Return the TLS context for a new connection, a new one where files changed; raises AccessError."""
        made_of = (self.authority() if self.authority is not None else None, self.client())
        if self._context is None or made_of != self._made_of:
            self._context = self._make_context(*made_of)
            self._made_of = made_of
        return self._context

    def _make_context(self, authority: bytes | None, client: bytes) -> ssl.SSLContext:
        if authority is not None and not authority.strip():
            # Python would take the system's authorities instead.
            raise AccessError(f"the certificate authority of {self.server} is empty: it must be PEM")
        try:
            context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
        except (ssl.SSLError, ValueError) as error:
            raise AccessError(
                f"the certificate authority of {self.server} is no PEM certificate: {error}"
            ) from None
        context.verify_flags = (context.verify_flags | _ALSO_TAKEN) & ~_NOT_ASKED
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if client:
            try:
                load_pair(context, client)
            except OSError as error:
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
    host = environment.get("KUBERNETES_SERVICE_HOST")
    port = environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise AccessError(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: "
            "this is no pod; use --kubeconfig FILE outside a cluster"
        )
    authority = from_file(folder / "ca.crt")
    from_file(folder / "token")()  # an empty one may be filled yet, a missing one means no account
    authority()
    namespace = folder / "namespace"
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=read_file(namespace).decode().strip() if namespace.exists() else "default",
        authority=authority,
        token=token_file(folder / "token"),
    )


def from_file(path: Path, at: str = "") -> Bytes:
    """Return a reader of a file as it is at the time; ``at`` names it in messages, by default its path."""

    def read() -> bytes:
        try:
            return read_file(path)
        except OSError as error:
            raise AccessError(f"{at or path}: {error.strerror}") from None

    return read


def token_file(path: Path, at: str = "") -> Bytes:
    """Return a reader of the token in a file, without white space around it."""
    content = from_file(path, at)

    def read() -> bytes:
        token = content().strip()
        if not token:
            raise AccessError(f"{at or path}: is empty: it must hold a token")
        check_token(token, at or str(path))
        return token

    return read


def check_token(token: bytes, at: str) -> None:
    """Raise AccessError where a token cannot stand in a header; it is not shown."""
    if not _HEADER.fullmatch(token):
        raise AccessError(
            f"{at}: holds a line break, or another character that no token has: write it in one line"
        )


def http_url(text: str) -> Url | None:
    """Return the parts of an http:// or https:// URL with a host; None for anything else."""
    try:
        url = parse_url(text)
    except LocationParseError:
        return None
    return url if url.scheme in {"http", "https"} and url.host else None


def parse_server(text: str, at: str) -> Url:
    """Return the parts of an API server's URL; raises AccessError, which begins with ``at``."""
    url = http_url(text)
    if url is None or url.auth or url.query or url.fragment:
        raise AccessError(f"{at}: {text!r} is not an https:// URL of scheme, host, port and path alone")
    return url


def load_pair(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a key and its certificate chain into a context; raises OSError (``ssl.SSLError`` is one).

    OpenSSL takes nothing but a path, and the files that they came from may have changed.
    """
    in_memory = hasattr(os, "memfd_create")  # Linux: nothing touches a disk, which may be read-only anyway.
    with os.fdopen(os.memfd_create("pair"), "wb") if in_memory else tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        path = f"/proc/self/fd/{file.fileno()}" if in_memory else file.name
        # Without a password OpenSSL would ask for that of an encrypted key on the terminal.
        context.load_cert_chain(path, password="")
