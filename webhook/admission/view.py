"""The view: an immutable snapshot of the cluster state that decisions depend on.

Sources (files, watches) build a new view and swap one reference. A view never changes,
so the hot path takes no lock and makes no call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from webhook.admission.objects import (
    ObjectError,
    read_limit_range,
    read_namespace,
    read_priority_class,
    read_resource_quota,
)
from webhook.admission.profiles.index import ProfileIndex
from webhook.admission.profiles.profile import Profile, ProfileError, read_profile
from webhook.pods.priority import BUILTIN, PriorityClass
from webhook.protocol import LABEL_NAMESPACE_NAME, PROFILE_API_VERSION, PROFILE_KIND


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot of a cluster's state.

    Attributes:
        index: the profiles that can be applied, indexed for matching.
        profiles: every profile by name, including those with problems.
        priority_classes: PriorityClasses by name, including the built-in ones.
        namespaces: labels of the known namespaces, by name.
        obstacles: by namespace, the LimitRanges and ResourceQuotas that refuse pods
            without native cpu or memory, each as ``kind "name"``.
        exhaustive: whether ``namespaces`` should hold all namespaces of a cluster, so that
            an unknown one has to be looked up before a decision.
        missing: plural names of kinds that have not been read yet; until this is empty,
            nothing can be decided.
    """

    index: ProfileIndex = field(default_factory=lambda: ProfileIndex(()))
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    priority_classes: Mapping[str, PriorityClass] = field(default_factory=lambda: dict(BUILTIN))
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    obstacles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exhaustive: bool = False
    missing: tuple[str, ...] = ()

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """Return a namespace's labels; an unknown one has only the name label."""
        labels = self.namespaces.get(name)
        return {LABEL_NAMESPACE_NAME: name} if labels is None else labels


class _Builder:
    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.priority_classes = dict(BUILTIN)
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.obstacles: dict[str, list[str]] = {}
        self.seen: dict[tuple[str, str, str], str] = {}

    def add(self, raw: object, source: str) -> None:
        if not isinstance(raw, Mapping):
            raise ObjectError(f"{source}: not a Kubernetes object but {raw!r}")
        kind, version = raw.get("kind"), raw.get("apiVersion")
        if not isinstance(kind, str) or not isinstance(version, str):
            raise ObjectError(f"{source}: an object needs apiVersion and kind")
        items = raw.get("items")
        if kind.endswith("List") and isinstance(items, list):
            # Items of a typed list (ProfileList) carry neither kind nor version.
            inherited = {"apiVersion": version, "kind": kind.removesuffix("List")}
            for i, item in enumerate(items):
                typed = inherited | item if inherited["kind"] and isinstance(item, dict) else item
                self.add(typed, f"{source} items[{i}]")
            return
        reader = _READERS.get((version, kind))
        if reader is None:
            if kind == PROFILE_KIND:
                raise ObjectError(f"{source}: apiVersion {version!r}: use {PROFILE_API_VERSION}")
            return
        metadata = raw.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if not isinstance(name, str) or not name:
            raise ObjectError(f"{source}: {kind} needs metadata.name")
        namespace = str(metadata.get("namespace") or "") if isinstance(metadata, Mapping) else ""
        first = self.seen.setdefault((kind, namespace, name), source)
        if first is not source:
            raise ObjectError(f"{source}: {kind} {name!r} is already defined in {first}: remove one")
        try:
            reader(self, name, namespace, raw)
        except ObjectError as error:
            raise ObjectError(f"{source}: {error}") from None

    def profile(self, name: str, _: str, raw: Mapping[str, Any]) -> None:
        try:
            self.profiles[name] = read_profile(raw)
        except ProfileError as error:
            raise ObjectError(f"{PROFILE_KIND}: {error}") from None

    def priority_class(self, name: str, _: str, raw: Mapping[str, Any]) -> None:
        self.priority_classes[name] = read_priority_class(name, raw)

    def namespace(self, name: str, _: str, raw: Mapping[str, Any]) -> None:
        self.namespaces[name] = read_namespace(name, raw)

    def limit_range(self, name: str, namespace: str, raw: Mapping[str, Any]) -> None:
        self.obstacle(namespace, read_limit_range(name, raw))

    def resource_quota(self, name: str, namespace: str, raw: Mapping[str, Any]) -> None:
        self.obstacle(namespace, read_resource_quota(name, raw))

    def obstacle(self, namespace: str, found: str | None) -> None:
        if found is not None:
            self.obstacles.setdefault(namespace, []).append(found)

    def view(self) -> View:
        return View(
            index=ProfileIndex(self.profiles.values()),
            profiles=MappingProxyType(dict(sorted(self.profiles.items()))),
            priority_classes=MappingProxyType(self.priority_classes),
            namespaces=MappingProxyType(self.namespaces),
            obstacles=MappingProxyType({n: tuple(o) for n, o in self.obstacles.items()}),
        )


_Reader = Callable[[_Builder, str, str, Mapping[str, Any]], None]
_READERS: Final[Mapping[tuple[str, str], _Reader]] = {
    (PROFILE_API_VERSION, PROFILE_KIND): _Builder.profile,
    ("scheduling.k8s.io/v1", "PriorityClass"): _Builder.priority_class,
    ("v1", "Namespace"): _Builder.namespace,
    ("v1", "LimitRange"): _Builder.limit_range,
    ("v1", "ResourceQuota"): _Builder.resource_quota,
}


def build_view(objects: Iterable[tuple[object, str]]) -> View:
    """Build a view from Kubernetes objects.

    Args:
        objects: pairs of an object as read from YAML or JSON, and its source for
            messages (file and document). Lists are expanded; other kinds are ignored.

    Raises:
        ObjectError: an object cannot be read, or two have the same kind and name.
            An invalid profile raises no error: it is in ``profiles`` with its
            problems, and is never applied.
    """
    builder = _Builder()
    for raw, source in objects:
        builder.add(raw, source)
    return builder.view()
