"""The running service: what a client sees over TLS on loopback."""

import base64
import contextlib
import itertools
import json
import socket
import ssl
import subprocess
import threading

import jsonpatch
import orjson
import pytest

from tests.server.running.service import ENVIRONMENT, JSON, PROFILE, REVIEW, Service, ask
from tests.waiting import until

MIB = 2**20


def patched(answer):
    """The reviewed pod with the answer's patch applied, by an independent library."""
    patch = jsonpatch.JsonPatch(orjson.loads(base64.b64decode(answer["response"]["patch"])))
    return patch.apply(orjson.loads(REVIEW)["request"]["object"])


def test_a_review_over_tls_gets_its_patch(service):
    """The answer echoes the uid, and the patch applied gives the intended pod."""
    status, answer = service.post("/mutate?timeout=10s")
    assert status == 200
    assert answer["response"]["uid"] == orjson.loads(REVIEW)["request"]["uid"]
    pod = patched(answer)
    assert pod["metadata"]["labels"]["koordinator.sh/qosClass"] == "BE"
    assert service.post("/validate")[1]["response"]["allowed"] is True


def test_the_printed_line_can_be_copied(service):
    """It names the CA, the port and the path."""
    assert service.curl.startswith("curl ")
    assert "--cacert" in service.curl
    assert f"https://localhost:{service.port}/mutate" in service.curl


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "code"),
    [
        ("GET", "/mutate", None, {}, 405),
        ("PUT", "/validate", REVIEW, JSON, 405),
        ("DELETE", "/mutate", None, {}, 405),
        ("POST", "/", REVIEW, JSON, 404),
        ("POST", "/mutate/", REVIEW, JSON, 404),
        ("GET", "/metrics", None, {}, 404),
        ("POST", "/mutate", REVIEW, {"Content-Type": "text/plain"}, 415),
        ("POST", "/mutate", REVIEW, {}, 415),
        ("POST", "/mutate?timeout=soon", REVIEW, JSON, 400),
        ("POST", "/mutate?timeout=soon", REVIEW, {"Content-Type": "text/plain"}, 415),
        ("POST", "/mutate?timeout=soon", b" " * (20 * MIB + 1), JSON, 413),
        ("POST", "/mutate", b"", JSON, 400),
        ("POST", "/mutate", REVIEW[:-3], JSON, 400),
        ("POST", "/mutate", b"\x00\xff", JSON, 400),
        ("POST", "/mutate", REVIEW.replace(b"k8s.io/v1", b"k8s.io/v1beta1", 1), JSON, 400),
        ("POST", "/mutate", b" " * (20 * MIB + 1), JSON, 413),
        ("POST", "/validate", b"[" * 7 * MIB, JSON, 422),
    ],
)
def test_what_is_no_review_gets_a_status_object(service, method, path, body, headers, code):
    """Each refusal is a Status of the right code that says what is wrong."""
    status, answer = service.request(method, path, body, headers)
    assert status == code
    assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Failure", code)
    assert answer["message"]
    assert answer["reason"]


def test_a_chunked_body_is_bounded_too(service):
    """Without Content-Length the 413 comes as soon as 20 MiB have arrived; 19 MiB are read."""
    chunk = b" " * 65536

    def chunks(count):
        return itertools.chain([REVIEW], itertools.repeat(chunk, count))

    with contextlib.closing(service.connect()) as connection:
        connection.request("POST", "/mutate", chunks(304), JSON, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 200
        assert response.read()
        connection.request("POST", "/mutate", chunks(400), JSON, encode_chunked=True)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (413, 413)


def test_the_body_must_arrive_within_the_budget(service):
    """A body that stops half-way gets a 408 when its ?timeout= is over; one that has more time goes on."""
    with contextlib.closing(service.raw()) as patient, contextlib.closing(service.raw()) as hasty:
        for client, timeout in ((patient, "30s"), (hasty, "300ms")):
            head = f"POST /mutate?timeout={timeout} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(REVIEW)}\r\n"
            client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + REVIEW[:1000])
        assert hasty.recv(65536).startswith(b"HTTP/1.1 408 ")
        patient.sendall(REVIEW[1000:])
        assert patient.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_expect_continue_and_pipelining(service):
    """A client that waits for 100 gets it; two requests in one write get two answers."""
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(REVIEW)}\r\n"
    with contextlib.closing(service.raw()) as client:
        client.sendall(f"POST /mutate HTTP/1.1\r\n{head}Expect: 100-continue\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(REVIEW)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.sendall((f"POST /mutate HTTP/1.1\r\n{head}\r\n".encode() + REVIEW) * 2)
        received = b""
        while received.count(b"HTTP/1.1 200 ") < 2:
            received += client.recv(65536)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
        (b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /mutate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_http_gets_a_status_object_too(service, raw, code):
    """The HTTP parser's refusals have the same shape, and the connection is closed."""
    with contextlib.closing(service.raw()) as client:
        client.sendall(raw)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + code)
    assert json.loads(body)["kind"] == "Status"


def test_64_connections_are_served_side_by_side(service):
    """64 keep-alive connections, all open at once, ten requests each: none fails."""
    connections = [service.connect() for _ in range(64)]
    statuses = []

    def work(mine):
        for _ in range(10):
            statuses.extend(ask(connection)[0] for connection in mine)

    threads = [threading.Thread(target=work, args=(connections[i::8],)) for i in range(8)]
    for connection in connections:
        connection.connect()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert statuses == [200] * 640


def test_tls_is_at_least_1_2(service):
    """TLS 1.1 is refused in the handshake; 1.2 is served."""
    context = service.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    plain = socket.create_connection(("127.0.0.1", service.port))
    with context.wrap_socket(plain, server_hostname="localhost") as client:
        assert client.version() == "TLSv1.2"
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", service.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_audit_mode_changes_nothing_and_says_what_would_be(tmp_path):
    """No patch, a warning, and a metric of its own; plain HTTP on the side."""
    with Service(tmp_path, "--mode", "audit", tls=False) as service:
        response = service.post()[1]["response"]
        assert response["allowed"] is True
        assert "patch" not in response
        assert any("would" in warning for warning in response["warnings"])
        name = "colocation_webhook_requests_total"
        labels = 'code="200",operation="CREATE",outcome="would_patch",webhook="mutate"'
        assert service.metric(f"{name}{{{labels}}}") == 1
        assert [line["outcome"] for line in service.lines if line["event"] == "review"] == ["would_patch"]


def test_silent_and_slow_clients_are_let_go(tmp_path):
    """Without a whole head in time (ten seconds, here one) a connection is closed; an idle one stays open."""
    short = "import webhook.server.worker as w; w.HEADER_SECONDS = 1; "
    with Service(tmp_path, tls=False, prelude=short) as service, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(contextlib.closing(service.raw())) for _ in range(20)]
        for client in silent[::2]:
            client.sendall(b"POST /mutate HTTP/1.1\r\nHost: ")
        idle = stack.enter_context(contextlib.closing(service.connect()))
        assert ask(idle)[0] == 200
        connected = idle.sock
        assert [client.recv(10) for client in silent] == [b""] * 20
        assert ask(idle)[0] == 200
        assert idle.sock is connected


def test_files_are_reloaded_and_a_broken_one_keeps_the_view(tmp_path):
    """A broken file shows in /readyz and a metric; the service stays ready with what it had."""
    with Service(tmp_path, tls=False) as service:
        (service.objects / "broken.yaml").write_text("kind: [")
        report = until(lambda: (r := json.loads(service.admin("/readyz")[1]))["view"]["error"] and r)
        assert report["ready"] is True
        assert report["view"]["reloadErrors"] == 1
        assert service.metric('colocation_webhook_reload_errors_total{what="objects"}') == 1
        assert "patch" in service.post()[1]["response"]
        (service.objects / "broken.yaml").unlink()
        (service.objects / "profile.yaml").write_text(PROFILE.replace("executor", "driver"))
        until(lambda: json.loads(service.admin("/readyz")[1])["view"]["error"] is None)
        assert "patch" not in service.post()[1]["response"]


def test_start_errors_are_one_line_that_names_flag_and_value(tmp_path):
    """A port in use, half a pair, a missing folder, an unknown rule: one line, exit code 1 or 2."""
    (tmp_path / "junk.pem").write_text("junk")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flags, code, words in (
            (("--bind", f"127.0.0.1:{port}"), 1, ("--bind", str(port), "in use")),
            (("--admin-bind", f"127.0.0.1:{port}"), 1, ("--admin-bind", str(port))),
            (("--bind", "8443"), 2, ("--bind", "8443", "HOST:PORT")),
            (("--tls-cert", "junk.pem"), 2, ("--tls-cert", "--tls-key")),
            (("--tls-cert", "junk.pem", "--tls-key", "junk.pem"), 1, ("--tls-cert", "junk.pem", "PEM")),
            (("--objects", str(tmp_path / "nowhere")), 2, ("--objects", "nowhere")),
            (("--rule", "whole-cpu=deny"), 2, ("--rule", "whole-cpu", "'whole-cpus'")),
            (("--rule", "whole-cpus=perhaps"), 2, ("whole-cpus=", "deny, warn, off")),
            (("--signing-key", "junk.pem"), 2, ("--signing-key", "16 bytes")),
        ):
            run_and_fail(tmp_path, flags, code, words)


def run_and_fail(folder, flags, code, words):
    """Start with the flags; it must end with the code and one line that has all the words."""
    arguments = Service(folder, *flags).arguments
    result = subprocess.run(  # noqa: S603 — our own command
        arguments, capture_output=True, cwd=folder, timeout=20, check=False, env=ENVIRONMENT
    )
    message = result.stderr.decode().splitlines()[-1]
    assert result.returncode == code, message
    assert message.startswith("Error: ")
    for word in words:
        assert word in message


def test_no_certificate_flags_make_a_ca_once(tmp_path):
    """The second start uses the first one's certificates."""
    with Service(tmp_path) as service:
        before = (service.certs / "tls.crt").read_bytes()
    with Service(tmp_path) as service:
        assert (service.certs / "tls.crt").read_bytes() == before
        assert service.post()[0] == 200


def test_a_length_too_long_to_be_a_number_is_a_400(tmp_path):
    """An absurd Content-Length is the client's mistake: an answer, and no traceback."""
    with Service(tmp_path, tls=False) as service, contextlib.closing(service.raw()) as client:
        client.sendall(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 4")
        assert b"Traceback" not in (tmp_path / "log").read_bytes()
