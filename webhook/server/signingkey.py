"""The key that signs what one call of the webhook notes on a pod for the next one."""

from pathlib import Path

from webhook.admission.mutating.reinvocation import MIN_SECRET_BYTES, derive_key
from webhook.kube.files import read_file


def read_signing_key(path: Path) -> bytes:
    """Return the key that the secret in a file gives; raises ValueError with a remedy."""
    try:
        secret = read_file(path)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(secret.strip()) < MIN_SECRET_BYTES:
        raise ValueError(
            f"{path}: has fewer than {MIN_SECRET_BYTES} bytes: "
            f"make one with 'head -c 32 /dev/urandom > {path}'"
        )
    return derive_key(secret)
