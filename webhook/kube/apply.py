"""Server-side apply, never forced: a field that somebody else owns stays as it is."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from webhook.kube.client import APPLY_PATCH, ApiError, Client

_OWNERS: Final = re.compile(r'conflicts? with "([^"]+)"')


def apply(api: Client, path: str, body: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """Apply an object, or with a path that ends in ``/status`` its status, and return what became of it.

    What the manager applied before and leaves out now is removed. Raises ApiError; ``owners_of``
    names the others of a conflict.
    """
    query = {"fieldManager": manager, "force": "false"}
    return api.call("PATCH", path, body=body, content_type=APPLY_PATCH, query=query)


def owners_of(error: ApiError) -> list[str]:
    """Return the managers whose fields an apply would have changed; none for another failure."""
    return sorted(set(_OWNERS.findall(str(error)))) if error.status == HTTPStatus.CONFLICT else []


def managers(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of those whose fields an object has."""
    listed = metadata.get("managedFields") or ()
    return frozenset(str(each.get("manager")) for each in listed if isinstance(each, dict))
