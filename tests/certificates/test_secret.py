"""The Secret of the certificates: what is damaged in it is not used, and what is not ours is kept."""

import base64
import dataclasses

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.certificates.materials import after, made
from webhook.certificates.rotation import Rotate
from webhook.certificates.secret import read_secret, write_secret
from webhook.certificates.verifying import CertificateError


@pytest.mark.parametrize("key", ["ca.crt", "ca.key", "tls.crt", "tls.key", "signing.key", "next-ca.key"])
@pytest.mark.parametrize("damage", ["", "!", "aGFsZg=="])
def test_a_damaged_secret_is_never_used(key, damage):
    """Whichever part is empty, not base64 or half: the reason is said, and a whole one is read as written."""
    material = after(dataclasses.replace(made(), requested=Rotate.CA))
    secret = write_secret(material, "ns", "name", {})
    assert read_secret(secret) == material
    if (key, damage) == ("signing.key", "aGFsZg=="):
        damage = ""
    secret["data"][key] = damage
    with pytest.raises(CertificateError):
        read_secret(secret)


@pytest.mark.parametrize("key", ["ca.crt", "tls.crt"])
@pytest.mark.parametrize("place", ["key", "algorithm", "version"])
def test_a_certificate_with_one_wrong_byte_is_never_used(key, place):
    """Even where it can be read as a whole, and fails when a part of it is asked for."""
    secret = write_secret(made(), "ns", "name", {})
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"][key]))
    form = serialization.PublicFormat
    point = certificate.public_key().public_bytes(serialization.Encoding.X962, form.UncompressedPoint)
    whole = certificate.public_bytes(serialization.Encoding.DER)
    at = {"key": whole.index(point) + 10, "algorithm": whole.index(point) - 4, "version": whole.index(2) + 2}
    wrong = bytearray(whole)
    wrong[at[place]] ^= 5
    pem = b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % base64.encodebytes(wrong)
    secret["data"][key] = base64.b64encode(pem).decode()
    with pytest.raises(CertificateError):
        read_secret(secret)


def test_a_part_of_another_pair_is_never_used():
    """Certificate, key and CA have to belong together."""
    one, other = (write_secret(made(), "ns", "name", {}) for _ in range(2))
    for key in ("ca.crt", "ca.key", "tls.crt", "tls.key"):
        mixed = {**one, "data": {**one["data"], key: other["data"][key]}}
        with pytest.raises(CertificateError):
            read_secret(mixed)


def test_the_secret_keeps_what_is_not_ours():
    """Labels, annotations and keys of others stay; a met request goes, an open one stays."""
    found = {
        "metadata": {"resourceVersion": "7", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "type": "Opaque",
        "data": {"theirs": "eA=="},
    }
    material = made()
    secret = write_secret(material, "ns", "name", found)
    assert secret["metadata"]["labels"] == {"a": "b"}
    assert secret["metadata"]["annotations"] == {"c": "d", "colocation-webhook.io/revision": "1"}
    assert secret["metadata"]["resourceVersion"] == "7"
    assert secret["data"]["theirs"] == "eA=="
    asking = write_secret(dataclasses.replace(material, requested=Rotate.CA), "ns", "name", secret)
    assert asking["metadata"]["annotations"]["colocation-webhook.io/rotate"] == "ca"
    assert read_secret(asking).requested is Rotate.CA
    assert (
        "colocation-webhook.io/rotate"
        not in write_secret(material, "ns", "name", asking)["metadata"]["annotations"]
    )
