"""The check of a profile's ``patch``, done once when the profile is read.

Applying the patch to a pod then needs no checks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.admission.profiles.podschema import DIRECTIVE, POD, Field, object_types
from webhook.admission.profiles.unknownfield import UnknownField, note_unknown_field
from webhook.pods.labels import key_problem, value_problem
from webhook.pods.quantities import QuantityError, non_negative, text_of
from webhook.pods.text import shown

RETAIN_KEYS: Final = "$retainKeys"
SET_ELEMENT_ORDER: Final = "$setElementOrder/"
DELETE_FROM_PRIMITIVE_LIST: Final = "$deleteFromPrimitiveList/"

# Fields that a webhook cannot change, or that identify the pod.
_FORBIDDEN: Final = {
    "Pod": {"apiVersion", "kind", "status"},
    "PodSpec": {"overhead"},  # must be that of the RuntimeClass
    "ObjectMeta": {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generateName",
        "generation", "managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid",
    },
}  # fmt: skip
# Fields that a pod must have: they are merged, never replaced, emptied or set to null.
_REQUIRED: Final = {
    "Pod": {"metadata", "spec"},
    "ObjectMeta": set(),
    "PodSpec": {"containers", "priorityClassName"},
}
# A patch may name the type that it applies to.
_IDENTITY: Final = {"apiVersion": "v1", "kind": "Pod"}
_SCALARS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "intstr": (int, str),
}


def check_patch(
    raw: Mapping[str, Any], at: str, problems: list[str], notes: list[UnknownField]
) -> dict[str, Any]:
    """Return a strategic merge patch for a Pod without the fields that a Pod does not have.

    Args:
        raw: the patch.
        at: where it stands; problems and notes begin with the path.
        problems: gets what makes the patch impossible to apply.
        notes: gets the ignored fields.
    """
    return _Checker(problems, notes).merged(raw, POD, at)


@dataclass(frozen=True, slots=True)
class _Checker:
    problems: list[str]
    notes: list[UnknownField]

    def merged(self, raw: object, type_name: str, at: str) -> dict[str, Any]:
        """Return a map to merge into an object of type ``type_name`` without its unknown fields."""
        if not isinstance(raw, Mapping):
            self.problems.append(f"{at}: must be a map, not {shown(raw)}")
            return {}
        fields = object_types()[type_name]
        clean: dict[str, Any] = {}
        for key, value in raw.items():
            if type_name == POD and key in _IDENTITY and value == _IDENTITY[key]:
                continue
            if refusal := _refusal(type_name, key, value):
                self.problems.append(f"{at}.{key}: {refusal}")
            elif key.startswith("$"):
                if self._directive(key, value, fields, f"{at}.{key}"):
                    clean[key] = value
            elif key not in fields:
                note_unknown_field(self.notes, f"{at}.{key}", fields, "a Pod has no such field")
            else:
                clean[key] = None if value is None else self._field(value, fields[key], f"{at}.{key}")
        return clean

    def _directive(self, key: str, value: object, fields: Mapping[str, Field], at: str) -> bool:
        """Check a directive; return whether it is valid."""
        if key == DIRECTIVE:
            known = value in ("merge", "replace", "delete")
            problem = None if known else f"{shown(value)} is not one of merge, replace, delete"
        elif key != RETAIN_KEYS and not key.startswith((SET_ELEMENT_ORDER, DELETE_FROM_PRIMITIVE_LIST)):
            problem = "is not a directive of strategic merge patches"
        elif not isinstance(value, list):
            problem = f"must be a list, not {shown(value)}"
        elif key == RETAIN_KEYS:
            names = all(isinstance(v, str) for v in value)
            problem = None if names else f"must be a list of field names, not {shown(value)}"
        else:
            problem = _list_problem(key, value, fields)
        if problem:
            self.problems.append(f"{at}: {problem}")
        return problem is None

    def _field(self, value: object, field: Field, at: str) -> Any:  # noqa: ANN401 — any JSON value
        if field.container == "[]":
            if not isinstance(value, list):
                self.problems.append(f"{at}: must be a list, not {shown(value)}")
                return []
            return list(self._elements(value, field, at))
        if field.container == "{}":
            if not isinstance(value, Mapping):
                self.problems.append(f"{at}: must be a map, not {shown(value)}")
                return {}
            return self._map(value, field, at)
        return self._single(value, field.type, at)

    def _map(self, value: Mapping[object, object], field: Field, at: str) -> dict[str, Any]:
        """Check a map that is merged by its keys, such as labels or a node selector."""
        clean: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                self.problems.append(f"{at}: the key {shown(key)} must be a string")
            elif key.startswith("$"):
                if self._directive(key, item, {}, f"{at}.{key}"):
                    clean[key] = item
            else:
                clean[key] = None if item is None else self._single(item, field.type, f"{at}[{key}]")
                if at.endswith((".labels", ".annotations")) and (problem := key_problem(key)):
                    self.problems.append(f"{at}: {problem}")
                if at.endswith(".labels") and isinstance(item, str) and (problem := value_problem(item)):
                    self.problems.append(f"{at}[{key}]: {problem}")
        return clean

    def _elements(self, value: list[object], field: Field, at: str) -> Iterator[Any]:
        for i, item in enumerate(value):
            spot = f"{at}[{i}]"
            if (
                field.merge_key
                and isinstance(item, Mapping)
                and field.merge_key not in item
                and item.get(DIRECTIVE) != "replace"
            ):
                self.problems.append(f"{spot}: needs {field.merge_key!r}, which identifies elements")
            if isinstance(item, Mapping) and DIRECTIVE in item:
                if field.merge_key is None:
                    self.problems.append(
                        f"{spot}.{DIRECTIVE}: the list is replaced as a whole: remove the directive"
                    )
                elif at.endswith(".spec.containers") and item[DIRECTIVE] == "replace" and len(value) == 1:
                    self.problems.append(f"{spot}.{DIRECTIVE}: a pod must have containers")
            yield self._single(item, field.type, spot)

    def _single(self, value: object, type_name: str, at: str) -> Any:  # noqa: ANN401 — any JSON value
        if type_name in object_types():
            return self.merged(value, type_name, at)
        if type_name == "quantity":
            try:
                non_negative(text_of(value))
            except QuantityError as error:
                self.problems.append(f"{at}: {error}")
        elif type_name != "any":
            kinds = _SCALARS[type_name]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                self.problems.append(f"{at}: must be of type {type_name}, not {shown(value)}")
        return value


def _refusal(type_name: str, key: object, value: object) -> str | None:
    """Return why a patch may not have ``key`` in an object of this type, or None."""
    if not isinstance(key, str):
        return "the key must be a string"
    if key in _FORBIDDEN.get(type_name, ()):
        return "cannot be set by a patch"
    if type_name in _REQUIRED:
        if key == RETAIN_KEYS or (key == DIRECTIVE and value in ("replace", "delete")):
            return "this would remove fields that a pod must have"
        if value is None and key in _REQUIRED[type_name]:
            return "a pod must have it"
    return None


def _list_problem(key: str, value: list[object], fields: Mapping[str, Field]) -> str | None:
    """Return the problem of a directive about the list that its key names, or None."""
    field = fields.get(key.partition("/")[2])
    if field is None or field.merge_key is None:
        return "names no merged list"
    if key.startswith(DELETE_FROM_PRIMITIVE_LIST) and field.merge_key:
        return "names a list of objects: use $patch: delete on its elements"
    if field.merge_key and not all(isinstance(v, Mapping) and field.merge_key in v for v in value):
        return f"each element needs {field.merge_key!r}"
    identities = [v[field.merge_key] if field.merge_key and isinstance(v, Mapping) else v for v in value]
    if any(isinstance(identity, (Mapping, list)) for identity in identities):
        return "each element must be identified by a single value"
    return None
