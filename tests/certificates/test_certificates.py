"""Certificates are made, checked before use, and renewed in time; the clock is passed in."""

import datetime as dt
import ssl
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.certificates.files import CertificateFiles, ensure, needs_renewal
from webhook.certificates.issuing import issue, make_authority
from webhook.certificates.verifying import CertificateError, check_pair

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def test_ensure_makes_a_pair_for_localhost_that_openssl_takes(tmp_path):
    """The first call makes four files; the names are localhost's and the extra ones."""
    pair = ensure(tmp_path / "certs", ["webhook.example", "10.0.0.7"], NOW)
    assert set(pair.names) == {"localhost", "127.0.0.1", "::1", "webhook.example", "10.0.0.7"}
    files = CertificateFiles(tmp_path / "certs")
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    ssl.create_default_context(cafile=str(files.ca_certificate))


def test_keys_are_private_and_nothing_else_is_left_behind(tmp_path):
    """Keys are 0600, and no temporary file stays."""
    ensure(tmp_path, [], NOW)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ca.crt", "ca.key", "tls.crt", "tls.key"]
    for name in ("ca.key", "tls.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_certificates_begin_an_hour_back(tmp_path):
    """A client whose clock is behind accepts them; an hour and a minute behind it does not."""
    ensure(tmp_path, [], NOW)
    files = CertificateFiles(tmp_path)
    chain, key = files.certificate.read_bytes(), files.key.read_bytes()
    check_pair(chain, key, NOW - dt.timedelta(minutes=59))
    with pytest.raises(CertificateError, match="begins at"):
        check_pair(chain, key, NOW - dt.timedelta(minutes=61))


def test_a_good_certificate_is_left_alone(tmp_path):
    """The second call changes nothing, whatever form an address was given in."""
    ensure(tmp_path, ["0:0::5"], NOW)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert ensure(tmp_path, ["0:0::5"], NOW + 300 * DAY) is None
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("later", [340 * DAY, 366 * DAY])
def test_a_leaf_near_or_past_its_end_is_renewed_by_the_same_ca(tmp_path, later):
    """Clients that trust the CA need no change."""
    ensure(tmp_path, [], NOW)
    ca = (tmp_path / "ca.crt").read_bytes()
    assert ensure(tmp_path, [], NOW + later).expires_at > NOW + 390 * DAY
    assert (tmp_path / "ca.crt").read_bytes() == ca


def test_a_ca_near_its_end_is_replaced_with_the_leaf(tmp_path):
    """A leaf never outlives its CA, so both are new."""
    ensure(tmp_path, [], NOW)
    ca = (tmp_path / "ca.crt").read_bytes()
    ensure(tmp_path, [], NOW + 3640 * DAY)
    assert (tmp_path / "ca.crt").read_bytes() != ca


def test_a_new_name_and_force_renew(tmp_path):
    """A name the certificate lacks is a reason, and so is --force, which makes a new CA too."""
    ensure(tmp_path, [], NOW)
    assert needs_renewal(CertificateFiles(tmp_path), ["a.example"], NOW) == "it is not for a.example"
    assert "a.example" in ensure(tmp_path, ["a.example"], NOW).names
    ca = (tmp_path / "ca.crt").read_bytes()
    assert ensure(tmp_path, [], NOW, force=True) is not None
    assert (tmp_path / "ca.crt").read_bytes() != ca


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_damage_to_any_file_is_repaired(tmp_path, name):
    """A truncated file is made anew; only a lost CA key alone can wait."""
    ensure(tmp_path, [], NOW)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:40])
    assert (ensure(tmp_path, [], NOW) is None) == (name == "ca.key")
    assert needs_renewal(CertificateFiles(tmp_path), [], NOW) is None


@pytest.mark.parametrize("name", ["", "a b", "-x.example", "ä.example", "a..b", "x" * 64])
def test_a_name_no_certificate_can_carry_is_refused(name):
    """The message shows the name."""
    with pytest.raises(ValueError, match="neither a DNS name nor an IP address"):
        issue(make_authority(NOW), [name], NOW)


def test_key_of_another_certificate_is_refused():
    """A half-written pair is never used."""
    ca = make_authority(NOW)
    chain, _ = issue(ca, ["localhost"], NOW)
    _, key = issue(ca, ["localhost"], NOW)
    with pytest.raises(CertificateError, match="does not belong"):
        check_pair(chain, key, NOW)


def test_chain_is_checked_and_its_earliest_end_counts():
    """The CA behind a leaf counts: its end, and whether it issued the leaf."""
    ca, other = make_authority(NOW - 3600 * DAY), make_authority(NOW)
    chain, key = issue(ca, ["localhost"], NOW)
    assert check_pair(chain + ca.certificate, key, NOW).expires_at == NOW + 50 * DAY
    with pytest.raises(CertificateError, match=r"certificate 1 .* not issued by certificate 2"):
        check_pair(chain + other.certificate, key, NOW)
    with pytest.raises(CertificateError, match="expired"):
        check_pair(chain + ca.certificate, key, NOW + 51 * DAY)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(chain, key):
    """Whatever stands in the files, the answer is a CertificateError."""
    with pytest.raises(CertificateError):
        check_pair(chain, key, NOW)
