"""Labels that a controller's pod brings and that profiles change or remove: found, and left as they are.

A controller that selects by such a label does not know the pod that it made, and makes another, without
end. What the pod brought stands in managedFields. Which controllers did so lately is counted by the
service, which gives those for whom the labels are kept to ``decide`` (see ``Settings.kept_labels``).
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from webhook.admission.editor import Cause, Operation
from webhook.admission.mutating.reinvocation import own_keys
from webhook.admission.podedit import PodEdit
from webhook.admission.review import Review
from webhook.pods.pod import labels

_AT: Final = "/metadata/labels/"
_KEPT: Final = "labels that are kept"  # the field of the cause
_LONGEST: Final = 253  # characters of what names an object; what is longer names none


class Owner(NamedTuple):
    """The controller of a pod, from its ownerReferences."""

    namespace: str
    api_version: str
    kind: str
    name: str
    uid: str


class Relabelled(NamedTuple):
    """A controller's pod whose labels were changed.

    Attributes:
        owner: the controller.
        changes: by profile, the labels that it changed and their values now; None: removed.
    """

    owner: Owner
    changes: Mapping[str, Mapping[str, str | None]]


def controller(review: Review) -> Owner | None:
    """Return the pod's controller; None where it has none, or names none that can exist."""
    for raw in (review.object.get("metadata") or {}).get("ownerReferences") or ():
        if raw.get("controller") is True:
            parts = (review.namespace, *(raw.get(key) for key in ("apiVersion", "kind", "name", "uid")))
            named = all(isinstance(part, str) and 0 < len(part) <= _LONGEST for part in parts)
            return Owner(*parts) if named else None
    return None


def keeping(review: Review, kept: Mapping[tuple[str, str], AbstractSet[str]]) -> AbstractSet[str]:
    """Return the profiles that change no label which this pod has; see ``Settings.kept_labels``."""
    owner = controller(review) if kept else None
    return frozenset() if owner is None else kept.get((owner.namespace, owner.uid), frozenset())


def find(
    review: Review, pod: PodEdit, operations: tuple[Operation, ...], kept: AbstractSet[str]
) -> Relabelled | None:
    """Return what profiles changed of the labels that a controller's pod brought, None: nothing.

    Args:
        review: with the pod as it came.
        pod: as it is now.
        operations: the difference.
        kept: the profiles that left all of them as they were, see `keeping`.
    """
    before, now = labels(review.object), labels(pod.value)
    if before.items() <= now.items():
        return None
    owner = controller(review)
    if owner is None:
        return None
    changed = {key for key, value in before.items() if now.get(key) != value}
    if (review.object.get("metadata") or {}).get("managedFields"):
        changed &= own_keys(review.object, "labels")  # the others are another webhook's
    changes: dict[str, dict[str, str | None]] = {}
    for op in operations:
        key = op.path.removeprefix(_AT).replace("~1", "/").replace("~0", "~")
        if op.path.startswith(_AT) and key in changed:
            for profile in {cause.source: None for cause in op.causes if cause.source not in kept}:
                changes.setdefault(profile, {})[key] = now.get(key)
    return Relabelled(owner, changes) if changes else None


def warnings(found: Relabelled) -> Iterator[str]:
    """Yield a warning for each profile and label."""
    for profile, changes in found.changes.items():
        for key in changes:
            consequence = f"a {found.owner.kind} that selects by it loses the pod"
            yield f'profile "{profile}" changes label {key}: {consequence}'


def brought(pod: PodEdit) -> Mapping[str, str | None]:
    """Return the labels that the pod came with, as they are now, for ``restore``; None: removed."""
    now = labels(pod.value)
    return {key: now.get(key) for key in labels(pod.source or {})}


def restore(pod: PodEdit, before: Mapping[str, str | None], profile: str) -> list[str]:
    """Set labels back to what they were before a profile; return a warning for each."""
    found, cause = [], Cause(profile, _KEPT)
    for key, value in before.items():
        if labels(pod.value).get(key) != value:
            if value is None:
                pod.open_object("metadata").open_object("labels").remove(key, cause)
            else:
                pod.set_label(key, value, cause)
            found.append(f'profile "{profile}" leaves label {key}: see its condition LabelsKept')
    return found
