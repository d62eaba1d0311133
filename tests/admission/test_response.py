"""The three answers to a review, as the API server reads them."""

import base64
import json

import pytest

from webhook.admission.editor import Cause, Operation
from webhook.admission.response import allowed, denied, errored, failed, respond, unavailable


def test_an_allowed_request_passes_as_it_is():
    """Without operations there is no patch, not even an empty one."""
    assert allowed("u") == {"uid": "u", "allowed": True}


def test_an_allowed_request_may_be_patched():
    """The JSON Patch is in base64, and its operations have no causes any more."""
    response = allowed("u", [Operation("add", "/metadata/labels/a", "b", (Cause("profile p", "labels"),))])
    assert response["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(response["patch"]))
    assert patch == [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]


def test_a_denied_request_says_why():
    """Message, reason and code are what kubectl shows."""
    status = {"status": "Failure", "message": "no", "reason": "Invalid", "code": 422}
    assert denied("u", "no", reason="Invalid", code=422) == {"uid": "u", "allowed": False, "status": status}


def test_a_response_goes_into_its_review():
    """HTTP 200, whether allowed or denied: the review was answered."""
    for response in (allowed("u"), denied("u", "no", reason="Forbidden", code=403)):
        status, body = respond(response)
        assert status == 200
        review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}
        assert json.loads(body) == review


@pytest.mark.parametrize(
    ("code", "reason"), [(400, "BadRequest"), (413, "RequestEntityTooLarge"), (503, "ServiceUnavailable")]
)
def test_what_gets_no_response_gets_a_status(code, reason):
    """FailurePolicy decides then."""
    status, body = errored(code, "what is wrong")
    assert status == code
    answer = json.loads(body)
    assert (answer["kind"], answer["code"], answer["reason"]) == ("Status", code, reason)
    assert answer["message"] == "what is wrong"


@pytest.mark.parametrize(
    ("answer", "code"), [(unavailable("u-1", "no namespace"), 503), (failed("u-1"), 500)], ids=["503", "500"]
)
def test_what_cannot_be_decided_names_the_review(answer, code):
    """The log has the same uid, so the two are found together."""
    assert answer.status == code
    assert "review u-1" in json.loads(answer.body)["message"]
