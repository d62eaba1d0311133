"""Which profiles take a pod: those that match it, less those that the dice leave out."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from webhook.admission.profiles.profile import ALWAYS, Profile
from webhook.admission.review import Review
from webhook.admission.view import View
from webhook.pods.pod import labels

_ROLL_BYTES: Final = 8


def matching(review: Review, view: View) -> list[Profile]:
    """Return the profiles whose selectors the pod and its namespace meet, by name."""
    return view.index.matching(labels(review.object), view.namespace_labels(review.namespace))


def selected(profile: Profile, review: Review, key: bytes) -> bool:
    """Tell whether the profile's probability takes this pod.

    The roll is derived from the request's uid, which the API server makes at random
    and nobody can choose; per workload it is derived from the pod's controller (its
    generateName or name where there is none), so that all its pods fall the same way. The
    signing key goes in, so that nobody can look for a name that falls as he likes.
    """
    if profile.probability == ALWAYS:
        return True
    subject = _workload(review) if profile.per_workload else review.uid
    digest = blake2b(f"{profile.name}\0{subject}".encode(), key=key, digest_size=_ROLL_BYTES)
    # A number below 100 * 2^64 / 2^64: each percent has its exact share.
    return int.from_bytes(digest.digest(), "big") * ALWAYS >> 8 * _ROLL_BYTES < profile.probability


def _workload(review: Review) -> str:
    metadata: Mapping[str, Any] = review.object.get("metadata") or {}
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid"))
    name = metadata.get("generateName") or metadata.get("name") or review.name
    return f"{review.namespace}/{name}"
