"""What the API server demands of a pod, looked for in what a profile changed.

A strategic merge adds what is not there and puts together what does not go together: the
merge is right, and the API server refuses the pod without naming the profile. What was
wrong before the change is its author's, and not reported.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from webhook.admission.profiles.objectrules import CHECKS
from webhook.admission.profiles.podschema import DIRECTIVE, POD, Field, object_types, required_fields
from webhook.pods.labels import key_problem, value_problem
from webhook.pods.pod import mappings
from webhook.pods.quantities import NANO, QuantityError, parse, text_of
from webhook.pods.text import shown
from webhook.protocol import HUGEPAGES_PREFIX, NATIVE_RESOURCES

_Object = Mapping[str, Any]

_RESOURCES: Final = {*NATIVE_RESOURCES, "ephemeral-storage", "storage"}
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
_ENV_NAME = re.compile(r"[ -<>-~]+")
_MAX_PORT: Final = 65535
_REMEDY: Final = ": correct the profile"
_EPHEMERAL: Final = "EphemeralContainer"  # a new pod has none


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


def merges_objects(patch: _Object) -> bool:
    """Whether a pod can become invalid by a patch that is valid by itself.

    A patch of labels, annotations and single values cannot do so.
    """
    types = object_types()
    return any(
        fields[name].type in types and (fields[name].merge_key is not None or not fields[name].container)
        for part, fields in (("metadata", types["ObjectMeta"]), ("spec", types["PodSpec"]))
        for name in patch.get(part) or ()
        if name in fields
    ) or not _CROSS_CHECKED.isdisjoint(patch.get("spec") or ())


# Single values of a spec that are checked against others.
_CROSS_CHECKED: Final = frozenset(
    {"dnsPolicy", "hostNetwork", "hostPID", "nodeName", "restartPolicy", "shareProcessNamespace"}
)


def _object(before: _Object | None, after: _Object, type_name: str, place: _Place) -> Iterator[Fault]:
    fields = object_types()[type_name]
    if after.get(DIRECTIVE) != "delete":
        yield from _missing(before, after, type_name, place)
    if check := CHECKS.get(type_name):
        known = {flaw.key for flaw in check(before)} if before is not None else frozenset()
        for flaw in check(after):
            if flaw.key not in known:
                places = tuple((*place.steps, *field.split("/")) for field in flaw.fields)
                yield Fault(place.at, places or (place.steps,), flaw.problem, place.whole)
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
        known = {str(item.get(field.merge_key)): item for item in mappings(old)}
        for i, item in enumerate(mappings(new)):
            key = str(item.get(field.merge_key))
            if DIRECTIVE not in item and item != known.get(key):
                yield known.get(key), item, _Place(f"{at}[{key}]", (*steps, str(i)), whole)


def _values(old: object, new: object, field: Field, place: _Place) -> Iterator[Fault]:
    """Yield values that the API server refuses whatever else the pod has."""
    found: dict[str, str | None] = {}
    if field.container == "{}" and isinstance(new, Mapping):
        known = old if isinstance(old, Mapping) else {}
        for key, value in new.items():
            if value is not None and value != known.get(key) and not key.startswith("$"):
                found[key] = _entry_problem(field, key, value)
    elif field.container == "[]" and isinstance(new, list):
        found = {str(i): _form_problem(field.form, value) for i, value in enumerate(new)}
    elif problem := _form_problem(field.form, new):
        yield Fault(place.at, (place.steps,), f"writes what is not valid: {problem}{_REMEDY}", certain=True)
    for key, problem in found.items():
        if problem:
            text = f"writes what is not valid: {problem}{_REMEDY}"
            yield Fault(f"{place.at}[{key}]", ((*place.steps, key),), text, certain=True)


def _entry_problem(field: Field, key: str, value: object) -> str | None:
    """Return what is wrong with an entry of a map."""
    if field.form == "label":
        return key_problem(key) or value_problem(str(value))
    if field.form == "annotation":
        return key_problem(key.lower())
    return _resource_problem(key, value) if field.type == "quantity" else None


def _resource_problem(name: str, quantity: object) -> str | None:
    """Return what is wrong with the name of a resource, or with how much of it there is."""
    if "/" in name:
        if problem := key_problem(name):
            return problem
        of = None if "kubernetes.io/" in name else NANO
    elif name.startswith(HUGEPAGES_PREFIX):
        of = _amount(name.removeprefix(HUGEPAGES_PREFIX))
    elif name in _RESOURCES:
        return None
    else:
        return f"{shown(name)} is no resource of Kubernetes: name its domain, as in example.com/NAME"
    amount = _amount(quantity)
    if of and amount and amount % of:
        return f"{shown(quantity)} of {name} is no whole number of them"
    return None


def _amount(quantity: object) -> int | None:
    try:
        return parse(text_of(quantity))
    except QuantityError:
        return None  # the check of types says so


def _form_problem(form: str, value: object) -> str | None:
    """Return why a value has not the form that the API server demands, or None."""
    if not form:
        return None
    if ".." in form:
        low, _, high = form.partition("..")
        outside = isinstance(value, int) and not int(low) <= value <= int(high)
        return f"{shown(value)} is not from {low} to {high}" if outside else None
    if value == "":
        return None  # as if it were not there
    choices = form.split("|")
    if len(choices) > 1:
        return None if value in choices else f"{shown(value)} is not one of {', '.join(choices)}"
    valid = _FORM_CHECKS[form](value)
    return None if valid else f"{shown(value)} is no {form}"


def _is_port(value: object) -> bool:
    return 1 <= value <= _MAX_PORT if isinstance(value, int) else bool(_PORT_NAME.fullmatch(str(value)))


def _is_below(value: object) -> bool:
    """Whether a path is relative and stays below where it begins."""
    return not str(value).startswith("/") and ".." not in str(value).split("/")


def _is_address(value: object) -> bool:
    try:
        return "%" not in str(value) and bool(ip_address(str(value)))
    except ValueError:
        return False


_FORM_CHECKS: Final[Mapping[str, Callable[[object], object]]] = {
    "DNS label": lambda value: _DNS_LABEL.fullmatch(str(value)),
    "DNS subdomain": lambda value: _DNS_SUBDOMAIN.fullmatch(str(value)),
    "IP address": _is_address,
    "environment variable name": lambda value: _ENV_NAME.fullmatch(str(value)),
    "image": lambda value: str(value) == str(value).strip(),
    "path below": _is_below,
    "port": _is_port,
    "port name": lambda value: _PORT_NAME.fullmatch(str(value)),
    "qualified name": lambda value: not key_problem(str(value)),
}
