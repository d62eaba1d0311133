"""What can be wrong with an object of a pod, and what many checks of objects need.

Fields of other types than the schema says are not looked at.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from webhook.admission.profiles.podschema import DIRECTIVE
from webhook.pods.pod import CONTAINER_LISTS, mappings

Object = Mapping[str, Any]


class Flaw(NamedTuple):
    """What is wrong with an object.

    Attributes:
        key: identifies the flaw, so that it is found again in the object before a change.
        problem: what is wrong and the remedy; its subject is the profile that made the change.
        fields: where to look for the cause, as JSON Pointers below the object; empty for all of it.
    """

    key: str
    problem: str
    fields: tuple[str, ...] = ()


Found = Iterator[Flaw]
Check = Callable[[Object], Found]


def one_of(*names: str, needed: bool = False) -> Check:
    """Return the check of an object that may have one of some fields; without names, of all but ``name``."""

    def check(value: Object) -> Found:
        fields = names or (name for name in value if name != "name" and not name.startswith("$"))
        given = [name for name in fields if value.get(name) not in (None, "")]
        if len(given) > 1:
            listed = " and ".join(sorted(given))
            yield Flaw("many", f"leaves {listed}, of which there may be one: set the others to null")
        if needed and not given:
            listed = ", ".join(names)
            yield Flaw("none", f"leaves none of {listed}: set one, or select only pods that have one")

    return check


def containers(spec: Object) -> Iterator[tuple[str, Object]]:
    """Yield the init containers, then the containers of a spec, and where each stands."""
    for kind in CONTAINER_LISTS:
        for i, container in enumerate(mappings(spec.get(kind))):
            yield f"{kind}/{i}", container


def present(value: object) -> list[Object]:
    """Return the objects in what should be a list of objects, without what a patch deletes."""
    return [item for item in mappings(value) if DIRECTIVE not in item]


def texts(value: object) -> list[str]:
    """Return what should be a list of texts."""
    return list(map(str, value)) if isinstance(value, list) else []


def repeated(values: Iterable[str]) -> list[str]:
    """Return the values that are there more than once."""
    found = list(values)
    if len(found) == len(set(found)):
        return []
    return [value for value, count in Counter(found).items() if count > 1]
