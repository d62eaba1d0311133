"""Answers to a review, in three words: allowed, denied, errored.

``allowed`` and ``denied`` make an AdmissionResponse, which ``respond`` puts into its AdmissionReview.
``errored`` is for what got no response: the API server applies failurePolicy then.
Source: the Kubernetes API, ``admission.k8s.io/v1``.
"""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson

from webhook.admission.editor import Operation, json_patch
from webhook.admission.review import API_VERSION, KIND
from webhook.kube.status import status_body

# What the API server says of an object that breaks a rule, too.
INVALID: Final[dict[str, Any]] = {"code": 422, "reason": "Invalid"}


class Answer(NamedTuple):
    """An HTTP status and a JSON body."""

    status: int
    body: bytes


def allowed(uid: str, operations: Iterable[Operation] = ()) -> dict[str, Any]:
    """Return the response that lets a request pass, with the JSON Patch to apply to its object."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch := json_patch(operations):
        response["patchType"] = "JSONPatch"
        response["patch"] = b64encode(orjson.dumps(patch)).decode()
    return response


def denied(uid: str, message: str, *, reason: str, code: int) -> dict[str, Any]:
    """Return the response that refuses a request; ``reason`` is a ``metav1.StatusReason``."""
    status = {"status": "Failure", "message": message, "reason": reason, "code": int(code)}
    return {"uid": uid, "allowed": False, "status": status}


def respond(response: dict[str, Any]) -> Answer:
    """Return the AdmissionReview that carries a response."""
    return Answer(200, orjson.dumps({"kind": KIND, "apiVersion": API_VERSION, "response": response}))


def errored(code: int, message: str) -> Answer:
    """Return a ``metav1.Status`` of a failure instead of an AdmissionReview."""
    return Answer(int(code), status_body(code, message))


def unavailable(uid: str, reason: str) -> Answer:
    """Return the 503 for a review of which something is not known at the moment."""
    return errored(503, f"review {uid} cannot be answered: {reason}")


def failed(uid: str) -> Answer:
    """Return the 500 for a fault of ours."""
    return errored(500, f"internal fault at review {uid}; the webhook's log has the details under that uid")
