"""Pairs of profiles that can match the same pod and set different values.

Two profiles overlap if some pod in some namespace can match both, whether or not such a
namespace exists today. They disagree if both set the same path of the pod to different
values; both apply, in the order of their names, so the later one wins.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.admission.profiles.podschema import POD, object_types
from webhook.admission.profiles.profile import Profile
from webhook.cpuset.cpulist import members
from webhook.protocol import LABEL_PRIORITY, LABEL_QOS_CLASS

_DEMANDING: Final = frozenset({"In", "Exists"})


class Disagreement(NamedTuple):
    """One path in a pod that two profiles set to different values: the second value stays."""

    place: str
    first: Any
    second: Any


class Overlap(NamedTuple):
    """Two profiles that overlap and disagree, in the order in which they apply."""

    first: str
    second: str
    disagreements: tuple[Disagreement, ...]


def overlaps(profiles: Iterable[Profile]) -> Iterator[Overlap]:
    """Yield the pairs of ready profiles that overlap and disagree, by name.

    Before two profiles are compared, candidates are filtered with bit sets, one bit for each
    profile: a thousand profiles without overlap cost milliseconds, not 500,000 comparisons.
    The caller stops the iteration when it has enough.
    """
    candidates = sorted((p for p in profiles if p.ready and p.probability), key=lambda p: p.name)
    written = [writes(profile) for profile in candidates]
    differing = _Differing(written)
    excluding = _Excluding(candidates)
    for i, profile in enumerate(candidates):
        later = -1 << (i + 1)
        for j in members(differing.of(written[i]) & ~excluding.of(profile) & later):
            if compatible(profile, candidates[j]):
                yield Overlap(profile.name, candidates[j].name, tuple(_disagreements(written[i], written[j])))


def compatible(first: Profile, second: Profile) -> bool:
    """Whether some pod in some namespace can match both profiles."""
    return first.selector.compatible(second.selector) and first.namespace_selector.compatible(
        second.namespace_selector
    )


def writes(profile: Profile) -> dict[str, Any]:
    """Return what a profile writes: values by path, such as ``spec.priorityClassName``.

    A label copied from another one has the value ``<label KEY>``; None removes a field.
    Suffixes are left out: two of them do not conflict.
    """
    found: dict[str, Any] = {}
    for field, pairs in (("labels", profile.labels), ("annotations", profile.annotations)):
        found.update((f"metadata.{field}[{key}]", value) for key, value in pairs)
    for field, word, mapping in (
        ("labels", "label", profile.label_keys_mapping),
        ("annotations", "annotation", profile.annotation_keys_mapping),
    ):
        found.update((f"metadata.{field}[{new}]", f"<{word} {old}>") for old, new in mapping)
    if profile.scheduler_name:
        found["spec.schedulerName"] = profile.scheduler_name
    if profile.qos_class:
        found[f"metadata.labels[{LABEL_QOS_CLASS}]"] = profile.qos_class
    if profile.priority_class_name:
        found["spec.priorityClassName"] = profile.priority_class_name
    if profile.koordinator_priority is not None:
        found[f"metadata.labels[{LABEL_PRIORITY}]"] = str(profile.koordinator_priority)
    found.update(_patched(profile.patch or {}, POD, ""))
    return found


def _patched(patch: Mapping[str, Any], type_name: str, at: str) -> Iterator[tuple[str, Any]]:
    """Yield the paths that a strategic merge patch writes, with their values."""
    fields = object_types().get(type_name, {})
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        field = fields.get(key)
        path = f"{at}.{key}" if at else key
        if isinstance(value, Mapping) and field is not None and field.container == "{}":
            yield from ((f"{path}[{k}]", v) for k, v in value.items() if not k.startswith("$"))
        elif isinstance(value, Mapping) and field is not None:
            yield from _patched(value, field.type, path)
        elif isinstance(value, list) and field is not None and field.merge_key:
            for item in value:
                name = item.get(field.merge_key)
                yield from _patched(item, field.type, f"{path}[{name}]")
        elif not (isinstance(value, list) and field is not None and field.merge_key == ""):
            yield path, value  # merged lists of scalars do not conflict


def _disagreements(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Disagreement]:
    for place, value in first.items():
        if place in second and second[place] != value:
            yield Disagreement(place, value, second[place])


class _Differing:
    """Bit sets of the profiles that write some path of a given profile differently."""

    def __init__(self, written: list[dict[str, Any]]) -> None:
        self._writing: dict[str, int] = {}
        self._alike: dict[tuple[str, str], int] = {}
        for i, places in enumerate(written):
            for place, value in places.items():
                self._writing[place] = self._writing.get(place, 0) | 1 << i
                alike = (place, repr(value))
                self._alike[alike] = self._alike.get(alike, 0) | 1 << i

    def of(self, places: Mapping[str, Any]) -> int:
        bits = 0
        for place, value in places.items():
            bits |= self._writing[place] & ~self._alike[place, repr(value)]
        return bits


class _Excluding:
    """Bit sets of the profiles that cannot overlap a given one: one requires what the other forbids.

    Every profile in the set is excluded, but not every excluded profile is in it: NotIn is
    left to ``compatible``.
    """

    def __init__(self, profiles: list[Profile]) -> None:
        self._demanding: dict[tuple[int, str], int] = {}
        self._exact: dict[tuple[int, str], int] = {}
        self._accepting: dict[tuple[int, str, str], int] = {}
        self._forbidding: dict[tuple[int, str], int] = {}
        for i, profile in enumerate(profiles):
            bit = 1 << i
            for side, clause in profile.requirements():
                key = (side, clause.key)
                if clause.operator in _DEMANDING:
                    self._demanding[key] = self._demanding.get(key, 0) | bit
                if clause.operator == "In":
                    self._exact[key] = self._exact.get(key, 0) | bit
                    for value in clause.values:
                        at = (*key, value)
                        self._accepting[at] = self._accepting.get(at, 0) | bit
                if clause.operator == "DoesNotExist":
                    self._forbidding[key] = self._forbidding.get(key, 0) | bit

    def of(self, profile: Profile) -> int:
        bits = 0
        for side, clause in profile.requirements():
            key = (side, clause.key)
            if clause.operator == "DoesNotExist":
                bits |= self._demanding.get(key, 0)
            elif clause.operator in _DEMANDING:
                bits |= self._forbidding.get(key, 0)
            if clause.operator == "In":
                accepting = 0
                for value in clause.values:
                    accepting |= self._accepting.get((*key, value), 0)
                bits |= self._exact[key] & ~accepting
        return bits
