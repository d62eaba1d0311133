"""What watches keep of a cluster, and the view made from it.

Objects are cut down to what a decision needs as they come, and each part of the view is
made again only when something in it changed: a new namespace does not compile a profile,
and a written status does not either. Making a part is a shallow copy (namespaces, classes)
or one index (profiles); views that were handed out before stay as they are.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from webhook.admission import View
from webhook.admission.objects import (
    read_limit_range,
    read_namespace,
    read_priority_class,
    read_resource_quota,
)
from webhook.admission.profiles.index import ProfileIndex
from webhook.admission.profiles.profile import Profile, read_profile
from webhook.kube.store import Store
from webhook.pods.priority import PriorityClass
from webhook.protocol import PROFILE_API_VERSION, PROFILE_RESOURCE

NAMESPACES: Final = "/api/v1/namespaces"


_Key = tuple[str, str]


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


@dataclass(frozen=True, slots=True)
class _Made:
    """Parts of the last view, with the revisions that they were made from."""

    view: View
    revisions: tuple[int, ...]


class ClusterCache:
    """The stores of the five kinds, by the path of each kind's collection.

    Attributes:
        stores: where a reflector puts what it hears.
        profiles: the store that statuses are written from.
    """

    def __init__(self, news: Callable[[], None]) -> None:
        """Begin empty; ``news`` is called, in whatever thread, when a new view could be made."""
        self._lock = threading.Lock()
        self.profiles: Store[WatchedProfile] = Store(_read_watched, self._lock, news)
        self._namespaces: Store[Mapping[str, str]] = Store(
            lambda name, raw, _: read_namespace(name, raw), self._lock, news
        )
        self._classes: Store[PriorityClass] = Store(
            lambda name, raw, _: read_priority_class(name, raw), self._lock, news
        )
        self._limit_ranges: Store[str] = Store(
            lambda name, raw, _: read_limit_range(name, raw), self._lock, news
        )
        self._quotas: Store[str] = Store(
            lambda name, raw, _: read_resource_quota(name, raw), self._lock, news
        )
        self.stores: Final[Mapping[str, Store[Any]]] = {
            f"/apis/{PROFILE_API_VERSION}/{PROFILE_RESOURCE}": self.profiles,
            NAMESPACES: self._namespaces,
            "/apis/scheduling.k8s.io/v1/priorityclasses": self._classes,
            "/api/v1/limitranges": self._limit_ranges,
            "/api/v1/resourcequotas": self._quotas,
        }
        self._made = _Made(
            # No class is taken for granted: the API server refuses pods of one that is not installed.
            View(priority_classes=MappingProxyType({}), exhaustive=True, missing=self._missing()),
            (0,) * len(self.stores),
        )

    def has_namespace(self, name: str) -> bool:
        """Tell whether a namespace has been heard of, though perhaps not by the last view yet."""
        return ("", name) in self._namespaces.values

    def learn_namespace(self, raw: Mapping[str, Any]) -> None:
        """Take a namespace that was looked up because nothing had been heard of it."""
        self._namespaces.learn(raw, None)

    def watched(self) -> dict[str, WatchedProfile]:
        """Return the profiles by name, as they are now."""
        with self._lock:
            return {name: watched for (_, name), watched in self.profiles.values.items()}

    def view(self) -> View:
        """Return the view of this moment; the same object as before where nothing changed."""
        with self._lock:
            revisions = tuple(store.revision for store in self.stores.values())
            made = self._made
            missing = self._missing()
            if revisions == made.revisions and missing == made.view.missing:
                return made.view
            old = made.view
            profiles, namespaces, classes, limit_ranges, quotas = (
                new != before for new, before in zip(revisions, made.revisions, strict=True)
            )
            index, by_name = old.index, old.profiles
            if profiles:
                kept = sorted(self.profiles.values.items())
                found = {name: watched.profile for (_, name), watched in kept}
                # A written status leaves the profile the object that it was.
                if len(found) != len(by_name) or any(by_name.get(n) is not p for n, p in found.items()):
                    by_name = MappingProxyType(found)
                    index = ProfileIndex(found.values())
            view = View(
                index=index,
                profiles=by_name,
                priority_classes=(
                    MappingProxyType({n: v for (_, n), v in self._classes.values.items()})
                    if classes
                    else old.priority_classes
                ),
                namespaces=(
                    MappingProxyType({n: v for (_, n), v in self._namespaces.values.items()})
                    if namespaces
                    else old.namespaces
                ),
                obstacles=self._obstacles() if limit_ranges or quotas else old.obstacles,
                exhaustive=True,
                missing=missing,
            )
            self._made = _Made(view, revisions)
            return view

    def _missing(self) -> tuple[str, ...]:
        return tuple(path.rpartition("/")[2] for path, store in self.stores.items() if not store.synced)

    def _obstacles(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for (namespace, _), obstacle in self._all_obstacles():
            found.setdefault(namespace, []).append(obstacle)
        return MappingProxyType({namespace: tuple(named) for namespace, named in found.items()})

    def _all_obstacles(self) -> Iterator[tuple[_Key, str]]:
        yield from sorted(self._limit_ranges.values.items())
        yield from sorted(self._quotas.values.items())


def _read_watched(_: str, raw: Mapping[str, Any], old: WatchedProfile | None) -> WatchedProfile:
    metadata = raw["metadata"]
    spec = (raw.get("spec"), metadata.get("annotations"))
    status = raw.get("status")
    if old is not None and old.spec == spec:
        profile = old.profile
    else:
        profile = read_profile(raw)
        # One that we cannot file would cost the others their view: it is to fail here, alone.
        ProfileIndex((profile,))
    return WatchedProfile(
        profile=profile,
        spec=spec,
        generation=int(metadata.get("generation") or 0),
        status=status if isinstance(status, Mapping) else {},
        version=str(metadata.get("resourceVersion") or ""),
    )
