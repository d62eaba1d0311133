"""What the API server would refuse of a pod that profiles changed, and which of them is at fault."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from webhook.admission.podedit import PodEdit
from webhook.admission.profiles.demands.annotations import MAX_ANNOTATIONS
from webhook.admission.profiles.profile import Profile
from webhook.admission.profiles.validity import Fault, faults
from webhook.admission.review import Review

_MOST: Final = 10  # messages: a profile may do the same to each of many containers
_MAX_KEY: Final = 317  # characters of a prefix, a slash and a name
_MAX_BYTES: Final = 4  # of a character in UTF-8


def plain(review: Review, applied: Iterable[Profile]) -> bool:
    """Whether neither the pod nor the profiles have what has to be looked at closely.

    Such as huge pages, from which a translation takes the native resources that they need.
    """
    for profile in applied:
        if profile.checked:
            return False
    return review.plain


def crowded(annotations: Mapping[str, str]) -> bool:
    """Whether annotations, ours among them, may be more than a pod may have."""
    length = len(annotations) * _MAX_KEY + sum(map(len, annotations.values()))
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


def _blamed(fault: Fault, pod: PodEdit, names: tuple[str, ...]) -> str:
    """Return who is at fault: whoever changed something there, of a value whoever wrote it last."""
    of_profiles = {*names, ",".join(names)}
    causes = list(dict.fromkeys(cause for place in fault.places for cause in pod.causes_at(place)))
    blamed = [f'profile "{cause.source}" ({cause.field})' for cause in causes if cause.source in of_profiles]
    if not blamed:  # what follows from a profile, such as pod-level resources, has a cause of its own
        blamed = [f'profile "{",".join(names)}" ({" and ".join(map(str, causes))})']
    return blamed[-1] if fault.certain else " and ".join(blamed)
