"""Certificates: making a CA and a serving certificate, checking a pair before it is used, keeping both in files."""

from webhook.certificates.checking import CertificateError, Pair, check_pair
from webhook.certificates.files import CertificateFiles, ensure, needs_renewal
from webhook.certificates.making import Authority, issue, make_authority

__all__ = [
    "Authority",
    "CertificateError",
    "CertificateFiles",
    "Pair",
    "check_pair",
    "ensure",
    "issue",
    "make_authority",
    "needs_renewal",
]
