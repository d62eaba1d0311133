"""What the API server demands of a pod, looked for in what a profile changed.

A strategic merge adds what is not there and puts together what does not go together: the
merge is right, and the API server refuses the pod without naming the profile. What was
wrong before the change is its author's, and not reported.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.admission.profiles.demands.annotations import annotation_problem
from webhook.admission.profiles.demands.forms import entry_problem, form_problem
from webhook.admission.profiles.demands.objects import CHECKS
from webhook.admission.profiles.demands.podspec import CROSS_CHECKED
from webhook.admission.profiles.podschema import DIRECTIVE, POD, Field, object_types, required_fields
from webhook.pods.pod import mappings

_Object = Mapping[str, Any]

_REMEDY: Final = ": correct the profile"
_EPHEMERAL: Final = "EphemeralContainer"  # a new pod has none
_ANNOTATIONS: Final = ("metadata", "annotations")


class Fault(NamedTuple):
    """What the API server refuses.

    Attributes:
        at: where, for messages, such as ``spec.containers[main].image``.
        places: the steps from the pod to what to look at for the cause.
        problem: what the change does, and the remedy; its subject is the profile.
        certain: no pod makes up for it.
    """

    at: str
    places: tuple[tuple[str, ...], ...]
    problem: str
    certain: bool


class _Place(NamedTuple):
    """Where an object stands, and whether the list around it is replaced as a whole."""

    at: str
    steps: tuple[str, ...]
    whole: bool = False

    def field(self, name: str) -> "_Place":
        return _Place(f"{self.at}.{name}" if self.at else name, (*self.steps, name), self.whole)


def faults(before: _Object, after: _Object) -> Iterator[Fault]:
    """Yield what is wrong in the pod ``after`` and was not wrong in ``before``."""
    return _object(before, after, POD, _Place("", ()))


def patch_faults(patch: _Object, at: str) -> Iterator[Fault]:
    """Yield what is wrong with a pod that has, of what the patch changes, nothing but the patch."""
    return _object({"metadata": {}, "spec": {}}, patch, POD, _Place(at, ()))


def depends_on_pod(patch: _Object) -> bool:
    """Whether a pod can become invalid by a patch that is valid by itself.

    A patch of labels, annotations and single values cannot do so.
    """
    types = object_types()
    return any(
        fields[name].merge_key is not None or (fields[name].type in types and not fields[name].container)
        for part, fields in (("metadata", types["ObjectMeta"]), ("spec", types["PodSpec"]))
        for name in patch.get(part) or ()
        if name in fields
    ) or not CROSS_CHECKED.isdisjoint(patch.get("spec") or ())


def _object(before: _Object | None, after: _Object, type_name: str, place: _Place) -> Iterator[Fault]:
    fields = object_types()[type_name]
    if after.get(DIRECTIVE) != "delete":
        yield from _missing(before, after, type_name, place)
    if (check := CHECKS.get(type_name)) and (flaws := list(check(after))):
        known = {flaw.key for flaw in check(before)} if before is not None else frozenset()
        for flaw in flaws:
            if flaw.key not in known:
                places = tuple((*place.steps, *field.split("/")) for field in flaw.fields)
                single = len(places) == 1 and "/" not in flaw.fields[0]
                where = place.field(flaw.fields[0]) if single else place
                yield Fault(where.at, places or (place.steps,), flaw.problem, place.whole)
    for name, value in after.items():
        field = fields.get(name)
        old = before.get(name) if before else None
        if field is None or value is None or value == old or field.type == _EPHEMERAL:
            continue
        if field.type in object_types():
            for was, now, at in _pairs(old, value, field, place.field(name)):
                yield from _object(was, now, field.type, at)
        else:
            yield from _values(old, value, field, place.field(name))


def _missing(before: _Object | None, after: _Object, type_name: str, place: _Place) -> Iterator[Fault]:
    for name in required_fields(type_name):
        if lacks(after, name) and (before is None or not lacks(before, name)):
            does = "makes a new" if before is None else "leaves the"
            problem = f"{does} {type_name} without it: set it, or select only pods that have it"
            missing = place.field(name)
            yield Fault(missing.at, (missing.steps,), problem, place.whole)


def lacks(value: _Object, field: str) -> bool:
    """Whether a field has no value that counts."""
    return value.get(field) in (None, "", [])


def _pairs(
    old: object, new: object, field: Field, place: _Place
) -> Iterator[tuple[_Object | None, _Object, _Place]]:
    """Yield the objects in a field's value: before the change (None: it is new), after it, its place."""
    at, steps, whole = place
    if isinstance(new, Mapping):
        yield old if isinstance(old, Mapping) else None, new, place
    elif field.merge_key is None:
        for i, item in enumerate(mappings(new)):
            yield None, item, _Place(f"{at}[{i}]", (*steps, str(i)), whole=True)
    else:
        # By text: a pod may have anything in the place of a key.
        known: dict[str, list[_Object]] = {}
        for item in mappings(old):
            known.setdefault(str(item.get(field.merge_key)), []).append(item)
        ranks: Counter[str] = Counter()
        for i, item in enumerate(mappings(new)):
            key = str(item.get(field.merge_key))
            had = known.get(key)
            # Several may have one key, such as a port of UDP and of TCP: each is compared with its own.
            was = had[min(ranks[key], len(had) - 1)] if had else None
            ranks[key] += 1
            if DIRECTIVE not in item and item != was:
                yield was, item, _Place(f"{at}[{key}]", (*steps, str(i)), whole)


def _values(old: object, new: object, field: Field, place: _Place) -> Iterator[Fault]:
    """Yield values that the API server refuses whatever else the pod has."""
    found: dict[str, str | None] = {}
    if field.container == "{}" and isinstance(new, Mapping):
        known = old if isinstance(old, Mapping) else {}
        for key, value in new.items():
            if value is not None and value != known.get(key) and not key.startswith("$"):
                found[key] = entry_problem(field.form, key, value)
                if place.steps == _ANNOTATIONS:
                    found[key] = found[key] or annotation_problem(key, str(value))
    elif field.container == "[]" and isinstance(new, list) and field.form:
        found = {str(i): form_problem(field.form, value) for i, value in _added(old, new)}
    elif (new != "" or not (field.empty or field.required)) and (problem := form_problem(field.form, new)):
        yield Fault(place.at, (place.steps,), f"writes what is not valid: {problem}{_REMEDY}", certain=True)
    for key, problem in found.items():
        if problem:
            text = f"writes what is not valid: {problem}{_REMEDY}"
            yield Fault(f"{place.at}[{key}]", ((*place.steps, key),), text, certain=True)


def _added(old: object, new: list[Any]) -> Iterator[tuple[int, Any]]:
    """Yield the texts and numbers of a list that were not in it before, and where they stand."""
    before = {value for value in old if isinstance(value, (str, int))} if isinstance(old, list) else set()
    for i, value in enumerate(new):
        if isinstance(value, (str, int)) and value not in before:
            yield i, value
