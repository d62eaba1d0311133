"""The admin port of any process: routes, checks, and a Status for everything else."""

import io
import json
import subprocess
import sys
from wsgiref.util import setup_testing_defaults

import pytest

from webhook.process.admin import MAX_BODY, Report, Response, admin_routes, wsgi_app
from webhook.process.metrics import new_registry


class Silent(io.BytesIO):
    """A body that is announced and does not come."""

    def read(self, size=-1):
        """Wait for too long."""
        raise TimeoutError(size)


def ask(routes, method="GET", path="/healthz", body=b"", **environ):
    """Status, headers and body of one request."""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    } | environ
    setup_testing_defaults(environ)
    answered = []
    content = b"".join(wsgi_app(routes)(environ, lambda status, headers: answered.extend((status, headers))))
    return int(answered[0].split()[0]), dict(answered[1]), content


def routes(*, ready=True, draining=False, observed=None):
    """The routes of a process with one check."""
    checks = {"view": lambda: Report(ready, {"age": 1})}
    observe = observed if observed is not None else lambda: None
    return admin_routes(checks, new_registry(), observe, instance="i", draining=lambda: draining)


@pytest.mark.parametrize(
    ("ready", "draining", "code"), [(True, False, 200), (False, False, 503), (True, True, 503)]
)
def test_readiness_is_what_every_check_says(ready, draining, code):
    """One check that is not ready, or a drain, makes it a 503; the details are there either way."""
    status, _, body = ask(routes(ready=ready, draining=draining), path="/readyz")
    expected = {"ready": code == 200, "draining": draining, "instance": "i", "view": {"age": 1}}
    assert (status, json.loads(body)) == (code, expected)


def test_metrics_are_brought_up_to_date_first():
    """What is counted elsewhere is taken over before the text is written."""
    seen = []
    status, headers, body = ask(routes(observed=lambda: seen.append(1)), path="/metrics")
    assert (status, seen) == (200, [1])
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"process_resident_memory_bytes" in body


def test_head_is_a_get_without_its_body():
    """Probes may ask so."""
    status, headers, body = ask(routes(), "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "3", b"")


@pytest.mark.parametrize(
    ("method", "path", "environ", "code", "words"),
    [
        ("GET", "/nothing", {}, 404, "/healthz, /metrics, /readyz"),
        ("POST", "/healthz", {}, 405, "answers GET"),
        ("GET", "/healthz", {"CONTENT_LENGTH": "x"}, 400, "'x' is no number"),
        ("GET", "/healthz", {"CONTENT_LENGTH": str(MAX_BODY + 1)}, 413, str(MAX_BODY)),
        ("GET", "/healthz", {"CONTENT_LENGTH": "9" * 5000}, 413, "9" * 20),
        ("POST", "/explain", {"CONTENT_LENGTH": "0" * 20 + "9" * 11}, 413, "9" * 11),
        ("POST", "/explain", {"wsgi.input": Silent()}, 408, "a request has 3 s in all"),
    ],
)
def test_other_requests_get_a_status(method, path, environ, code, words):
    """It names what came and what is accepted."""
    explained = {("POST", "/explain"): lambda request: Response(200, request.body)}
    status, _, body = ask({**routes(), **explained}, method, path, **environ)
    answer = json.loads(body)
    assert (status, answer["kind"], answer["code"]) == (code, "Status", code)
    assert words in answer["message"]


def test_leading_zeros_of_a_length_count_for_nothing():
    """However many there are: Python reads no number of more than 4,300 digits."""
    explained = {("POST", "/explain"): lambda request: Response(200, request.body)}
    answer = ask(explained, "POST", "/explain", b"{}", CONTENT_LENGTH="0" * 5000 + "2")
    assert (answer[0], answer[2]) == (200, b"{}")


def test_a_route_gets_query_type_and_body():
    """And a fault in it is a 500 that shows nothing of it."""
    seen = []

    def echo(request):
        seen.append(request)
        return Response(200, request.body)

    def faulty(_):
        raise RuntimeError("secret")

    added = {("POST", "/echo"): echo, ("GET", "/faulty"): faulty}
    assert ask(added, "POST", "/echo", b"x", QUERY_STRING="a=b", CONTENT_TYPE="t")[2] == b"x"
    assert seen == [("a=b", "t", b"x")]
    status, _, body = ask(added, path="/faulty")
    assert status == 500
    assert b"secret" not in body


def test_a_process_that_imports_it_loads_no_flask():
    """An agent has one on every node: the admin port costs it neither Flask nor gunicorn nor admission."""
    program = (
        "import pkgutil, sys, importlib, webhook.process as p\n"
        "for module in pkgutil.iter_modules(p.__path__, 'webhook.process.'):\n"
        "    importlib.import_module(module.name)\n"
        "heavy = {'flask', 'werkzeug', 'gunicorn', 'kubernetes', 'webhook.admission'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 — ours
    assert done.stdout.strip() == "[]"
