"""Application of a profile to a pod, its fields in a fixed order."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.admission.editor import Cause
from webhook.admission.mutating.relabelling import brought, restore
from webhook.admission.mutating.strategicmerge import merge
from webhook.admission.podedit import Denied, PodEdit
from webhook.admission.profiles.profile import Profile
from webhook.admission.view import View
from webhook.pods.labels import VALUE_RULE, value_problem
from webhook.pods.pod import annotations, labels, spec
from webhook.pods.priority import PriorityClass
from webhook.pods.text import shown
from webhook.protocol import LABEL_PRIORITY, LABEL_QOS_CLASS

_PRIORITY_FIELDS: Final = ("priorityClassName", "priority", "preemptionPolicy")


def apply_profile(
    pod: PodEdit, profile: Profile, view: View, *, again: bool = False, keeps_labels: bool = False
) -> list[str]:
    """Apply one profile.

    Args:
        pod: the pod under edit.
        profile: the profile.
        view: the cluster, for its PriorityClasses.
        again: an earlier call applied the profile. Labels and annotations, which suffixes and
            mappings change with each call, are left out.
        keeps_labels: labels that the pod came with stay as they are.

    Returns:
        Warnings for the user.

    Raises:
        Denied: the profile makes a change that the API server would refuse.
    """
    before = brought(pod) if keeps_labels else None
    if not again:
        _set_labels_and_annotations(pod, profile)
    if profile.scheduler_name:
        pod.set_spec("schedulerName", profile.scheduler_name, Cause(profile.name, "schedulerName"))
    if profile.qos_class and not again:
        pod.set_label(LABEL_QOS_CLASS, profile.qos_class, Cause(profile.name, "qosClass"))
    if profile.priority_class_name:
        found = _priority_class(profile.priority_class_name, profile, "priorityClassName", view)
        _set_priority_class(pod, found, Cause(profile.name, "priorityClassName"))
    if profile.koordinator_priority is not None and not again:
        text = str(profile.koordinator_priority)
        pod.set_label(LABEL_PRIORITY, text, Cause(profile.name, "koordinatorPriority"))
    warnings = [] if profile.patch is None else list(_patch(pod, profile, profile.patch, view, again=again))
    return warnings if before is None else [*warnings, *restore(pod, before, profile.name)]


def _set_labels_and_annotations(pod: PodEdit, profile: Profile) -> None:
    for key, value in profile.labels:
        pod.set_label(key, value, Cause(profile.name, "labels"))
    for key, value in profile.annotations:
        pod.set_annotation(key, value, Cause(profile.name, "annotations"))
    for old, new in profile.label_keys_mapping:
        if (present := labels(pod.value).get(old)) is not None:
            pod.set_label(new, present, Cause(profile.name, "labelKeysMapping"))
    for old, new in profile.annotation_keys_mapping:
        if (present := annotations(pod.value).get(old)) is not None:
            pod.set_annotation(new, present, Cause(profile.name, "annotationKeysMapping"))
    for key, suffix in profile.label_suffixes:
        if (present := labels(pod.value).get(key)) is not None:
            _add_suffix(pod, profile, key, present + suffix)


def _add_suffix(pod: PodEdit, profile: Profile, key: str, value: str) -> None:
    if value_problem(value):
        raise Denied(
            f'metadata.labels[{key}]: profile "{profile.name}" (labelSuffixes) would make it {shown(value)}, '
            f"which must be {VALUE_RULE}: shorten the label or change the profile's suffix"
        )
    pod.set_label(key, value, Cause(profile.name, "labelSuffixes"))


def _patch(
    pod: PodEdit, profile: Profile, patch: Mapping[str, Any], view: View, *, again: bool
) -> Iterator[str]:
    """Merge the patch, then make the priority fields agree with each other; yield warnings.

    The API server refuses a pod whose ``spec.priority`` differs from its PriorityClass.
    So a class that the patch sets brings its own values, and a priority without a class
    is ignored.
    """
    before = {field: spec(pod.value).get(field) for field in _PRIORITY_FIELDS}
    cause = Cause(profile.name, "patch")
    merge(pod, patch, cause, again=again)
    if before == {field: spec(pod.value).get(field) for field in _PRIORITY_FIELDS}:
        return
    name = spec(pod.value).get("priorityClassName")
    if name:
        found = _priority_class(name, profile, "patch", view)
        patched = spec(pod.value).get("priority")
        _set_priority_class(pod, found, cause)
        if patched not in (None, before["priority"], found.value):
            yield (
                f'profile "{profile.name}": patch sets priority {patched}; '
                f"{name} has {found.value}, which is used"
            )
        return
    for field, value in before.items():
        if value is not None:
            pod.set_spec(field, value, cause)
        else:
            pod.open_object("spec").remove(field, cause)
    yield f'profile "{profile.name}": patch sets spec.priority without a class; ignored'


def _priority_class(name: str, profile: Profile, field: str, view: View) -> PriorityClass:
    found = view.priority_classes.get(name)
    if found is None:
        raise Denied(
            f'spec.priorityClassName: profile "{profile.name}" ({field}) names the '
            f'PriorityClass "{name}", which does not exist: create it or correct the profile'
        )
    return found


def _set_priority_class(pod: PodEdit, found: PriorityClass, cause: Cause) -> None:
    pod.set_spec("priorityClassName", found.name, cause)
    pod.set_spec("priority", found.value, cause)
    pod.set_spec("preemptionPolicy", found.preemption_policy, cause)
