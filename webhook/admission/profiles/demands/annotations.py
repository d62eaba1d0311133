"""Annotations that mean something to the API server, which are older ways to set fields."""

import re
from collections.abc import Mapping
from typing import Final

from webhook.admission.profiles.demands.flaw import Flaw, Found, Object, containers
from webhook.admission.profiles.demands.forms import is_below
from webhook.pods.pod import CONTAINER_LISTS, mapping
from webhook.pods.text import shown

MAX_ANNOTATIONS: Final = 256 * 1024
"""Bytes of all keys and values."""
_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
_SECCOMP_OF_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP: Final = "container.seccomp.security.alpha.kubernetes.io/"
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_COST: Final = re.compile(r"(0|[1-9][0-9]{0,9})|-0*([0-9]{1,10})")
_MAX_COST: Final = 2**31
_LOCAL: Final = "localhost/"
_TYPES: Final = {
    "runtime/default": "RuntimeDefault", "docker/default": "RuntimeDefault", "unconfined": "Unconfined",
}  # fmt: skip


def has_meaning(key: str) -> bool:
    """Whether the API server looks at the value of an annotation."""
    return key in (_DELETION_COST, _SECCOMP_OF_POD) or key.startswith((_SECCOMP, _APPARMOR))


def annotation_problem(key: str, value: str) -> str | None:
    """Return why the API server takes this value in no pod, or None."""
    if key == _DELETION_COST:
        number = _COST.fullmatch(value)
        fits = number and (int(number[1]) < _MAX_COST if number[1] else int(number[2]) <= _MAX_COST)
        return None if fits else f"{shown(value)} is no integer of 32 bits"
    if not has_meaning(key):
        return None
    apparmor = key.startswith(_APPARMOR)
    known = ("", "runtime/default", "unconfined") if apparmor else tuple(_TYPES)
    local = value.startswith(_LOCAL) and (apparmor or is_below(value.removeprefix(_LOCAL)))
    return (
        None if local or value in known else f"{shown(value)} names no profile: write {_LOCAL} and its path"
    )


def metadata(metadata: Object) -> Found:
    """Yield annotations that are too many bytes."""
    size = sum(
        len(str(text).encode()) for pair in mapping(metadata.get("annotations")).items() for text in pair
    )
    if size > MAX_ANNOTATIONS:
        problem = f"makes all annotations {size} bytes, of {MAX_ANNOTATIONS} at most: write shorter ones"
        yield Flaw("size", problem, ("annotations",))


def profiles(pod: Object) -> Found:
    """Yield annotations that name no container, or another seccomp or AppArmor profile than a field does."""
    texts = mapping(mapping(pod.get("metadata")).get("annotations"))
    found = {key: text for key, text in texts.items() if text is not None}
    if not any(map(has_meaning, found)):
        return
    spec = mapping(pod.get("spec"))
    own = mapping(spec.get("securityContext"))
    places = [(f"spec/{at}", container) for at, container in containers(spec)]
    names = {str(container.get("name")) for _, container in places}
    for key in found:
        if key.startswith(_APPARMOR) and key.removeprefix(_APPARMOR) not in names:
            problem = (
                f"leaves the annotation {key} without the container that it names: "
                "select only pods that have it"
            )
            yield Flaw(key, problem, ("metadata/annotations", *CONTAINER_LISTS))
    yield from _differing(found, _SECCOMP_OF_POD, own.get("seccompProfile"), "spec/securityContext")
    for at, container in places:
        context = mapping(container.get("securityContext"))
        yield from _differing(found, f"{_SECCOMP}{container.get('name')}", context.get("seccompProfile"), at)
        if mapping(spec.get("os")).get("name") != "windows":
            key = f"{_APPARMOR}{container.get('name')}"
            profile = context.get("appArmorProfile")
            if profile is None and not _read(found.get(key)):
                profile = own.get("appArmorProfile")  # what the annotation says becomes the field else
            yield from _differing(found, key, profile, at)


def _read(text: object) -> tuple[str, str | None] | None:
    """Return the type and the path of the profile that an annotation names, or None."""
    if str(text).startswith(_LOCAL) and (path := str(text).removeprefix(_LOCAL)).strip():
        return "Localhost", path
    return (_TYPES[str(text)], None) if str(text) in _TYPES else None


def _differing(found: Object, key: str, profile: object, at: str) -> Found:
    if key not in found or not isinstance(profile, Mapping) or not profile.get("type"):
        return
    if _read(found[key]) != (profile["type"], profile.get("localhostProfile")):
        problem = (
            f"leaves the annotation {key} {shown(found[key])} next to a field that says otherwise: "
            "set the annotation to null"
        )
        yield Flaw(key, problem, ("metadata/annotations", at))
