"""The Secret of managed certificates: an object of the API into `Material`, and back."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from webhook.certificates.issuing import Authority
from webhook.certificates.rotation import Material, Rotate
from webhook.certificates.verifying import CertificateError
from webhook.protocol import ANNOTATION_REVISION, ANNOTATION_ROTATE

CA, CA_KEY, LEAF, LEAF_KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"
NEXT_CA, NEXT_CA_KEY, LAST_CA, SIGNING_KEY = "next-ca.crt", "next-ca.key", "last-ca.crt", "signing.key"
KEYS: Final = (CA, CA_KEY, LEAF, LEAF_KEY, NEXT_CA, NEXT_CA_KEY, LAST_CA, SIGNING_KEY)
_REVISION: Final = re.compile("[0-9]{1,18}")


def read_secret(secret: Mapping[str, Any]) -> Material:
    """Read and check what a Secret holds; raises CertificateError with the key that is no good."""
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    held = {name: value for name in KEYS if (value := _decoded(secret, name))}
    for name in (CA, CA_KEY, LEAF, LEAF_KEY, SIGNING_KEY):
        if name not in held:
            raise CertificateError(f"{name} is missing")
    if (NEXT_CA in held) != (NEXT_CA_KEY in held):
        raise CertificateError(f"of {NEXT_CA} and {NEXT_CA_KEY} one is missing")
    revision = str(annotations.get(ANNOTATION_REVISION, ""))
    asked = annotations.get(ANNOTATION_ROTATE)
    material = Material(
        revision=int(revision) if _REVISION.fullmatch(revision) else 0,
        authority=Authority(held[CA], held[CA_KEY]),
        chain=held[LEAF],
        key=held[LEAF_KEY],
        signing_key=held[SIGNING_KEY],
        successor=Authority(held[NEXT_CA], held[NEXT_CA_KEY]) if NEXT_CA in held else None,
        predecessor=held.get(LAST_CA),
        asked=Rotate(asked) if asked in list(Rotate) else None,
    )
    material.check()
    return material


def write_secret(material: Material, namespace: str, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Secret that holds ``material``; of the one ``found`` ({}: none) all else is kept."""
    metadata = found.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), ANNOTATION_REVISION: str(material.revision)}
    annotations.pop(ANNOTATION_ROTATE, None)
    if material.asked is not None:
        annotations[ANNOTATION_ROTATE] = material.asked.value
    held = {
        CA: material.authority.certificate,
        CA_KEY: material.authority.key,
        LEAF: material.chain,
        LEAF_KEY: material.key,
        SIGNING_KEY: material.signing_key,
    }
    if material.successor is not None:
        held |= {NEXT_CA: material.successor.certificate, NEXT_CA_KEY: material.successor.key}
    if material.predecessor is not None:
        held[LAST_CA] = material.predecessor
    others = {key: value for key, value in (found.get("data") or {}).items() if key not in KEYS}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": found.get("type", "Opaque"),
        "metadata": {**metadata, "namespace": namespace, "name": name, "annotations": annotations},
        "data": others | {key: base64.b64encode(value).decode() for key, value in held.items()},
    }


def _decoded(secret: Mapping[str, Any], name: str) -> bytes:
    text = (secret.get("data") or {}).get(name) or ""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise CertificateError(f"{name} is not base64") from error
