"""Selection of the profiles for a pod: those that match, reduced by their probability."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from webhook.admission.profiles.profile import ALWAYS, Profile
from webhook.admission.review import Review
from webhook.admission.view import View
from webhook.pods.pod import labels

_DIGEST_BYTES: Final = 8


def matching(review: Review, view: View) -> list[Profile]:
    """Return the profiles whose selectors match the pod and its namespace, by name."""
    return view.index.matching(labels(review.object), view.namespace_labels(review.namespace))


def selected(profile: Profile, review: Review, key: bytes) -> bool:
    """Whether the profile's probability selects this pod.

    The pseudo-random number is derived from the request's uid, which the API server
    chooses at random and a user cannot; per workload it is derived from the pod's
    controller (or else its generateName or name), so that all pods of the workload get
    the same result. A dry run gets a number of its own, and nobody without the signing key
    can compute one; but the result for a workload is stable, so who creates its pods can
    observe it.
    """
    if profile.probability == ALWAYS:
        return True
    subject = _workload(review) if profile.per_workload else review.uid
    use = b"dry-run" if review.dry_run else b""
    digest = blake2b(f"{profile.name}\0{subject}".encode(), key=key, digest_size=_DIGEST_BYTES, person=use)
    # A number from 0 to 99, each with the same probability (up to 2^-64).
    return int.from_bytes(digest.digest(), "big") * ALWAYS >> 8 * _DIGEST_BYTES < profile.probability


def _workload(review: Review) -> str:
    metadata: Mapping[str, Any] = review.object.get("metadata") or {}
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid"))
    name = metadata.get("generateName") or metadata.get("name") or review.name
    return f"{review.namespace}/{name}"
