"""Verification of certificate chains and their keys before they are served."""

import dataclasses
import datetime as dt
import itertools
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

# A damaged certificate may parse as a whole and fail when one of its fields is read.
_DAMAGED = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)
_NOT_ISSUED = (*_DAMAGED, TypeError, InvalidSignature)


class CertificateError(Exception):
    """A certificate, key or chain must not be used; the message says which and why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A verified chain and the private key of its leaf.

    Attributes:
        chain: PEM, leaf first.
        key: PEM.
        names: DNS names and addresses of the leaf.
        expires_at: the earliest end of a certificate in the chain.
    """

    chain: bytes
    key: bytes
    names: tuple[str, ...]
    expires_at: dt.datetime


def check_pair(chain: bytes, key: bytes, now: dt.datetime) -> Pair:
    """Verify that a chain is consistent, is valid at ``now`` and belongs to the key.

    Args:
        chain: PEM, leaf first.
        key: PEM, without a passphrase.
        now: a time at which every certificate must be valid.

    Raises:
        CertificateError: one of these does not hold.
    """
    pair = read_pair(chain, key)
    for number, certificate in enumerate(_certificates(chain), start=1):
        if certificate.not_valid_after_utc <= now:
            end = certificate.not_valid_after_utc
            raise CertificateError(f"certificate {number} of the chain expired at {end:%Y-%m-%dT%H:%MZ}")
        if certificate.not_valid_before_utc > now:
            begin = certificate.not_valid_before_utc
            raise CertificateError(f"certificate {number} of the chain begins at {begin:%Y-%m-%dT%H:%MZ}")
    return pair


def read_pair(chain: bytes, key: bytes) -> Pair:
    """Verify a chain and its key, except the validity in time, which the client's clock decides.

    Raises:
        CertificateError: the chain is not consistent, or the key belongs to another certificate.
    """
    certificates = _certificates(chain)
    leaf = certificates[0]
    try:
        certified = _encoded(leaf.public_key())
    except _DAMAGED as error:
        raise CertificateError(f"the certificate's public key cannot be read: {error}") from error
    if _encoded(_private_key(key).public_key()) != certified:
        raise CertificateError("the key does not belong to the certificate")
    for number, (issued, issuer) in enumerate(itertools.pairwise(certificates), start=1):
        try:
            issued.verify_directly_issued_by(issuer)
        except _NOT_ISSUED as error:
            raise CertificateError(
                f"certificate {number} of the chain was not issued by certificate {number + 1}"
            ) from error
    return Pair(chain, key, names(leaf), min(c.not_valid_after_utc for c in certificates))


def check_issued_by(chain: bytes, authority: bytes) -> None:
    """Raise CertificateError unless a CA in ``authority`` signed the top of ``chain`` (both PEM)."""
    top = _certificates(chain)[-1]
    for issuer in _certificates(authority):
        try:
            top.verify_directly_issued_by(issuer)
        except _NOT_ISSUED:
            if top == issuer:  # the chain contains the CA itself
                return
        else:
            return
    raise CertificateError("the serving certificate was not issued by this CA")


class Chain(NamedTuple):
    """Names and end of a chain, unverified.

    Attributes:
        names: DNS names and addresses of the leaf.
        expires_at: the earliest end of a certificate in the chain.
    """

    names: tuple[str, ...]
    expires_at: dt.datetime


def read_chain(chain: bytes) -> Chain:
    """Read a chain (PEM, leaf first), valid or not; raises CertificateError if it is no chain."""
    certificates = _certificates(chain)
    return Chain(names(certificates[0]), min(c.not_valid_after_utc for c in certificates))


def split(pem: bytes) -> tuple[bytes, ...]:
    """Return each certificate of a bundle as normalized PEM; raises CertificateError if there is none."""
    return tuple(c.public_bytes(serialization.Encoding.PEM) for c in _certificates(pem))


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and addresses of a certificate as text."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()
    addresses = extension.get_values_for_type(x509.IPAddress)
    return (*extension.get_values_for_type(x509.DNSName), *(str(address) for address in addresses))


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except _DAMAGED as error:
        raise CertificateError("the certificate file holds no complete PEM certificate") from error


def _private_key(pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise CertificateError("the key is encrypted; a server needs it without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("the key file holds no complete PEM private key") from error


def _encoded(key: PublicKeyTypes) -> bytes:
    """Return one encoding for every kind of key, so that two can be compared."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
