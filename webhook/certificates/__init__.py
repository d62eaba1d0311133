"""Serving certificates and their CA: issuing, verification, and rotation in files or in a Secret."""

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
