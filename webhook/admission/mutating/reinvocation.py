"""Signed annotations that carry the applied profiles to the next call for the same pod.

With ``reinvocationPolicy: IfNeeded`` the API server calls again when other webhooks
changed the pod after this one. Its labels may have changed by then, and a probability
must not be rolled twice; so the selected profiles are written into an annotation, and a
second annotation signs the first. What can be applied twice is applied again on the next
call; suffixes, mappings and the dice rest on the signature. It binds them to this
request: its user, namespace, pod name, the times that the API server wrote into
managedFields, and the user's own labels as the first call left them. Annotations that
were in the user's request, which managedFields lists, are none of ours. A user can
neither forge the annotations nor copy them from another pod to escape a profile:
annotations that do not verify are overwritten as if they did not exist.

A pod that no profile matches gets no annotations, and is matched again on every call.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Final

import orjson

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.admission.profiles.podpatch import RETAIN_KEYS
from webhook.admission.profiles.podschema import DIRECTIVE
from webhook.admission.profiles.profile import Profile
from webhook.admission.review import Review
from webhook.admission.view import View
from webhook.pods.pod import annotations, labels
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
_WRITTEN_BY: Final = ("manager", "operation", "time")  # of an entry of managedFields


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
    if signature is None or ANNOTATION_PROFILES_SIGNATURE in own_keys(review.object, "annotations"):
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
    signature = _signature(review, pod.value, text, applied, key)
    edit = pod.open_object("metadata").open_object("annotations")
    edit.set(ANNOTATION_PROFILES, text, CAUSE)
    edit.set(ANNOTATION_PROFILES_SIGNATURE, signature, CAUSE)


def forget(pod: PodEdit) -> None:
    """Remove annotations that this webhook did not write."""
    pod.remove_annotation(ANNOTATION_PROFILES, CAUSE)
    pod.remove_annotation(ANNOTATION_PROFILES_SIGNATURE, CAUSE)


def _has_effects(pod: Mapping[str, Any], applied: Iterable[Profile]) -> bool:
    """Whether the pod has the labels and annotations that the profiles leave on it, with any value.

    Other webhooks may have changed the values. Those of the user's own are signed.
    """
    left, noted = own_keys(pod, "labels"), own_keys(pod, "annotations")
    for profile in applied:
        patched = (profile.patch or {}).get("metadata") or {}
        left |= {key for key, _ in profile.labels}
        for old, new in profile.label_keys_mapping:
            left |= {new} if old in left else set()
        left |= {LABEL_QOS_CLASS} if profile.qos_class else set()
        left |= {LABEL_PRIORITY} if profile.koordinator_priority is not None else set()
        left = _merged(left, patched.get("labels", {}))
        noted |= {key for key, _ in profile.annotations}
        for old, new in profile.annotation_keys_mapping:
            noted |= {new} if old in noted else set()
        noted = _merged(noted, patched.get("annotations", {}))
    # What the user wrote and another webhook removed is not missing; what a profile removes is not there.
    own, present = own_keys(pod, "annotations"), annotations(pod).keys()
    return (
        left - own_keys(pod, "labels") <= labels(pod).keys()
        and noted - own <= present
        and present.isdisjoint(own - noted)
    )


def _merged(keys: set[str], patch: Mapping[str, Any] | None) -> set[str]:
    """Return the keys of a map after a patch; None removes it."""
    if patch is None or patch.get(DIRECTIVE) == "delete":
        return set()
    if patch.get(DIRECTIVE) == "replace":
        keys = set()
    if RETAIN_KEYS in patch:
        keys = keys & set(patch[RETAIN_KEYS])
    written = {key for key in patch if not key.startswith("$")}
    return keys - written | {key for key in written if patch[key] is not None}


def _signature(
    review: Review, pod: Mapping[str, Any], text: str, applied: Sequence[Profile], key: bytes
) -> str:
    """Return the signature of the pod as a call leaves it, which is how the next one finds it."""
    metadata: Mapping[str, Any] = pod.get("metadata") or {}
    managed = metadata.get("managedFields") or ()
    written: set[str] = set()
    for profile in applied:
        written |= profile.written_annotations
    if written:
        written &= own_keys(pod, "annotations")
    present, noted = labels(pod), annotations(pod)
    bound = (
        text,
        review.namespace,
        review.username,
        review.dry_run,
        metadata.get("name"),
        metadata.get("generateName"),
        [_plain(owner.get("uid")) for owner in metadata.get("ownerReferences") or ()],
        [[_plain(entry.get(key)) for key in _WRITTEN_BY] for entry in managed],
        [(k, present.get(k)) for k in sorted(own_keys(pod, "labels"))],
        [(k, noted.get(k)) for k in sorted(written)],
    )
    # JSON is unambiguous; ["a", "bc"] is not ["ab", "c"].
    return blake2b(orjson.dumps(bound), key=key, digest_size=_SIGNATURE_BYTES).hexdigest()


def _plain(value: object) -> object:
    """Return what can be written as JSON for what should be a string, and may be of any depth."""
    return value if value is None or isinstance(value, str) else [repr(value)]


def own_keys(pod: Mapping[str, Any], field: str) -> set[str]:
    """Return the keys of the labels or annotations that were in the user's request.

    Before it calls webhooks, the API server lists in managedFields every field of the
    request; these are the same on each call for one pod.
    """
    owned: set[str] = set()
    for entry in (pod.get("metadata") or {}).get("managedFields") or ():
        fields: Any = entry.get("fieldsV1")
        for step in ("f:metadata", f"f:{field}"):
            fields = fields.get(step) if isinstance(fields, dict) else None
        if isinstance(fields, dict):
            owned |= {key[2:] for key in fields}  # without "f:"
    return owned
