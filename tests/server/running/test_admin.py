"""The admin port: plain, and there while reviews flood the other one."""

import json
import os
import signal
import threading
import time

import pytest

from tests.server.running.service import REVIEW, Service, ask
from tests.waiting import until
from webhook.process.admin import is_loopback


def test_health_readiness_and_unknown_paths(service):
    """/healthz is plain text; /readyz tells of view and certificate; the rest is a Status."""
    assert service.admin("/healthz") == (200, b"ok\n")
    status, body = service.admin("/readyz")
    report = json.loads(body)
    assert status == 200
    assert report["ready"] is True
    assert report["draining"] is False
    assert report["view"]["error"] is None
    assert report["certificate"]["error"] is None
    status, body = service.admin("/nothing")
    assert (status, json.loads(body)["kind"]) == (404, "Status")


def test_metrics_tell_what_was_done(service):
    """Each family that operators need is there, and a review moves its own line."""
    prefix = "colocation_webhook"
    line = f'{prefix}_requests_total{{code="200",operation="CREATE",outcome="patched",webhook="mutate"}}'
    before = service.metric(line)
    service.post()
    assert service.metric(line) == before + 1
    assert service.metric(f'{prefix}_profiles_applied_total{{profile="spark"}}') >= 1
    assert service.metric(f'{prefix}_resources_translated_total{{resource="kubernetes.io/batch-cpu"}}') >= 2
    assert service.metric(f'{prefix}_request_duration_seconds_count{{webhook="mutate"}}') >= 1
    assert service.metric(f"{prefix}_requests_in_flight") == 0
    assert service.metric(f"{prefix}_certificate_expiry_timestamp_seconds") > time.time() + 86400
    assert service.metric("process_resident_memory_bytes") > 0
    text = service.admin("/metrics")[1].decode()
    for family in ("reload_errors_total", "faults_total", "view_loaded_timestamp_seconds"):
        assert f"# TYPE {prefix}_{family}" in text


def test_explain_gives_the_reasons_as_json(service):
    """A review in, each profile's reason out; mistakes are a Status."""
    status, body = service.admin("/explain", REVIEW)
    explanation = json.loads(body)
    assert status == 200
    assert explanation["outcome"] == "patched"
    assert explanation["profiles"][0]["applied"] is True
    assert service.admin("/explain?webhook=validate", REVIEW)[0] == 200
    first = service.admin("/explain?webhook=validate&webhook=mutate", REVIEW)[1]
    assert json.loads(first)["outcome"] == "allowed"
    refused = ("/explain?webhook=nothing", REVIEW), ("/explain?webhook=", REVIEW), ("/explain", b"nonsense")
    for path, body in refused:
        status, answer = service.admin(path, body)
        assert (status, json.loads(answer)["code"]) == (400, 400)


@pytest.mark.parametrize(("flags", "code"), [((), 403), (("--explain",), 200)])
def test_explain_is_refused_beyond_loopback_unless_switched_on(tmp_path, flags, code):
    """On 0.0.0.0 it answers only with --explain."""
    service = Service(tmp_path, *flags, tls=False)
    service.arguments += ["--admin-bind", f":{service.admin_port}"]
    with service:
        assert service.admin("/explain", REVIEW)[0] == code


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("127.8.8.8", True),
        ("0.0.0.0", False),  # noqa: S104 — asked about, not bound to
        ("::", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback(host, answer):
    """Only addresses of this machine alone count."""
    assert is_loopback(host) is answer


def test_probes_are_answered_during_a_flood(service):
    """With 16 clients asking without pause, every probe is answered while they go on."""
    stop = threading.Event()

    def flood():
        connection = service.connect()
        while not stop.is_set():
            ask(connection)
        connection.close()

    threads = [threading.Thread(target=flood) for _ in range(16)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert service.admin("/healthz")[0] == 200
        assert all(thread.is_alive() for thread in threads)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_two_workers_add_up_their_metrics(tmp_path):
    """Whichever process is asked, the count is that of all, one that has ended included."""
    with Service(tmp_path, "--workers", "2", tls=False) as service:
        for _ in range(40):
            assert service.post()[0] == 200
        labels = 'code="200",operation="CREATE",outcome="patched",webhook="mutate"'
        line = f"colocation_webhook_requests_total{{{labels}}}"
        for _ in range(6):
            assert service.metric(line) == 40
        assert service.metric("colocation_webhook_requests_in_flight") == 0
        ended, _ = until(lambda: len(found := service.workers()) == 2 and found)
        os.kill(ended, signal.SIGTERM)
        until(lambda: ended not in service.workers() and len(service.workers()) == 2)
        assert service.metric(line) == 40
        (service.objects / "broken.yaml").write_text("kind: [")
        errors = 'colocation_webhook_reload_errors_total{what="objects"}'
        until(lambda: service.metric(errors) == 2)


def test_two_workers_know_the_certificate(tmp_path):
    """The expiry is that of the certificate, not the 0 that the master started with."""
    with Service(tmp_path, "--workers", "2") as service:
        expiry = "colocation_webhook_certificate_expiry_timestamp_seconds"
        until(lambda: service.metric(expiry) > time.time())
        until(lambda: service.metric("colocation_webhook_view_loaded_timestamp_seconds") > 0)
        assert service.metric('colocation_webhook_profiles{ready="true"}') == 1
