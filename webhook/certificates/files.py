"""A CA and a serving certificate in the files of one folder, made and renewed."""

import datetime as dt
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from webhook.certificates.issuing import Authority, canonical, issue, make_authority
from webhook.certificates.verifying import CertificateError, Pair, check_issued_by, check_pair
from webhook.kube.files import read_file

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
RENEW_BEFORE = dt.timedelta(days=30)
"""How long before its end a certificate is replaced."""


class CertificateFiles:
    """The paths of the four files.

    Attributes:
        ca_certificate: what clients trust.
        ca_key: the private key of the CA, which signs the next serving certificate.
        certificate: the serving certificate.
        key: its private key.
    """

    def __init__(self, folder: Path) -> None:
        """Name the files in a folder, which need not exist."""
        self.ca_certificate = folder / "ca.crt"
        self.ca_key = folder / "ca.key"
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"


def ensure(folder: Path, extra_names: Sequence[str], now: dt.datetime, *, force: bool = False) -> Pair | None:
    """Make or renew the files in ``folder``; return the new pair, None if all files were valid.

    A CA that is still valid signs the new leaf, so clients that trust it need no change; ``force``
    replaces both.

    Raises:
        OSError: the folder cannot be written.
        ValueError: a name is neither a DNS name nor an address.
    """
    files = CertificateFiles(folder)
    reason = "forced" if force else needs_renewal(files, extra_names, now)
    if reason is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    authority = None if force else _usable_authority(files, now)
    new_authority = authority is None
    if authority is None:
        authority = make_authority(now)
    chain, key = issue(authority, (*LOCAL_NAMES, *extra_names), now)
    pair = check_pair(chain, key, now)
    check_issued_by(chain, authority.certificate)
    if new_authority:
        _write(files.ca_key, authority.key, 0o600)
        _write(files.ca_certificate, authority.certificate, 0o644)
    # A server that reads between the two writes finds a key that does not match, keeps its old pair
    # and reads again later.
    _write(files.key, key, 0o600)
    _write(files.certificate, chain, 0o644)
    return pair


def needs_renewal(files: CertificateFiles, names: Sequence[str], now: dt.datetime) -> str | None:
    """Return why the serving certificate has to be replaced, or None."""
    try:
        chain, authority = read_file(files.certificate), read_file(files.ca_certificate)
        pair = check_pair(chain, read_file(files.key), now)
        check_issued_by(chain, authority)
    except FileNotFoundError as error:
        return f"{error.filename} does not exist"
    except CertificateError as error:
        return str(error)
    if pair.expires_at - now < RENEW_BEFORE:
        return f"it expires at {pair.expires_at:%Y-%m-%dT%H:%MZ}"
    missing = [name for name in (*LOCAL_NAMES, *names) if canonical(name) not in pair.names]
    if missing:
        return f"it is not for {', '.join(missing)}"
    return None


def _usable_authority(files: CertificateFiles, now: dt.datetime) -> Authority | None:
    try:
        certificate, key = read_file(files.ca_certificate), read_file(files.ca_key)
        ca = check_pair(certificate, key, now)
    except (FileNotFoundError, CertificateError):
        return None
    return Authority(certificate, key) if ca.expires_at - now >= 2 * RENEW_BEFORE else None


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a temporary file and rename it: readers see the old or the new content, and others no key."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
