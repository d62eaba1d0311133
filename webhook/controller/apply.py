"""Server-side apply by the controller: never forced, so that a field of somebody else stays as it is."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from webhook.kube.client import APPLY_PATCH, ApiError, Client
from webhook.protocol import CAPACITY_MANAGER

CONFLICT_SECONDS: Final = 600.0
"""For how long an object is left alone of which a field belongs to somebody else."""

REFUSED_SECONDS: Final = 60.0
"""For how long one is left alone that was refused for another reason."""

_OWNERS: Final = re.compile(r'conflicts? with "([^"]+)"')


def apply(api: Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Apply the fields of an object that are to be ours; return the object. Raises ApiError."""
    query = {"fieldManager": CAPACITY_MANAGER, "force": "false"}
    return api.call("PATCH", path, body=body, content_type=APPLY_PATCH, query=query)


def owners(error: ApiError) -> str:
    """Return whose fields stood in the way of an apply; "": it failed for another reason."""
    found = _OWNERS.findall(str(error)) if error.status == HTTPStatus.CONFLICT else []
    return " and ".join(sorted(set(found)))


def is_managed(metadata: Mapping[str, Any]) -> bool:
    """Whether fields of an object are ours."""
    return CAPACITY_MANAGER in managers(metadata)


def managers(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of those whose fields an object has."""
    listed = metadata.get("managedFields") or ()
    return frozenset(str(each.get("manager")) for each in listed if isinstance(each, dict))
