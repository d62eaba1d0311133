"""The signing key: the same in every replica, unknown to users."""

import pytest

from webhook.server.keys import signing_key


def test_replicas_with_one_tls_key_agree():
    """The key is derived, and says nothing of the TLS key itself."""
    assert signing_key(None, b"tls key") == signing_key(None, b"tls key")
    assert signing_key(None, b"tls key") != signing_key(None, b"another")
    assert len(signing_key(None, b"tls key")) == 32


def test_a_key_file_goes_before_the_tls_key(tmp_path):
    """With a file, the TLS key does not matter."""
    file = tmp_path / "key"
    file.write_bytes(b"0123456789abcdef")
    assert signing_key(file, b"tls key") == signing_key(file, None)


def test_without_either_it_is_random():
    """Right for one process and its forks only."""
    assert signing_key(None, None) != signing_key(None, None)


def test_a_short_file_is_refused(tmp_path):
    """The message names the file and the remedy."""
    file = tmp_path / "key"
    file.write_bytes(b"short\n")
    with pytest.raises(ValueError, match=r"key has fewer than 16 bytes; write 32"):
        signing_key(file, None)
