"""Application of a profile to a pod, one function for each field, in a fixed order."""

from collections.abc import Callable
from typing import Final

from webhook.admission.editor import Cause
from webhook.admission.mutating.strategicmerge import merge
from webhook.admission.podedit import Denial, Denied, PodEdit
from webhook.admission.profiles.profile import Profile
from webhook.admission.view import View
from webhook.pods.labels import VALUE_RULE, value_problem
from webhook.pods.pod import annotations, labels, spec
from webhook.pods.priority import PriorityClass
from webhook.protocol import LABEL_PRIORITY, LABEL_QOS_CLASS

_PRIORITY_FIELDS: Final = ("priorityClassName", "priority", "preemptionPolicy")


def apply_profile(pod: PodEdit, profile: Profile, view: View) -> list[str]:
    """Apply one profile.

    Returns:
        Warnings for the user.

    Raises:
        Denied: the profile makes a change that the API server would refuse.
    """
    warnings: list[str] = []
    for attribute, step in _STEPS:
        if getattr(profile, attribute) not in ((), "", None):
            step(pod, profile, view, warnings)
    return warnings


def _cause(profile: Profile, field: str) -> Cause:
    return Cause(profile.name, field)


def _labels(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    for key, value in profile.labels:
        pod.set_label(key, value, _cause(profile, "labels"))


def _annotations(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    for key, value in profile.annotations:
        pod.set_annotation(key, value, _cause(profile, "annotations"))


def _label_keys_mapping(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    for old, new in profile.label_keys_mapping:
        value = labels(pod.value).get(old)
        if value is not None:
            pod.set_label(new, value, _cause(profile, "labelKeysMapping"))


def _annotation_keys_mapping(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    for old, new in profile.annotation_keys_mapping:
        value = annotations(pod.value).get(old)
        if value is not None:
            pod.set_annotation(new, value, _cause(profile, "annotationKeysMapping"))


def _label_suffixes(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    for key, suffix in profile.label_suffixes:
        value = labels(pod.value).get(key)
        if value is None:
            continue
        if value_problem(value + suffix):
            raise Denied(
                Denial(
                    f'metadata.labels[{key}]: profile "{profile.name}" (labelSuffixes) would make it '
                    f"{value + suffix!r}, which must be {VALUE_RULE}: "
                    "shorten the label or change the profile's suffix"
                )
            )
        pod.set_label(key, value + suffix, _cause(profile, "labelSuffixes"))


def _scheduler_name(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    pod.set_spec("schedulerName", profile.scheduler_name, _cause(profile, "schedulerName"))


def _qos_class(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    pod.set_label(LABEL_QOS_CLASS, profile.qos_class, _cause(profile, "qosClass"))


def _priority_class_name(pod: PodEdit, profile: Profile, view: View, _: list[str]) -> None:
    found = _priority_class(profile.priority_class_name, profile, "priorityClassName", view)
    _set_priority_class(pod, found, _cause(profile, "priorityClassName"))


def _koordinator_priority(pod: PodEdit, profile: Profile, _: View, __: list[str]) -> None:
    text = str(profile.koordinator_priority)
    pod.set_label(LABEL_PRIORITY, text, _cause(profile, "koordinatorPriority"))


def _patch(pod: PodEdit, profile: Profile, view: View, warnings: list[str]) -> None:
    """Merge the patch, then make the priority fields agree with each other.

    The API server refuses a pod whose ``spec.priority`` differs from its PriorityClass.
    So a class that the patch sets brings its own values, and a priority without a class
    is ignored.
    """
    assert profile.patch is not None  # noqa: S101 — apply_profile asks first
    before = {field: spec(pod.value).get(field) for field in _PRIORITY_FIELDS}
    cause = _cause(profile, "patch")
    merge(pod, profile.patch, cause)
    if before == {field: spec(pod.value).get(field) for field in _PRIORITY_FIELDS}:
        return
    name = spec(pod.value).get("priorityClassName")
    if name:
        found = _priority_class(name, profile, "patch", view)
        patched = spec(pod.value).get("priority")
        _set_priority_class(pod, found, cause)
        if patched not in (None, before["priority"], found.value):
            warnings.append(
                f'profile "{profile.name}": patch sets priority {patched}; '
                f"{name} has {found.value}, which is used"
            )
        return
    for field, value in before.items():
        if value is not None:
            pod.set_spec(field, value, cause)
        else:
            pod.open_object("spec").remove(field, cause)
    warnings.append(f'profile "{profile.name}": patch sets spec.priority without a class; ignored')


def _priority_class(name: str, profile: Profile, field: str, view: View) -> PriorityClass:
    found = view.priority_classes.get(name)
    if found is None:
        raise Denied(
            Denial(
                f'spec.priorityClassName: profile "{profile.name}" ({field}) names the '
                f'PriorityClass "{name}", which does not exist: create it or correct the profile'
            )
        )
    return found


def _set_priority_class(pod: PodEdit, found: PriorityClass, cause: Cause) -> None:
    pod.set_spec("priorityClassName", found.name, cause)
    pod.set_spec("priority", found.value, cause)
    pod.set_spec("preemptionPolicy", found.preemption_policy, cause)


# The attributes of a profile and the functions that apply them, in order.
_STEPS: Final[tuple[tuple[str, Callable[[PodEdit, Profile, View, list[str]], None]], ...]] = (
    ("labels", _labels),
    ("annotations", _annotations),
    ("label_keys_mapping", _label_keys_mapping),
    ("annotation_keys_mapping", _annotation_keys_mapping),
    ("label_suffixes", _label_suffixes),
    ("scheduler_name", _scheduler_name),
    ("qos_class", _qos_class),
    ("priority_class_name", _priority_class_name),
    ("koordinator_priority", _koordinator_priority),
    ("patch", _patch),
)
