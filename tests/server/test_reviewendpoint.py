"""Every way in ends at one endpoint, and no body makes it fail."""

import collections
import json
import logging
import random

import orjson
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.server.running.service import PROFILE, REVIEW
from webhook.admission import decision
from webhook.admission.mutating.reinvocation import derive_key
from webhook.admission.review import Webhook
from webhook.admission.settings import Settings
from webhook.admission.view import View, build_view
from webhook.kube.access import Access
from webhook.kube.client import Client
from webhook.process.metrics import new_registry, render
from webhook.server.app import flask_app
from webhook.server.decisionlog import DecisionLog
from webhook.server.endpoint import answer
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings, ReviewEndpoint
from webhook.server.service import ReviewService, open_source

METRICS = ReviewMetrics(new_registry())


class Source:
    """A view that may be broken."""

    def __init__(self, view=None):
        self._view = view

    @property
    def view(self):
        """The view, or a fault of ours."""
        if self._view is None:
            raise RuntimeError("secret")
        return self._view


class Reviews:
    """Both endpoints; they log nothing, and without a view every decision is a fault."""

    def __init__(self, view, level="error", form="json"):
        log = DecisionLog(level, form)
        self.endpoints = {
            webhook: ReviewEndpoint(webhook, Source(view), CurrentSettings(Settings()), METRICS, log)
            for webhook in Webhook
        }

    def answer(self, webhook, body):
        """The answer to one review."""
        return answer(self.endpoints[webhook], body, 1.0)


GOOD = Reviews(build_view([(yaml.safe_load(PROFILE), "profile")]))
_FIELDS = [
    *orjson.loads(REVIEW)["request"],
    "metadata",
    "spec",
    "labels",
    "containers",
    "resources",
    "requests",
]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_FIELDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_status(body):
    """Whether the body is a Status that says what is wrong."""
    status = json.loads(body)
    return status["kind"] == "Status" and status["status"] == "Failure" and bool(status["message"])


@given(body=st.binary(max_size=400), webhook=st.sampled_from(Webhook))
@example(body=b"", webhook=Webhook.MUTATE)
@example(body=b"\x00", webhook=Webhook.MUTATE)
@example(body=b'"\xff"', webhook=Webhook.VALIDATE)
@example(body=b"[" * 100_000, webhook=Webhook.MUTATE)
@example(body=b'{"a":' * 100_000, webhook=Webhook.MUTATE)
@settings(max_examples=1000, deadline=None)
def test_bytes_that_are_no_review_get_a_4xx_status(body, webhook):
    """Whatever the bytes: a 4xx with a Status object."""
    answer = GOOD.answer(webhook, body)
    assert 400 <= answer.status < 500
    assert is_status(answer.body)


@given(position=st.integers(0, len(REVIEW) - 1), data=st.binary(max_size=4), cut=st.booleans())
@settings(max_examples=2000, deadline=None)
def test_damaged_reviews_are_never_a_fault(position, data, cut):
    """A real review with bytes replaced, or cut short: an answer or a 4xx, never a 5xx."""
    tail = b"" if cut else REVIEW[position + len(data) :]
    body = REVIEW[:position] + data + tail
    for webhook in Webhook:
        assert GOOD.answer(webhook, body).status < 500


@given(replacement=_VALUES, path=st.data())
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_in_any_field_is_never_a_fault(replacement, path):
    """Some field somewhere in a real review has another value: no 5xx."""
    review = orjson.loads(REVIEW)
    parent, key = review, "request"
    while isinstance(child := parent[key], (dict, list)) and child and path.draw(st.integers(0, 4)):
        parent = child
        key = path.draw(st.sampled_from(sorted(child) if isinstance(child, dict) else range(len(child))))
    parent[key] = replacement
    body = json.dumps(review).encode(errors="surrogatepass")
    for webhook in Webhook:
        assert GOOD.answer(webhook, body).status < 500


def test_a_fault_of_ours_is_a_500_with_the_uid_and_without_a_traceback(caplog):
    """The client sees the uid only; the log has the traceback under the same uid."""
    with caplog.at_level(logging.ERROR):
        answer = Reviews(None).answer(Webhook.MUTATE, REVIEW)
    uid = orjson.loads(REVIEW)["request"]["uid"]
    assert answer.status == 500
    assert is_status(answer.body)
    assert uid in answer.body.decode()
    assert "secret" not in answer.body.decode()
    assert uid in caplog.text
    assert "secret" in caplog.text
    assert b'faults_total{webhook="mutate"} 1.0' in render(METRICS.registry)


def test_a_fault_in_one_profile_is_the_matter_of_its_pods_alone(monkeypatch):
    """Pods that it matches are answered 500; all others as if nothing were."""
    apply = decision.apply_profile

    def applying(pod, profile, view, **more):
        if profile.name == "faulty":
            raise RuntimeError("injected")
        return apply(pod, profile, view, **more)

    monkeypatch.setattr(decision, "apply_profile", applying)
    faulty = PROFILE.replace("name: spark", "name: faulty").replace("executor", "driver")
    documents = yaml.safe_load_all(f"{PROFILE}---{faulty}")
    answers = Reviews(build_view([(document, "profile") for document in documents]))
    hit = REVIEW.replace(b'"spark-role":"executor"', b'"spark-role":"driver"')
    assert hit != REVIEW
    for _ in range(2):
        assert answers.answer(Webhook.MUTATE, hit).status == 500
        assert answers.answer(Webhook.VALIDATE, hit).status == 200
        good = answers.answer(Webhook.MUTATE, REVIEW)
        assert good.status == 200
        assert orjson.loads(good.body)["response"]["patchType"] == "JSONPatch"


def test_the_flask_routes_give_the_same_answers():
    """The Flask application by itself answers as the fast path does, refusals included."""
    client = flask_app({f"/{w.value}": endpoint for w, endpoint in GOOD.endpoints.items()}).test_client()
    good = client.post("/mutate?timeout=10s", data=REVIEW, content_type="application/json; charset=utf-8")
    assert good.data == GOOD.answer(Webhook.MUTATE, REVIEW).body
    for response, code in (
        (client.get("/mutate"), 405),
        (client.options("/mutate"), 405),
        (client.post("/nowhere"), 404),
        (client.post("/mutate", data=REVIEW, content_type="text/plain"), 415),
        (client.post("/mutate?timeout=soon", data=REVIEW, content_type="application/json"), 400),
        (client.post("/mutate", data=b"x" * (20 * 2**20 + 1), content_type="application/json"), 413),
        (client.post("/validate", data=b"{}", content_type="application/json"), 400),
    ):
        assert response.status_code == code
        assert is_status(response.data)
        assert response.json["code"] == code


@pytest.mark.parametrize("level", ["info", "warning"])
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_decision_is_one_line_from_level_info_on(capfd, level, form):
    """A line break in a name stays inside the line in JSON."""
    subject = Reviews(View(), level, form)
    subject.answer(Webhook.VALIDATE, REVIEW.replace(b'"spark-demo"', rb'"spark\ndemo"', 1))
    subject.answer(Webhook.VALIDATE, b"nonsense")
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == (2 if level == "info" else 1)
    if form == "json":
        assert json.loads(lines[-1])["code"] == 400
    else:
        assert "code=400" in lines[-1]


def test_100_000_damaged_reviews():
    """Bytes of a real review replaced, cut, doubled or moved: an answer or a 4xx each time."""
    dice = random.Random(20261120)
    words = [b"null", b"{}", b"[]", b"-1", b"1e400", b'""', b"true", b'"\\u0000"', b"0x10", b"\xff", b'"1K"']
    webhooks = list(Webhook)
    statuses = collections.Counter()
    for round_number in range(100_000):
        body = bytearray(REVIEW)
        for _ in range(dice.randint(1, 3)):
            start = dice.randrange(len(body))
            if dice.random() < 0.7:
                # A whole value is replaced: most of these are still JSON, and reach the core.
                start = body.find(b":", start) + 1 or start
                ends = [end for mark in b",}]" if (end := body.find(mark, start)) > 0]
                body[start : min(ends, default=start)] = dice.choice(words)
            else:
                end = start + dice.randrange(40)
                body[start:end] = body[start:end] * dice.choice((0, 2))
        statuses[GOOD.answer(webhooks[round_number % 2], bytes(body)).status] += 1
    assert set(statuses) == {200, 400}
    assert min(statuses.values()) > 10_000


def test_a_key_that_replicas_share_follows_their_secret():
    """A Secret that was made again has another key: all sign with that one, unless a key was given."""
    current = CurrentSettings(Settings())
    current.sign_with(b"first")
    current.sign_with(b"second")
    assert current.value.signing_key == derive_key(b"second")
    current = CurrentSettings(Settings(signing_key=b"given"))
    current.sign_with(b"other")
    assert current.value.signing_key == b"given"


@pytest.mark.parametrize("client", [None, Client(Access("http://127.0.0.1:1"))])
def test_a_worker_that_replaces_another_begins_with_the_files_of_now(tmp_path, client):
    """Not with those that the first one began with: it answers before its threads have looked."""
    (tmp_path / "profile.yaml").write_text(PROFILE)
    source, _ = open_source(tmp_path, client, Settings())
    log = DecisionLog("error", "json")
    service = ReviewService(source, CurrentSettings(Settings()), ReviewMetrics(new_registry()), log)
    (tmp_path / "other.yaml").write_text(PROFILE.replace("name: spark", "name: other"))
    service.load()
    assert set(source.view.profiles) == {"other", "spark"}
