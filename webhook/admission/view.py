"""The immutable picture of the cluster that a decision is made from.

Sources (files, watches) build a new view and swap one reference; nothing here
changes once it is built, so the hot path takes no lock and makes no call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from webhook.admission.index import ProfileIndex
from webhook.admission.priority import BUILTIN, DEFAULT_PREEMPTION_POLICY, PriorityClass
from webhook.admission.profiles import Profile, ProfileError, read_profile
from webhook.protocol import LABEL_NAMESPACE_NAME, NATIVE_RESOURCES, PROFILE_API_VERSION, PROFILE_KIND


class ObjectError(ValueError):
    """An object that cannot be read; the message names kind, name, field and value."""


@dataclass(frozen=True, slots=True)
class View:
    """What the cluster says.

    Attributes:
        index: the profiles that can be applied, ready to be matched.
        profiles: every profile by name, those with problems included.
        priority_classes: PriorityClasses by name, the built-in ones included.
        namespaces: labels of the namespaces that are known.
        obstacles: by namespace, the LimitRanges and ResourceQuotas that refuse pods
            without native cpu or memory, each as ``kind "name"``.
    """

    index: ProfileIndex = field(default_factory=lambda: ProfileIndex(()))
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    priority_classes: Mapping[str, PriorityClass] = field(default_factory=lambda: dict(BUILTIN))
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    obstacles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """Return a namespace's labels; an unknown one has what the API server gives to each."""
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
            raise ObjectError(f"{source}: {kind} {name!r} stands already in {first}: remove one")
        reader(self, name, namespace, raw, source)

    def profile(self, name: str, _: str, raw: Mapping[str, Any], source: str) -> None:
        try:
            self.profiles[name] = read_profile(raw)
        except ProfileError as error:
            raise ObjectError(f"{source}: {PROFILE_KIND}: {error}") from None

    def priority_class(self, name: str, _: str, raw: Mapping[str, Any], source: str) -> None:
        value = raw.get("value", 0)
        policy = raw.get("preemptionPolicy") or DEFAULT_PREEMPTION_POLICY
        if not isinstance(value, int) or isinstance(value, bool) or not isinstance(policy, str):
            raise ObjectError(f"{source}: PriorityClass {name!r}: value must be an integer, not {value!r}")
        self.priority_classes[name] = PriorityClass(name, value, policy)

    def namespace(self, name: str, _: str, raw: Mapping[str, Any], source: str) -> None:
        labels = raw["metadata"].get("labels") or {}
        if not isinstance(labels, Mapping) or not all(
            isinstance(k, str) and isinstance(v, str) for k, v in labels.items()
        ):
            raise ObjectError(f"{source}: Namespace {name!r}: metadata.labels must be a map of strings")
        self.namespaces[name] = MappingProxyType({**labels, LABEL_NAMESPACE_NAME: name})

    def limit_range(self, name: str, namespace: str, raw: Mapping[str, Any], source: str) -> None:
        for limit in _items(raw, "limits", f"{source}: LimitRange {name!r}"):
            bounds = (limit.get(b) for b in ("min", "max", "maxLimitRequestRatio"))
            # A PersistentVolumeClaim's limits do not concern pods.
            if limit.get("type") in {"Container", "Pod"} and any(
                isinstance(b, Mapping) and not b.keys().isdisjoint(NATIVE_RESOURCES) for b in bounds
            ):
                self.obstacles.setdefault(namespace, []).append(f'LimitRange "{name}"')
                return

    def resource_quota(self, name: str, namespace: str, raw: Mapping[str, Any], source: str) -> None:
        spec = raw.get("spec") or {}
        hard = spec.get("hard") or {} if isinstance(spec, Mapping) else None
        if not isinstance(hard, Mapping):
            raise ObjectError(f"{source}: ResourceQuota {name!r}: spec.hard must be a map")
        scopes = spec.get("scopes") or []
        if not isinstance(scopes, list):
            raise ObjectError(f"{source}: ResourceQuota {name!r}: spec.scopes must be a list")
        # Quotas of the NotBestEffort scope do not count pods without native resources.
        if "NotBestEffort" not in scopes and any(
            str(resource).removeprefix("requests.").removeprefix("limits.") in NATIVE_RESOURCES
            for resource in hard
        ):
            self.obstacles.setdefault(namespace, []).append(f'ResourceQuota "{name}"')

    def view(self) -> View:
        return View(
            index=ProfileIndex(self.profiles.values()),
            profiles=MappingProxyType(dict(sorted(self.profiles.items()))),
            priority_classes=MappingProxyType(self.priority_classes),
            namespaces=MappingProxyType(self.namespaces),
            obstacles=MappingProxyType({n: tuple(o) for n, o in self.obstacles.items()}),
        )


def _items(raw: Mapping[str, Any], field: str, source: str) -> list[Mapping[str, Any]]:
    spec = raw.get("spec") or {}
    items = spec.get(field) or [] if isinstance(spec, Mapping) else None
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise ObjectError(f"{source}: spec.{field} must be a list of maps")
    return items


_Reader = Callable[[_Builder, str, str, Mapping[str, Any], str], None]
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
        objects: pairs of an object as read from YAML or JSON, and where it stands
            (a file and document, for messages). Lists are opened; kinds that do
            not matter here are passed over.

    Raises:
        ObjectError: an object cannot be read, or two have the same kind and name.
            A profile that is merely wrong is not an error: it is in ``profiles``
            with its problems, and is never applied.
    """
    builder = _Builder()
    for raw, source in objects:
        builder.add(raw, source)
    return builder.view()
