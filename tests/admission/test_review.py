"""The envelope: what is a review, what is a 4xx."""

import json

import pytest

from tests.builders import pod, review
from webhook.admission.review import ReviewError, parse_review
from webhook.kube.status import status_body


def of(**fields) -> dict:
    """Return a review with other fields in its request."""
    raw = review(pod(), uid="the-uid")
    raw["request"] |= fields
    return raw


def refused(raw) -> ReviewError:
    """Return the error that a body is answered with."""
    body = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    with pytest.raises(ReviewError) as caught:
        parse_review(body)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"kind":"AdmissionReview"',
        b"nonsense",
        b"\xff\xfe",
        b"\0",
        b'{"kind":"\xff"}',
        b"[" * 5000,
        b'{"request":' * 5000,
        b'{"kind": NaN}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"{} {}",
    ],
    ids=repr,
)
def test_bodies_that_are_not_json(body) -> None:
    """Bad input: truncated, non-JSON, NUL, non-UTF-8 and deeply nested bodies are a 400."""
    error = refused(body[:60000])
    assert error.status == 400


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"x"', b"true", b"{}"])
def test_json_that_is_no_review(body) -> None:
    """Bad input: other JSON is a 400."""
    assert refused(body).status == 400


@pytest.mark.parametrize("version", ["admission.k8s.io/v1beta1", "v1", "", None, 1, []])
def test_other_versions(version) -> None:
    """Admission §1: admission.k8s.io/v1 only; the message says what to set."""
    error = refused(of() | {"apiVersion": version})
    assert error.status == 400
    assert "apiVersion" in error.message
    assert "admissionReviewVersions" in error.message


@pytest.mark.parametrize("kind", ["Pod", "admissionreview", None, 7])
def test_other_kinds(kind) -> None:
    """Admission §1: the wrong kind is a 4xx that names the field."""
    assert refused(of() | {"kind": kind}).message.startswith("kind: ")


@pytest.mark.parametrize("uid", ["", None, 1, [], {}])
def test_reviews_without_a_uid(uid) -> None:
    """Bad input: without a uid there is nothing to answer to."""
    assert refused(of(uid=uid)).message.startswith("request.uid: ")


@pytest.mark.parametrize("request_", [None, [], "x", 1, {}])
def test_reviews_without_a_request(request_) -> None:
    """The request must be there and be an object."""
    assert "request" in refused(of() | {"request": request_}).message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resource", "pods"),
        ("resource", {"group": 1}),
        ("resource", {"resource": ["pods"]}),
        ("subResource", 1),
        ("operation", {}),
        ("namespace", 7),
        ("name", []),
        ("object", "pod"),
        ("object", [1]),
        ("oldObject", 1),
        ("dryRun", "true"),
        ("userInfo", "jane"),
        ("userInfo", {"username": 1}),
    ],
)
def test_wrong_types_in_the_fields_we_read(field, value) -> None:
    """Bad input: a field of the wrong type is a 4xx that names it, and keeps the uid."""
    error = refused(of(**{field: value}))
    assert error.message.startswith(f"request.{field}")
    assert error.uid == "the-uid"


@pytest.mark.parametrize(
    "field", ["subResource", "namespace", "name", "oldObject", "dryRun", "userInfo", "object"]
)
def test_optional_fields_may_be_null_or_absent(field) -> None:
    """Absent and null are the same."""
    null, absent = of(**{field: None}), of()
    absent["request"].pop(field, None)
    assert parse_review(json.dumps(null).encode()) == parse_review(json.dumps(absent).encode())


def test_unknown_fields_are_passed_over() -> None:
    """Bad input: fields we do not know, anywhere, do no harm."""
    raw = of(unknown={"a": 1}) | {"more": [1]}
    raw["request"]["object"]["spec"]["new"] = True
    assert parse_review(json.dumps(raw).encode()).object["spec"]["new"] is True


def test_what_is_read() -> None:
    """Every field of the request that a decision needs."""
    raw = of(subResource="resize", operation="UPDATE", name="n", dryRun=True, oldObject={"a": 1})
    read = parse_review(json.dumps(raw).encode())
    assert read.uid == "the-uid"
    assert read.resource == ("", "v1", "pods")
    assert (read.subresource, read.operation, read.namespace, read.name) == (
        "resize",
        "UPDATE",
        "spark-demo",
        "n",
    )
    assert (read.dry_run, read.username, read.old_object) == (True, "jane", {"a": 1})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (400, "BadRequest"),
        (404, "NotFound"),
        (413, None),
        (415, "UnsupportedMediaType"),
        (405, "MethodNotAllowed"),
    ],
)
def test_the_status(code, reason) -> None:
    """Admission §1: a 4xx carries a Status object that says what is wrong."""
    status = json.loads(status_body(code, "what is wrong"))
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert (status["code"], status["message"]) == (code, "what is wrong")
    assert status["reason"] == reason or (reason is None and status["reason"])


def test_an_error_shows_no_more_than_a_line_of_a_value() -> None:
    """A huge value is cut off in the message."""
    assert len(refused(of(namespace=["x" * 100_000])).message) < 300
