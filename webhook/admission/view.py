"""The view: an immutable snapshot of the cluster state that decisions depend on.

Sources (files, watches) build a new view and swap one reference. A view never changes,
so the hot path takes no lock and makes no call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from webhook.admission.kinds import KINDS, PRIORITY_CLASSES, Kind
from webhook.admission.objects import ObjectError
from webhook.admission.profiles.index import ProfileIndex
from webhook.admission.profiles.profile import Profile, ProfileError
from webhook.pods.apiserver.limitrange import LimitRange
from webhook.pods.apiserver.resourcequota import ResourceQuota
from webhook.pods.priority import BUILTIN, PriorityClass
from webhook.pods.text import shown
from webhook.protocol import LABEL_NAMESPACE_NAME, PROFILE_API_VERSION, PROFILE_KIND

Objects = Mapping[tuple[str, str], Any]
"""What is kept of the objects of one kind, by namespace ("" for cluster-scoped kinds) and name."""

_BY_API: Final = {(kind.api_version, kind.kind): kind for kind in KINDS}
_BY_NAMESPACE: Final = frozenset({"limit_ranges", "quotas"})


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot of a cluster's state.

    Attributes:
        index: the profiles that can be applied, indexed for matching.
        profiles: every profile by name, including those with problems.
        priority_classes: PriorityClasses by name, including the built-in ones.
        namespaces: labels of the known namespaces, by name.
        limit_ranges: the LimitRanges of each namespace.
        quotas: the ResourceQuotas of each namespace.
        exhaustive: whether ``namespaces`` should hold all namespaces of a cluster, so that
            an unknown one has to be looked up before a decision.
        missing: plural names of kinds that have not been read yet; until this is empty,
            nothing can be decided.
    """

    index: ProfileIndex = field(default_factory=lambda: ProfileIndex(()))
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    priority_classes: Mapping[str, PriorityClass] = field(default_factory=lambda: dict(BUILTIN))
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limit_ranges: Mapping[str, tuple[LimitRange, ...]] = field(default_factory=dict)
    quotas: Mapping[str, tuple[ResourceQuota, ...]] = field(default_factory=dict)
    exhaustive: bool = False
    missing: tuple[str, ...] = ()

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """Return a namespace's labels; an unknown one has only the name label."""
        labels = self.namespaces.get(name)
        return {LABEL_NAMESPACE_NAME: name} if labels is None else labels


def updated(view: View, objects: Mapping[Kind, Objects], fields: Iterable[str]) -> View:
    """Return a view of which some fields are made from these objects.

    Args:
        view: gives the other fields.
        objects: all objects of the kinds that these fields are made from.
        fields: names, see ``Kind.field``.
    """
    changes: dict[str, Any] = {}
    for name in fields:
        kept = [objects[kind] for kind in KINDS if kind.field == name]
        if name in _BY_NAMESPACE:
            grouped: dict[str, list[Any]] = {}
            for (namespace, _), value in (each for found in kept for each in sorted(found.items())):
                grouped.setdefault(namespace, []).append(value)
            changes[name] = MappingProxyType({key: tuple(values) for key, values in grouped.items()})
            continue
        by_name = {key[1]: value for found in kept for key, value in found.items()}
        if name == "profiles":
            by_name = dict(sorted(by_name.items()))
            changes["index"] = ProfileIndex(by_name.values())
        changes[name] = MappingProxyType(by_name)
    return replace(view, **changes)


def build_view(objects: Iterable[tuple[object, str]]) -> View:
    """Build a view from Kubernetes objects.

    Args:
        objects: pairs of an object as read from YAML or JSON, and its source for
            messages (file and document). Objects of other kinds are ignored.

    Raises:
        ObjectError: an object cannot be read, or two have the same kind and name.
            An invalid profile raises no error: it is in ``profiles`` with its
            problems, and is never applied.
    """
    kept: dict[Kind, dict[tuple[str, str], Any]] = {kind: {} for kind in KINDS}
    kept[PRIORITY_CLASSES] = {("", name): found for name, found in BUILTIN.items()}
    seen: dict[tuple[Kind, str, str], str] = {}
    for raw, source in objects:
        if not isinstance(raw, Mapping):
            raise ObjectError(f"{source}: not a Kubernetes object but {shown(raw)}")
        name, version = raw.get("kind"), raw.get("apiVersion")
        if not isinstance(name, str) or not isinstance(version, str):
            raise ObjectError(f"{source}: an object needs apiVersion and kind")
        if kind := _BY_API.get((version, name)):
            namespace, name = _key(kind, raw, source)
            first = seen.setdefault((kind, namespace, name), source)
            if first is not source:
                raise ObjectError(
                    f"{source}: {kind.kind} {shown(name)} is already defined in {first}: remove one"
                )
            value = _read(kind, name, raw, source)
            if value is not None:
                kept[kind][namespace, name] = value
        elif name == PROFILE_KIND:
            raise ObjectError(f"{source}: apiVersion {shown(version)}: use {PROFILE_API_VERSION}")
    return updated(View(), kept, {kind.field for kind in KINDS})


def _key(kind: Kind, raw: Mapping[str, Any], source: str) -> tuple[str, str]:
    """Return an object's namespace and name."""
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(name, str) or not name:
        raise ObjectError(f"{source}: {kind.kind} needs metadata.name")
    return str(metadata.get("namespace") or ""), name


def _read(kind: Kind, name: str, raw: Mapping[str, Any], source: str) -> Any:  # noqa: ANN401 — by kind
    try:
        return kind.read(name, raw)
    except ProfileError as error:
        raise ObjectError(f"{source}: {kind.kind}: {error}") from None
    except ObjectError as error:
        raise ObjectError(f"{source}: {error}") from None
