"""Reader of a ClusterColocationProfile.

Source: Koordinator, ``config.koordinator.sh/v1alpha1``. A profile with a problem is
stored as not ready and never applied; it does not affect the others.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook.admission.profiles.demands.annotations import has_meaning
from webhook.admission.profiles.podpatch import RETAIN_KEYS, check_patch
from webhook.admission.profiles.podschema import DIRECTIVE
from webhook.admission.profiles.unknownfield import UnknownField, note_unknown_field
from webhook.admission.profiles.validity import depends_on_pod, patch_faults
from webhook.pods.labels import key_problem, value_problem
from webhook.pods.selectors import (
    EVERYTHING,
    Requirement,
    Selector,
    SelectorError,
    compile_selector,
)
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_PROBABILITY_SCOPE,
    ANNOTATION_SKIP_UPDATE_RESOURCES,
    LABEL_PRIORITY,
    LABEL_QOS_CLASS,
    QOS_CLASSES,
    set_by_controllers,
)

ALWAYS: Final = 100  # percent
_PERCENT = re.compile(r"([0-9]{1,3})%", re.ASCII)
_INT32_MAX: Final = 2**31 - 1
_MOST_MESSAGES: Final = 50
_DNS_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_OBJECT: Final = ("apiVersion", "kind", "metadata", "spec", "status")
# The fields of spec, each with the JSON type of its value.
FIELDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "namespaceSelector": dict,
    "selector": dict,
    "probability": (int, str),
    "labels": dict,
    "annotations": dict,
    "labelKeysMapping": dict,
    "annotationKeysMapping": dict,
    "labelSuffixes": dict,
    "schedulerName": str,
    "qosClass": str,
    "priorityClassName": str,
    "koordinatorPriority": int,
    "patch": dict,
}


class ProfileError(ValueError):
    """A profile cannot be stored at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile, compiled.

    Attributes:
        name: metadata.name; profiles apply in the order of their names.
        probability: percent of matching pods that are changed, 0 to 100.
        per_workload: the probability applies to a workload as a whole, not to each pod.
        skip_resources: the pod's resources are not translated.
        written_annotations: keys of the annotations that it may write.
        problems: why the profile is not ready; empty when it is.
        refused: what it writes that the API server refuses in every pod. It is applied all the same:
            another profile may write something else there.
        incomplete: what the API server refuses unless the pod has the rest.
        checked: pods that it changes are looked at, for what the API server would refuse.
        notes: unknown fields, which are ignored.
    """

    name: str
    namespace_selector: Selector = EVERYTHING
    selector: Selector = EVERYTHING
    probability: int = ALWAYS
    per_workload: bool = False
    skip_resources: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    label_keys_mapping: tuple[tuple[str, str], ...] = ()
    annotation_keys_mapping: tuple[tuple[str, str], ...] = ()
    label_suffixes: tuple[tuple[str, str], ...] = ()
    scheduler_name: str = ""
    qos_class: str = ""
    priority_class_name: str = ""
    koordinator_priority: int | None = None
    patch: Mapping[str, Any] | None = None
    written_annotations: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    checked: bool = False
    notes: tuple[UnknownField, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether the profile can be applied."""
        return not self.problems

    def matches(self, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
        """Whether both selectors match; the probability is not considered here."""
        return self.namespace_selector.matches(namespace_labels) and self.selector.matches(labels)

    def requirements(self) -> Iterator[tuple[int, Requirement]]:
        """Yield the clauses of both selectors: 0 for a pod's labels, 1 for those of its namespace."""
        for side, selector in enumerate((self.selector, self.namespace_selector)):
            for requirement in selector.requirements:
                yield side, requirement


def read_profile(raw: Mapping[str, Any]) -> Profile:
    """Read a ClusterColocationProfile object.

    Raises:
        ProfileError: it has no valid name. All other errors are in ``problems`` of the
            returned profile.
    """
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not _DNS_SUBDOMAIN.fullmatch(name):
        raise ProfileError(f"metadata.name: {shown(name)} is not a DNS subdomain name")
    return _Reader(name, raw).profile()


class _Few(list[str]):
    """Messages, at most fifty: a list that is wrong in each element would make as many."""

    def append(self, message: str) -> None:
        """Take a message, while there is room."""
        if len(self) < _MOST_MESSAGES:
            super().append(message if len(self) < _MOST_MESSAGES - 1 else "and more")


class _Reader:
    """Reads the fields of one profile and collects their problems."""

    def __init__(self, name: str, raw: Mapping[str, Any]) -> None:
        self.name = name
        self.problems = _Few()
        self.notes: list[UnknownField] = []
        self.metadata_annotations = self._strings(raw["metadata"], "annotations", "metadata")
        for field in raw:
            if field not in _OBJECT:
                note_unknown_field(self.notes, str(field), _OBJECT)
        spec = raw.get("spec")
        if spec is not None and not isinstance(spec, Mapping):
            self.problems.append(f"spec: must be a map, not {shown(spec)}")
            spec = None
        self.spec: dict[str, Any] = {}
        for field, value in (spec or {}).items():
            self._add(str(field), value)

    def _add(self, field: str, value: object) -> None:
        """Store a field of spec if it is known and of the right type; null means absent."""
        kind = FIELDS.get(field)
        if kind is None:
            note_unknown_field(self.notes, f"spec.{field}", FIELDS)
        elif value is None:
            pass
        elif isinstance(value, bool) or not isinstance(value, kind):
            names = kind if isinstance(kind, tuple) else (kind,)
            words = {"dict": "a map", "str": "a string", "int": "an integer"}
            wanted = " or ".join(words[k.__name__] for k in names)
            self.problems.append(f"spec.{field}: must be {wanted}, not {shown(value)}")
        else:
            self.spec[field] = value

    def profile(self) -> Profile:
        scope = self.metadata_annotations.get(ANNOTATION_PROBABILITY_SCOPE, "pod")
        if scope not in {"pod", "workload"}:
            self.problems.append(
                f"metadata.annotations[{ANNOTATION_PROBABILITY_SCOPE}]: {shown(scope)} is not one of "
                "pod, workload"
            )
        profile = Profile(
            name=self.name,
            namespace_selector=self._selector("namespaceSelector"),
            selector=self._selector("selector"),
            probability=self._probability(),
            per_workload=scope == "workload",
            skip_resources=ANNOTATION_SKIP_UPDATE_RESOURCES in self.metadata_annotations,
            labels=self._pairs("labels", value_problem),
            annotations=self._pairs("annotations"),
            label_keys_mapping=self._pairs("labelKeysMapping", key_problem),
            annotation_keys_mapping=self._pairs("annotationKeysMapping", key_problem),
            label_suffixes=self._pairs("labelSuffixes", _suffix_problem),
            scheduler_name=self._name("schedulerName"),
            qos_class=self._qos_class(),
            priority_class_name=self._name("priorityClassName"),
            koordinator_priority=self._koordinator_priority(),
            patch=self._patch(),
            notes=tuple(self.notes),
        )
        owned = (
            f"spec.{field}: the label {key} is set by the pod's controller, which knows its pods by it "
            "and would create others without end: leave this label alone"
            for field, key in label_writes(profile)
            if set_by_controllers(key)
        )
        written = frozenset(_written_annotations(profile))
        problems = (*self.problems, *owned)
        profile = replace(profile, written_annotations=written, problems=problems)
        return profile if problems else _judged(profile)

    def _selector(self, field: str) -> Selector:
        try:
            return compile_selector(self.spec.get(field), f"spec.{field}")
        except SelectorError as error:
            self.problems.append(str(error))
            return EVERYTHING  # never matched: a profile with problems is not applied

    def _probability(self) -> int:
        """Percent; an integer n means n percent, as in Koordinator."""
        raw = self.spec.get("probability", ALWAYS)
        percent = _PERCENT.fullmatch(raw) if isinstance(raw, str) else None
        value = int(percent[1]) if percent else raw
        if not isinstance(value, int) or not 0 <= value <= ALWAYS:
            self.problems.append(f"spec.probability: {shown(raw)} is not 0 to 100 or '0%' to '100%'")
            return 0
        return value

    def _qos_class(self) -> str:
        value: str = self.spec.get("qosClass", "")
        if value and value not in QOS_CLASSES:
            self.problems.append(
                f"spec.qosClass: {shown(value)} is not one of {', '.join(sorted(QOS_CLASSES))}"
            )
        return value

    def _name(self, field: str) -> str:
        value: str = self.spec.get(field, "")
        if value and not _DNS_SUBDOMAIN.fullmatch(value):
            self.problems.append(f"spec.{field}: {shown(value)} is not a DNS subdomain name")
        return value

    def _koordinator_priority(self) -> int | None:
        value: int | None = self.spec.get("koordinatorPriority")
        if value is not None and not -_INT32_MAX - 1 <= value <= _INT32_MAX:
            self.problems.append(f"spec.koordinatorPriority: {value} does not fit 32 bits")
        return value

    def _strings(self, parent: Mapping[str, Any], field: str, at: str) -> dict[str, str]:
        raw = parent.get(field)
        if raw is None:
            return {}
        if not isinstance(raw, Mapping):
            self.problems.append(f"{at}.{field}: must be a map, not {shown(raw)}")
            return {}
        pairs = {}
        for key, value in raw.items():
            if isinstance(key, str) and isinstance(value, str):
                pairs[key] = value
            else:
                self.problems.append(f"{at}.{field}[{key}]: {shown(value)} must be a string: quote it")
        return pairs

    def _pairs(
        self, field: str, problem_of: Callable[[str], str | None] = lambda _: None
    ) -> tuple[tuple[str, str], ...]:
        """Return sorted pairs of a valid key and a value in which ``problem_of`` finds no problem."""
        pairs = self._strings(self.spec, field, "spec")
        for key, value in pairs.items():
            if problem := key_problem(key):
                self.problems.append(f"spec.{field}: {problem}")
            if problem := problem_of(value):
                self.problems.append(f"spec.{field}[{key}]: {problem}")
        return tuple(sorted(pairs.items()))

    def _patch(self) -> Mapping[str, Any] | None:
        raw = self.spec.get("patch")
        if not raw:
            return None
        patch = check_patch(raw, "spec.patch", self.problems, self.notes)
        labels = patch.get("metadata", {}).get("labels", {})
        if labels is None or RETAIN_KEYS in labels or labels.get(DIRECTIVE) in {"replace", "delete"}:
            self.problems.append(
                "spec.patch.metadata.labels: removes labels that it does not name; a controller that knows "
                "its pods by one of them would create others without end: set the labels to remove to null"
            )
        return patch


def _judged(profile: Profile) -> Profile:
    """Return a profile that can be applied with what is known of the pods that it makes."""
    patch, priority = profile.patch or {}, profile.koordinator_priority or 0
    found = list(patch_faults(patch, "spec.patch"))
    refused = [f"{fault.at}: the patch {fault.problem}" for fault in found if fault.certain]
    if priority < 0:
        refused.append(f"spec.koordinatorPriority: {priority} is no label value: write 0 or more")
    return replace(
        profile,
        refused=tuple(refused),
        incomplete=tuple(f"{f.at}: the patch {f.problem}" for f in found if not f.certain),
        checked=bool(refused) or depends_on_pod(patch) or any(map(has_meaning, profile.written_annotations)),
    )


def _suffix_problem(suffix: str) -> str | None:
    # Checked with the shortest value before it; a longer one is checked on the pod.
    problem = value_problem(f"a{suffix}")
    return problem and f"{shown(suffix)} can end no label value: {problem}"


def label_writes(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield the labels that a profile may write or remove: the field of spec that does so, and the key."""
    yield from (("labels", key) for key, _ in profile.labels)
    yield from (("labelKeysMapping", key) for _, key in profile.label_keys_mapping)
    yield from (("labelSuffixes", key) for key, _ in profile.label_suffixes)
    if profile.qos_class:
        yield "qosClass", LABEL_QOS_CLASS
    if profile.koordinator_priority is not None:
        yield "koordinatorPriority", LABEL_PRIORITY
    patched = ((profile.patch or {}).get("metadata") or {}).get("labels") or ()
    yield from (("patch.metadata.labels", key) for key in patched if not key.startswith("$"))


def _written_annotations(profile: Profile) -> Iterator[str]:
    """Yield the keys of the annotations that a profile may write."""
    yield from (key for key, _ in profile.annotations)
    yield from (key for _, key in profile.annotation_keys_mapping)
    yield from ((profile.patch or {}).get("metadata") or {}).get("annotations") or ()
