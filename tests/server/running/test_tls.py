"""The serving certificate changes with its files, and only for a better one."""

import contextlib
import datetime as dt
import logging
import shutil
import ssl

import pytest
import trustme

from tests.server.running.service import Service, ask
from tests.waiting import until
from webhook.certificates.files import ensure
from webhook.certificates.issuing import issue, make_authority
from webhook.certificates.verifying import CertificateError
from webhook.server.tls import PairFiles, ServingCertificate

NOW = dt.datetime.now(dt.UTC)
CA = make_authority(NOW)


def write(folder, pair):
    """Write chain and key where a server looks for them."""
    folder.mkdir(exist_ok=True)
    for name, content in zip(("tls.crt", "tls.key"), pair, strict=True):
        (folder / name).write_bytes(content)


def serving(folder):
    """What serves the pair in the folder."""
    return ServingCertificate(PairFiles(folder / "tls.crt", folder / "tls.key"))


@pytest.fixture
def pairs():
    """Two good pairs of one CA, told apart by a name."""
    return [issue(CA, ["localhost", name], NOW) for name in ("first.example", "second.example")]


def test_a_half_written_pair_keeps_the_old_certificate_until_it_is_whole(tmp_path, pairs, caplog):
    """The certificate first, then the key: an error is noted once, and cleared by the second half."""
    write(tmp_path, pairs[0])
    certificate = serving(tmp_path)
    (tmp_path / "tls.crt").write_bytes(pairs[1][0])
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            certificate.reload_if_changed()
    assert "does not belong" in certificate.error
    assert certificate.reload_errors == 1
    assert len(caplog.records) == 1
    assert "first.example" in certificate.pair.names
    (tmp_path / "tls.key").write_bytes(pairs[1][1])
    certificate.reload_if_changed()
    assert certificate.error is None
    assert "second.example" in certificate.pair.names


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB", b"\xff" * 100, None])
def test_a_damaged_or_missing_file_keeps_the_old_certificate(tmp_path, pairs, damage):
    """When the old content comes back, the error goes."""
    write(tmp_path, pairs[0])
    certificate = serving(tmp_path)
    if damage is None:
        (tmp_path / "tls.crt").unlink()
    else:
        (tmp_path / "tls.crt").write_bytes(damage)
    before = certificate.pair
    certificate.reload_if_changed()
    assert certificate.error
    assert certificate.pair is before
    write(tmp_path, pairs[0])
    certificate.reload_if_changed()
    assert certificate.error is None


def test_an_expired_pair_is_not_taken_and_not_started_with(tmp_path):
    """A service that would show an expired certificate does not start."""
    write(tmp_path, issue(CA, ["localhost"], NOW))
    later = NOW + dt.timedelta(days=400)
    with pytest.raises(CertificateError, match="expired"):
        ServingCertificate(PairFiles(tmp_path / "tls.crt", tmp_path / "tls.key", now=lambda: later))


def peer(service):
    """The certificate the service shows to a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.closing(service.connect()) as connection:
        connection._context = context
        connection.connect()
        return ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(binary_form=True))


def test_new_connections_see_the_new_certificate_and_old_ones_live_on(tmp_path):
    """A Secret's way: a symlink to a folder is swapped. The CA changes, too."""
    names = ["first", "second"]
    for name in names:
        ensure(tmp_path / name, (), NOW)
    (tmp_path / "data").symlink_to("first")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"data/{name}")
    (tmp_path / "certs").mkdir()
    shutil.copy(tmp_path / "first" / "ca.crt", tmp_path / "certs" / "ca.crt")
    flags = ("--tls-cert", tmp_path / "tls.crt", "--tls-key", tmp_path / "tls.key")
    with Service(tmp_path, *flags) as service, contextlib.closing(service.connect()) as old:
        assert ask(old)[0] == 200
        assert peer(service).split() == (tmp_path / "first" / "tls.crt").read_text().split()
        (tmp_path / "new").symlink_to("second")
        (tmp_path / "new").rename(tmp_path / "data")
        second = (tmp_path / "second" / "tls.crt").read_text().split()
        until(lambda: peer(service).split() == second)
        assert ask(old)[0] == 200
        (tmp_path / "second" / "tls.key").write_text("half")
        until(lambda: b'"error":null' not in service.admin("/readyz")[1].partition(b"certificate")[2])
        assert service.metric('colocation_webhook_reload_errors_total{what="certificate"}') == 1
        assert peer(service).split() == second


@pytest.fixture
def clients(tmp_path):
    """A folder with client certificates of two CAs, each beside its CA."""
    for name in ("first", "second"):
        authority = trustme.CA()
        folder = tmp_path / name
        folder.mkdir()
        authority.cert_pem.write_to_path(folder / "ca.crt")
        issued = authority.issue_cert("apiserver")
        issued.private_key_and_cert_chain_pem.write_to_path(folder / "pair.pem")
    return tmp_path


def test_a_client_certificate_can_be_required(tmp_path, clients):
    """None: a Status that says so. Of another CA: no handshake. Counted and logged; the file may change."""
    trusted = tmp_path / "clients.crt"
    shutil.copy(clients / "first" / "ca.crt", trusted)

    def post(service, pair):
        context = service.context()
        if pair is not None:
            context.load_cert_chain(clients / pair / "pair.pem")
        with contextlib.closing(service.connect()) as connection:
            connection._context = context
            try:
                return ask(connection)
            except ssl.SSLError as error:
                return 0, error.reason

    with Service(tmp_path, "--client-ca", trusted) as service:
        assert post(service, "first")[0] == 200
        assert post(service, "second") == (0, "TLSV1_ALERT_UNKNOWN_CA")
        status, answer = post(service, None)
        assert (status, answer["kind"]) == (403, "Status")
        assert "client certificate" in answer["message"]
        assert service.metric("colocation_webhook_clients_refused_total") == 2
        assert post(service, "second")[0] == 0
        until(lambda: service.metric("colocation_webhook_clients_refused_total") == 3)
        told = [line["message"] for line in service.lines if "--client-ca" in line.get("message", "")]
        assert len(told) == 2  # once a minute for each reason
        assert "unable to get local issuer certificate" in told[0]
        assert "none was shown" in told[1]
        before = peer(service)
        trusted.write_text("half")
        until(lambda: service.metric('colocation_webhook_reload_errors_total{what="certificate"}') == 1)
        assert post(service, "first")[0] == 200
        # A file of CAs that is no good keeps no new certificate away.
        (tmp_path / "certs" / "tls.crt").unlink()
        ensure(tmp_path / "certs", [], NOW)
        until(lambda: peer(service) != before)
        shutil.copy(clients / "second" / "ca.crt", trusted)
        until(lambda: post(service, "second")[0] == 200)
        assert post(service, "first")[0] == 0
