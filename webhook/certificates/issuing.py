"""Issuing of a CA and of serving certificates: values in, PEM out, no file and no clock.

Keys are ECDSA P-256: every client that speaks TLS 1.2 supports them, and a handshake costs a tenth
of one with RSA.
"""

import dataclasses
import datetime as dt
import ipaddress
import re
import secrets
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = dt.timedelta(days=3650)
LEAF_LIFETIME = dt.timedelta(days=365)
BACKDATED = dt.timedelta(hours=1)
"""How long before their issue certificates begin, so that a client whose clock is behind accepts them."""

_NAME_LENGTH = 253
"""RFC 1035, section 2.3.4."""

_LABEL = re.compile(r"\*|[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A label that RFC 1123 allows, or a single asterisk."""


@dataclasses.dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign: its certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def make_authority(now: dt.datetime) -> Authority:
    """Make a self-signed CA that may sign leaves only (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The number in the name distinguishes the old and the new CA in a trust store that holds both.
    common_name = f"colocation-webhook CA {secrets.token_hex(4)}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = _builder(name, name, key, now, CA_LIFETIME, is_ca=True).sign(key, hashes.SHA256())
    return Authority(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def issue(authority: Authority, names: Iterable[str], now: dt.datetime) -> tuple[bytes, bytes]:
    """Issue a serving certificate for ``names`` (DNS names or addresses): (chain, key), both PEM.

    The leaf never outlives its CA.

    Raises:
        ValueError: a name is neither a DNS name nor an address, there is none, or the CA's key is
            neither ECDSA nor RSA.
    """
    sans = [general_name(name) for name in dict.fromkeys(map(canonical, names))]
    if not sans:
        raise ValueError("a serving certificate needs at least one name")
    ca = x509.load_pem_x509_certificate(authority.certificate)
    ca_key = serialization.load_pem_private_key(authority.key, password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):  # a CA that a user brought
        raise ValueError("the CA key is neither ECDSA nor RSA")  # noqa: TRY004 — a file's value, no argument's type
    key = ec.generate_private_key(ec.SECP256R1())
    lifetime = min(LEAF_LIFETIME, ca.not_valid_after_utc - now)
    # RFC 5280, section 4.1.2.6: with an empty subject the names must be critical; clients ignore the
    # common name.
    certificate = (
        _builder(x509.Name([]), ca.subject, key, now, lifetime, is_ca=False)
        .add_extension(x509.SubjectAlternativeName(sans), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key)


def canonical(name: str) -> str:
    """Return an address or a DNS name in its canonical spelling."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    lifetime: dt.timedelta,
    *,
    is_ca: bool,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def general_name(name: str) -> x509.GeneralName:
    """Return a name as a SubjectAlternativeName; raises ValueError for neither a DNS name nor an address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if len(name) > _NAME_LENGTH or not all(map(_LABEL.fullmatch, name.split("."))):
        raise ValueError(f"{name!r} is neither a DNS name nor an IP address")
    return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
