"""What the API server would refuse of a pod that profiles changed, and which of them is at fault."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any, Final

from webhook.admission.podedit import PodEdit
from webhook.admission.profiles.objectrules import MAX_ANNOTATIONS
from webhook.admission.profiles.profile import Profile
from webhook.admission.profiles.validity import Fault, faults
from webhook.pods.pod import SECTIONS, annotations, containers, spec
from webhook.protocol import HUGEPAGES_PREFIX

_MOST: Final = 10  # messages: a profile may do the same to each of many containers
_MAX_BYTES: Final = 4  # of a character in UTF-8


def doubtful(pod: Mapping[str, Any], applied: Collection[Profile]) -> bool:
    """Whether a changed pod may be invalid, so that looking closely is worth its time.

    Args:
        pod: the pod after all changes.
        applied: the profiles. Their patches can do anything; without one, a translation takes
            native resources away, which huge pages need.
    """
    if applied and (any(profile.checked for profile in applied) or _has_huge_pages(pod)):
        return True
    texts = annotations(pod)
    length = sum(map(len, texts)) + sum(map(len, texts.values()))
    return length * _MAX_BYTES > MAX_ANNOTATIONS


def refusals(before: Mapping[str, Any], pod: PodEdit, names: tuple[str, ...]) -> list[str]:
    """Return what the API server refuses, with field, profile and remedy.

    Args:
        before: the pod as it came.
        pod: the pod after all changes, with their causes.
        names: of the applied profiles.
    """
    found = islice(faults(before, pod.value), _MOST)
    return [f"{fault.at or 'spec'}: {_blamed(fault, pod, names)} {fault.problem}" for fault in found]


def _has_huge_pages(pod: Mapping[str, Any]) -> bool:
    pod_level = spec(pod).get("resources") or {}
    blocks = [pod_level.get(section) or () for section in SECTIONS]
    blocks += (container.quantities(section) for container in containers(pod) for section in SECTIONS)
    return any(name.startswith(HUGEPAGES_PREFIX) for block in blocks for name in block)


def _blamed(fault: Fault, pod: PodEdit, names: tuple[str, ...]) -> str:
    """Return who is at fault: whoever changed something there, of a value whoever wrote it last."""
    of_profiles = {*names, ",".join(names)}
    causes = list(dict.fromkeys(cause for place in fault.places for cause in pod.causes_at(place)))
    blamed = [f'profile "{cause.source}" ({cause.field})' for cause in causes if cause.source in of_profiles]
    if not blamed:  # what follows from a profile, such as pod-level resources, has a cause of its own
        blamed = [f'profile "{",".join(names)}" ({" and ".join(map(str, causes))})']
    return blamed[-1] if fault.certain else " and ".join(blamed)
