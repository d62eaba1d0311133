"""Server-side apply, never forced: a field that somebody else owns stays as it is.

To give up all that is ours of a map is no apply. One that leaves out every key takes the whole map away
unless somebody else owns a key of it; and nobody owns what a kubelet says when it registers its node.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from webhook.kube.client import APPLY_PATCH, MERGE_PATCH, ApiError, Client

Path = tuple[str, ...]

CONFLICT_SECONDS: Final = 600.0
"""For how long an object is left alone of which a field belongs to somebody else."""

REFUSED_SECONDS: Final = 60.0
"""For how long one is left alone that was refused for another reason."""

_OWNERS: Final = re.compile(r'conflicts? with "([^"]+)"')


def apply(api: Client, path: str, body: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """Apply an object, or with a path that ends in ``/status`` its status, and return what became of it.

    What the manager applied before and leaves out now is removed. Raises ApiError; ``owners_of``
    names the others of a conflict.
    """
    query = {"fieldManager": manager, "force": "false"}
    return api.call("PATCH", path, body=body, content_type=APPLY_PATCH, query=query)


@dataclass
class Pauses:
    """Until when each object is left alone, by a name.

    Attributes:
        clock: seconds that never go back.
    """

    clock: Callable[[], float]
    _until: dict[str, float] = field(default_factory=dict, init=False)

    def over(self, name: str) -> bool:
        """Whether an object may be written."""
        return self.clock() >= self._until.get(name, 0.0)

    def pause(self, name: str, seconds: float) -> None:
        """Leave an object alone for a while from now on."""
        self._until[name] = self.clock() + seconds

    def refused(self, name: str, error: ApiError) -> list[str]:
        """Leave an object alone that was refused, and return whose fields stood in the way.

        Raises:
            ApiError: the API server did not answer: that is no matter of the object.
        """
        if error.of_server:
            raise error
        owners = owners_of(error)
        self.pause(name, CONFLICT_SECONDS if owners else REFUSED_SECONDS)
        return owners

    def forget(self, name: str) -> None:
        """Forget an object that is gone."""
        self._until.pop(name, None)

    def forget_past(self) -> None:
        """Forget the pauses that are over, where nobody says which objects are gone."""
        now = self.clock()
        self._until = {name: until for name, until in self._until.items() if now < until}


def owners_of(error: ApiError) -> list[str]:
    """Return the managers whose fields an apply would have changed; none for another failure."""
    return sorted(set(_OWNERS.findall(str(error)))) if error.status == HTTPStatus.CONFLICT else []


def remove(api: Client, path: str, uid: str, fields: Iterable[Path], manager: str) -> dict[str, Any]:
    """Delete fields of a manager's, and nothing else; return the object. Raises ApiError.

    Args:
        api: the API server.
        path: of the object.
        uid: another object of that name is left alone.
        fields: of maps, from ``owned_fields``.
        manager: whose they are.
    """
    body: dict[str, Any] = {"metadata": {"uid": uid}}
    for *parents, name in fields:
        at = body
        for parent in parents:
            at = at.setdefault(parent, {})
        at[name] = None
    return api.call("PATCH", path, body=body, content_type=MERGE_PATCH, query={"fieldManager": manager})


def owned_fields(metadata: Mapping[str, Any], maps: Iterable[Path], manager: str) -> frozenset[Path]:
    """Return which keys of an object's maps are a manager's, each with the path of its map before it."""
    found: set[Path] = set()
    for entry in metadata.get("managedFields") or ():
        if not isinstance(entry, dict) or entry.get("manager") != manager:
            continue
        for path in maps:
            at = entry.get("fieldsV1")
            for part in path:
                at = at.get(f"f:{part}") if isinstance(at, dict) else None
            keys = at if isinstance(at, dict) else ()
            found.update((*path, key[2:]) for key in keys if key.startswith("f:"))
    return frozenset(found)


def managers(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of those whose fields an object has."""
    listed = metadata.get("managedFields") or ()
    return frozenset(str(each.get("manager")) for each in listed if isinstance(each, dict))
