"""The watch cache: one store for each kind, and the view made from them.

Objects are trimmed to what a decision needs as they come, and a field of the view is made again only
when its objects changed: neither a new namespace nor a written status compiles a profile. Making a
field is a shallow copy (namespaces, classes) or one index (profiles); earlier views stay as they are.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from webhook.admission.kinds import KINDS, PROFILES, Kind
from webhook.admission.profiles.index import ProfileIndex
from webhook.admission.profiles.profile import Profile, read_profile
from webhook.admission.view import Objects, View, updated
from webhook.kube.cache.store import Store


class WatchedProfile(NamedTuple):
    """A profile, and what is needed to write its status.

    Attributes:
        profile: compiled.
        spec: what it was compiled from: ``spec`` and the annotations.
        generation: counts changes of ``spec``.
        status: as it is in the cluster.
        version: the object's resource version.
    """

    profile: Profile
    spec: tuple[Any, Any]
    generation: int
    status: Mapping[str, Any]
    version: str


class ClusterCache:
    """The stores of all kinds.

    Attributes:
        stores: where a reflector puts the objects of each kind.
        profiles: the store that statuses are written from.
    """

    def __init__(self, news: Callable[[], None]) -> None:
        """Begin empty; ``news`` is called, in whatever thread, when a new view could be made."""
        self._lock = threading.Lock()
        self.profiles: Store[WatchedProfile] = Store(_read_watched, self._lock, news)
        self.stores: Final[Mapping[Kind, Store[Any]]] = {
            kind: self.profiles if kind is PROFILES else Store(_reader(kind), self._lock, news)
            for kind in KINDS
        }
        # No class is taken for granted: the API server refuses pods of one that is not installed.
        self._view = View(priority_classes=MappingProxyType({}), exhaustive=True, missing=self._missing())
        self._revisions = dict.fromkeys(KINDS, 0)
        self._below: Objects = {}

    def lay_below(self, profiles: Mapping[str, Profile]) -> None:
        """Take profiles that count where the cluster has none of the same name."""
        with self._lock:
            self._below = {("", name): profile for name, profile in profiles.items()}
            self.profiles.revision += 1

    def watched(self) -> dict[str, WatchedProfile]:
        """Return the profiles by name, as they are now."""
        with self._lock:
            return {name: watched for (_, name), watched in self.profiles.values.items()}

    def view(self) -> View:
        """Return the view of this moment; the same object as before where nothing changed."""
        with self._lock:
            missing = self._missing()
            revisions = {kind: store.revision for kind, store in self.stores.items()}
            if revisions == self._revisions and missing == self._view.missing:
                return self._view
            objects: dict[Kind, Objects] = {kind: store.values for kind, store in self.stores.items()}
            watched = {key: found.profile for key, found in self.profiles.values.items()}
            objects[PROFILES] = {**self._below, **watched}
            fields = {kind.field for kind in KINDS if revisions[kind] != self._revisions[kind]}
            if self._same_profiles(objects[PROFILES]):
                fields.discard(PROFILES.field)
            self._view = updated(replace(self._view, missing=missing), objects, fields)
            self._revisions = revisions
            return self._view

    def _same_profiles(self, found: Objects) -> bool:
        """Whether these are the profiles of the last view: a written status leaves them as they were."""
        known = self._view.profiles
        return len(found) == len(known) and all(known.get(name) is each for (_, name), each in found.items())

    def _missing(self) -> tuple[str, ...]:
        return tuple(kind.resource for kind, store in self.stores.items() if not store.synced)


def _reader(kind: Kind) -> Callable[[str, Mapping[str, Any], Any], Any]:
    return lambda name, raw, _: kind.read(name, raw)


def _read_watched(_: str, raw: Mapping[str, Any], old: WatchedProfile | None) -> WatchedProfile:
    metadata = raw["metadata"]
    spec = (raw.get("spec"), metadata.get("annotations"))
    status = raw.get("status")
    if old is not None and old.spec == spec:
        profile = old.profile
    else:
        profile = read_profile(raw)
        # One that cannot be indexed would cost the others their view: it has to fail here, alone.
        ProfileIndex((profile,))
    return WatchedProfile(
        profile=profile,
        spec=spec,
        generation=int(metadata.get("generation") or 0),
        status=status if isinstance(status, Mapping) else {},
        version=str(metadata.get("resourceVersion") or ""),
    )
