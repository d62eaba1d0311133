"""Where the key comes from that signs what a pod carries from one call to the next.

Every replica must have the same one, and a user must not: a signature is what keeps a pod from
claiming that it has been treated already.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

_PERSON = b"colocation-sign\x00"
_SIZE = 32
_SECRET = 16
"""Bytes a key file must have: 128 bits, if every one counts."""


def signing_key(key_file: Path | None, tls_key: bytes | None) -> bytes:
    """32 bytes: from ``key_file`` if there is one, else from the TLS private key, else random.

    A key derived from the TLS key does not change in a running process when the certificate does;
    replicas that start after a rotation then disagree with it until it restarts, and a pod that
    meets both is treated again. A cluster with rotation gives a key file.

    Replicas that serve from one Secret share the TLS key and so this key. A random one is right for
    one process (and its forked workers) only: a pod treated before a restart is treated again after
    it. Raises OSError where the file cannot be read and ValueError where it is too short to be a
    secret.
    """
    if key_file is not None:
        content = key_file.read_bytes()
        if len(content.strip()) < _SECRET:
            raise ValueError(f"{key_file} has fewer than 16 bytes; write 32 random ones")
        return _derive(content)
    if tls_key is not None:
        return _derive(tls_key)
    return secrets.token_bytes(_SIZE)


def _derive(secret: bytes) -> bytes:
    """A key for this purpose alone, so that it says nothing about the secret it came from."""
    return hashlib.blake2b(secret, digest_size=_SIZE, person=_PERSON).digest()
