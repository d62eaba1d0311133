"""The Flask application is the whole service, and answers to the byte as the default worker does."""

import contextlib
import json
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.ports import free_ports
from tests.server.running.service import (
    ENVIRONMENT,
    JSON,
    PROFILE,
    REVIEW,
    ROOT,
    Service,
)
from tests.server.running.test_cluster import ClusterService
from tests.server.running.test_cluster import fake as fake  # noqa: PLC0414 — a fixture
from tests.waiting import until
from webhook.server.app import create_app

REVIEWS = sorted((ROOT / "tests" / "data" / "reviews").glob("*.json"))
EXAMPLES = ROOT / "examples" / "objects"
SPARK = (ROOT / "examples" / "reviews" / "spark-driver.json").read_bytes()


@contextlib.contextmanager
def gunicorn(*flags, cwd):
    """The service under gunicorn's own worker; the URL of its port."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket", *flags]
    with subprocess.Popen(command, env=ENVIRONMENT, cwd=cwd, stderr=subprocess.DEVNULL) as process:  # noqa: S603 — ours
        try:
            until(lambda: fetched(f"http://127.0.0.1:{port}/readyz")[0] == 200)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def fetched(url, body=None):
    """Status and body; (0, b"") where nobody listens."""
    try:
        request = urllib.request.Request(url, body, JSON if body else {})  # noqa: S310 — ours
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 — ours
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def posted(service, path, body):
    """Status and undecoded body of one request."""
    with contextlib.closing(service.connect()) as connection:
        connection.request("POST", path, body, JSON)
        response = connection.getresponse()
        return response.status, response.read()


def test_all_reviews_get_the_same_bytes_by_every_way(tmp_path):
    """Every recorded review, mutated and validated: the default worker, the Flask one, gunicorn's own."""
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef")
    flags = ("--objects", EXAMPLES, "--signing-key", key)
    call = f"webhook.server.app:create_app(objects={str(EXAMPLES)!r}, signing_key={str(key)!r})"
    with contextlib.ExitStack() as stack:
        services = []
        for worker in ("fast", "flask"):
            (tmp_path / worker).mkdir()
            service = Service(tmp_path / worker, *flags, "--worker", worker, tls=False)
            services.append(stack.enter_context(service))
        url = stack.enter_context(gunicorn("--worker-class", "sync", call, cwd=tmp_path))
        compared = 0
        for path in ("/mutate", "/validate"):
            for review in (*REVIEWS, None):
                body = review.read_bytes() if review else b"no review"
                first, second = (posted(service, path, body) for service in services)
                assert first == second == fetched(url + path, body), review
                compared += first[0] == 200
        assert compared == 2 * len(REVIEWS) > 20


def test_the_application_is_the_whole_service(tmp_path):
    """Health, readiness and metrics are on the same port; /explain, which shows profiles, is refused."""
    (tmp_path / "profile.yaml").write_text(PROFILE)
    call = "webhook.server.app:create_app('.')"
    with gunicorn("--workers", "1", call, cwd=tmp_path) as url:
        assert fetched(f"{url}/healthz") == (200, b"ok\n")
        assert json.loads(fetched(f"{url}/readyz")[1])["view"]["profiles"] == 1
        assert b"patch" in fetched(f"{url}/mutate", REVIEW)[1]
        assert b'outcome="patched"' in fetched(f"{url}/metrics")[1]
        assert fetched(f"{url}/explain", REVIEW)[0] == 403
        assert fetched(f"{url}/mutate")[0] == 405


def test_a_body_in_chunks_that_are_none_is_the_clients_mistake(tmp_path):
    """Gunicorn's own workers find it while the body is read: a 400 that is counted, not a 500."""
    head = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with gunicorn(f"webhook.server.app:create_app({str(EXAMPLES)!r})", cwd=tmp_path) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
            with connection.makefile("rb") as answer:
                status, _, body = answer.read().partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 400 ")
        assert "the body cannot be read" in json.loads(body)["message"]
        refused = b'requests_total{code="400",operation="unknown",outcome="refused",webhook="mutate"} 1.0'
        assert refused in fetched(f"{url}/metrics")[1]


def test_leases_are_released_when_gunicorn_stops(tmp_path, fake):
    """Another replica need not wait for 30 s."""
    ClusterService(tmp_path, fake)  # writes the kubeconfig
    leases = fake.objects["/apis/coordination.k8s.io/v1/namespaces/home/leases"]

    def holders():
        return [lease["spec"]["holderIdentity"] for lease in leases.values()]

    with gunicorn("webhook.server.app:create_app(kubeconfig='kubeconfig')", cwd=tmp_path):
        until(lambda: any(holders()))
    assert holders() == [""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing says where profiles come from"),
        ({"objects": "nowhere"}, "nowhere"),
        ({"objects": str(EXAMPLES), "cpusets": True}, "cpusets: needs a cluster"),
        ({"objects": str(EXAMPLES), "mode": "perhaps"}, "perhaps"),
        ({"objects": str(EXAMPLES), "signing_key": "nowhere"}, "nowhere: No such file"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, message):
    """An error at start, before anything is served."""
    with pytest.raises(ValueError, match=message):
        create_app(**arguments)


def test_without_a_key_nobody_can_know_what_signs():
    """Each application signs with a secret of its own: two sign one pod differently."""
    bodies = [
        create_app(objects=str(EXAMPLES)).test_client().post("/mutate", data=SPARK, headers=JSON).data
        for _ in range(2)
    ]
    assert bodies[0] != bodies[1]
