"""Signed annotations that carry the applied profiles to the next call for the same pod.

With ``reinvocationPolicy: IfNeeded`` the API server calls again when other webhooks
changed the pod after this one. Its labels may have changed by then, and a probability
must not be rolled twice; so the selected profiles are written into an annotation, and a
second annotation signs the first. The signature binds them to this request: its user,
namespace, pod name, the user's own labels, and the times that the API server wrote into
managedFields; and the pod must have what the profiles set. A user can neither forge the
annotations nor copy them from another pod to escape a profile: annotations that do not
verify are overwritten as if they did not exist.

A pod that no profile matches gets no annotations, and is matched again on every call.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Final

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.admission.profiles.profile import Profile
from webhook.admission.review import Review
from webhook.admission.view import View
from webhook.pods.pod import annotations, labels, spec
from webhook.protocol import (
    ANNOTATION_PROFILES,
    ANNOTATION_PROFILES_SIGNATURE,
    LABEL_PRIORITY,
    LABEL_QOS_CLASS,
)

CAUSE: Final = Cause("reinvocation", "the selected profiles")
MIN_SECRET_BYTES: Final = 16  # 128 bits, if every one counts
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 16


def derive_key(secret: bytes) -> bytes:
    """Derive the signing key from a secret; it is the same in all replicas that have the secret.

    The key serves this purpose only and reveals nothing about the secret, which may be the
    private key of a certificate.
    """
    return blake2b(secret, digest_size=_KEY_BYTES, person=b"profiles-sign").digest()


def recall(review: Review, view: View, key: bytes) -> tuple[str, ...] | None:
    """Return the names of the profiles applied on an earlier call, None on the first one."""
    present = annotations(review.object)
    signature = present.get(ANNOTATION_PROFILES_SIGNATURE)
    if signature is None:
        return None
    text = present.get(ANNOTATION_PROFILES, "")
    names = tuple(dict.fromkeys(filter(None, text.split(","))))
    applied = [view.profiles[name] for name in names if name in view.profiles]
    expected = _signature(review, review.object, text, applied, key)
    if compare_digest(signature.encode(), expected.encode()) and _has_effects(review.object, applied):
        return names
    return None


def remember(pod: PodEdit, review: Review, applied: Sequence[Profile], key: bytes) -> None:
    """Write the names of the applied profiles, and their signature, into annotations."""
    text = ",".join(profile.name for profile in applied)
    pod.set_annotation(ANNOTATION_PROFILES, text, CAUSE)
    pod.set_annotation(
        ANNOTATION_PROFILES_SIGNATURE, _signature(review, pod.value, text, applied, key), CAUSE
    )


def forget(pod: PodEdit) -> None:
    """Remove annotations that this webhook did not write."""
    pod.remove_annotation(ANNOTATION_PROFILES, CAUSE)
    pod.remove_annotation(ANNOTATION_PROFILES_SIGNATURE, CAUSE)


def _has_effects(pod: Mapping[str, Any], applied: Iterable[Profile]) -> bool:
    """Whether the pod has the labels and the priority class that the profiles set."""
    expected: set[str] = set()
    priority_class = ""
    for profile in applied:
        expected.update(key for key, _ in profile.labels)
        if profile.qos_class:
            expected.add(LABEL_QOS_CLASS)
        if profile.koordinator_priority is not None:
            expected.add(LABEL_PRIORITY)
        patch = profile.patch or {}
        for key, value in ((patch.get("metadata") or {}).get("labels") or {}).items():
            (expected.discard if value is None or key.startswith("$") else expected.add)(key)
        patched_class = (patch.get("spec") or {}).get("priorityClassName")
        priority_class = patched_class or profile.priority_class_name or priority_class
    # Other webhooks may have changed the value of a label; none removes all of them.
    if not expected <= labels(pod).keys():
        return False
    return not priority_class or spec(pod).get("priorityClassName") == priority_class


def _signature(
    review: Review, pod: Mapping[str, Any], text: str, applied: Sequence[Profile], key: bytes
) -> str:
    """Return the signature of the pod as a call leaves it, which is how the next one finds it."""
    metadata: Mapping[str, Any] = pod.get("metadata") or {}
    managed = metadata.get("managedFields") or ()
    bound = (
        text,
        review.namespace,
        review.username,
        review.dry_run,
        metadata.get("name"),
        metadata.get("generateName"),
        [owner.get("uid") for owner in metadata.get("ownerReferences") or ()],
        [(entry.get("manager"), entry.get("operation"), entry.get("time")) for entry in managed],
        _own_labels(metadata.get("labels") or {}, managed, applied),
    )
    # repr is unambiguous for any strings; ("a", "bc") is not ("ab", "c").
    return blake2b(repr(bound).encode(), key=key, digest_size=_SIGNATURE_BYTES).hexdigest()


def _own_labels(
    present: Mapping[str, str], managed: Iterable[Mapping[str, Any]], applied: Iterable[Profile]
) -> list[tuple[str, str]]:
    """Return the labels that the user set and the applied profiles do not write.

    Before it calls webhooks, the API server lists in managedFields every field of the
    request; these labels are the same on each call for one pod.
    """
    owned: set[str] = set()
    for entry in managed:
        fields: Any = entry.get("fieldsV1")
        for step in ("f:metadata", "f:labels"):
            fields = fields.get(step) if isinstance(fields, dict) else None
        if isinstance(fields, dict):
            owned.update(fields)
    written = frozenset[str]().union(*(profile.written_labels for profile in applied))
    return sorted((k, value) for k, value in present.items() if "f:" + k in owned and k not in written)
