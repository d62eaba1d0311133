"""Issuing of a CA and of serving certificates: values in, PEM out, no file and no clock.

Keys are ECDSA P-256: every client that speaks TLS 1.2 supports them, and a handshake costs a tenth
of one with RSA.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = dt.timedelta(days=3650)
LEAF_LIFETIME = dt.timedelta(days=365)
BACKDATED = dt.timedelta(hours=1)
"""How long before their issue certificates begin, so that a client whose clock is behind accepts them."""

_NAME_LENGTH, _LABEL_LENGTH = 253, 63
"""RFC 1035, section 2.3.4."""


@dataclasses.dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign: its certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def make_authority(now: dt.datetime) -> Authority:
    """Make a self-signed CA that may sign leaves only (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial in the name distinguishes the old and the new CA in a trust store that holds both.
    serial = x509.random_serial_number()
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"colocation-webhook CA {serial & 0xFFFFFFFF:08x}")]
    )
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
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
        _builder(x509.Name([]), ca.subject, key.public_key(), now, lifetime)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(sans), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
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
    public_key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def general_name(name: str) -> x509.GeneralName:
    """Return a name as a SubjectAlternativeName; raises ValueError for neither a DNS name nor an address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    labels = name.split(".")
    if not name.isascii() or len(name) > _NAME_LENGTH or not all(_is_label(label) for label in labels):
        raise ValueError(f"{name!r} is neither a DNS name nor an IP address")
    return x509.DNSName(name)


def _is_label(label: str) -> bool:
    """Whether RFC 1123 allows a label; a single asterisk is allowed, too."""
    if label == "*":
        return True
    plain = label.replace("-", "").isalnum()
    return plain and len(label) <= _LABEL_LENGTH and not label.startswith("-") and not label.endswith("-")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
