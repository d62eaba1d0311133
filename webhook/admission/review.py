"""Parsing of an AdmissionReview.

Source: the Kubernetes API, ``admission.k8s.io/v1``.
"""

import re
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson

from webhook.pods.text import shown

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
_LOOKED_FOR: Final = (b"hugepages-", b"resourceFieldRef", b"matchLabelKeys")
_DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


class Webhook(StrEnum):
    """The mutating or the validating webhook."""

    MUTATE = "mutate"
    VALIDATE = "validate"


class ReviewError(Exception):
    """A request is not a readable AdmissionReview: answered with a 4xx.

    Attributes:
        status: the HTTP status code.
        message: names the field, the value and the remedy.
        uid: the request's uid if it could be read, else "".
    """

    def __init__(self, message: str, *, status: int = HTTPStatus.BAD_REQUEST, uid: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = int(status)
        self.uid = uid


class Review(NamedTuple):
    """The request of an AdmissionReview.

    Attributes:
        uid: chosen by the API server for each call of a webhook.
        resource: group, version and plural name.
        subresource: "" for the object itself.
        namespace: "" for cluster-scoped objects; the object itself may lack it.
        name: "" if the API server will generate it (generateName).
        object: the new object; {} on DELETE.
        old_object: the existing object; {} on CREATE.
        username: of the user who made the request.
        plain: nothing in it has huge pages, reads its own resources (``resourceFieldRef``) or has
            selectors that its own labels narrow (``matchLabelKeys``), so nobody needs to look for these.
    """

    uid: str
    resource: tuple[str, str, str]
    subresource: str
    operation: str
    namespace: str
    name: str
    object: dict[str, Any]
    old_object: dict[str, Any]
    dry_run: bool
    username: str
    plain: bool = False


def parse_review(body: bytes) -> Review:
    """Read an AdmissionReview.

    Raises:
        ReviewError: not JSON, not an AdmissionReview of v1, or a field of the wrong type.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ReviewError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ReviewError(f"the body must be a JSON object, not {shown(document)}")
    kind, version = document.get("kind"), document.get("apiVersion")
    if kind != KIND:
        raise ReviewError(f"kind: {shown(kind)} is not {KIND!r}")
    if version != API_VERSION:
        raise ReviewError(
            f"apiVersion: {shown(version)} is not {API_VERSION!r}: "
            f"set admissionReviewVersions: [v1] in the webhook configuration"
        )
    request = _field(document, "request", dict, "")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise ReviewError(f"request.uid: must be a string that is not empty, not {shown(uid)}")
    resource = _field(request, "resource", dict, uid)
    return Review(
        uid=uid,
        resource=(
            _field(resource, "group", str, uid, "request.resource."),
            _field(resource, "version", str, uid, "request.resource."),
            _field(resource, "resource", str, uid, "request.resource."),
        ),
        subresource=_field(request, "subResource", str, uid),
        operation=_field(request, "operation", str, uid),
        namespace=_field(request, "namespace", str, uid),
        name=_field(request, "name", str, uid),
        object=_field(request, "object", dict, uid),
        old_object=_field(request, "oldObject", dict, uid),
        dry_run=_field(request, "dryRun", bool, uid),
        username=_field(_field(request, "userInfo", dict, uid), "username", str, uid, "request.userInfo."),
        plain=not any(word in body for word in _LOOKED_FOR),
    )


def check_namespace(review: Review) -> None:
    """Raise ReviewError for a namespace that cannot exist, before the API server is asked about it."""
    if not _DNS_LABEL.fullmatch(review.namespace):
        name = shown(review.namespace)
        raise ReviewError(f"request.namespace: {name} is no DNS label, as each namespace is", uid=review.uid)


_WORDS: Final = {dict: "an object", str: "a string", bool: "true or false"}


def _field(parent: dict[str, Any], key: str, kind: type, uid: str, at: str = "request.") -> Any:  # noqa: ANN401 — ``kind`` says
    """Return a field of the given type; if it is absent or null, the type's empty value."""
    value = parent.get(key)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        path = key if key == "request" else at + key
        raise ReviewError(f"{path}: must be {_WORDS[kind]}, not {shown(value)}", uid=uid)
    return value
