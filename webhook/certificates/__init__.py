"""Certificates: made, checked before they are used, and kept in files."""

from webhook.certificates.files import CertificateFiles, ensure, needs_renewal
from webhook.certificates.issuing import Authority, issue, make_authority
from webhook.certificates.verifying import CertificateError, Pair, check_pair

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
