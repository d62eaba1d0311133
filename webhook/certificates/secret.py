"""Conversion between the Secret of managed certificates and `Material`."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from webhook.certificates.issuing import Authority
from webhook.certificates.rotation import Material, Rotate
from webhook.certificates.verifying import CertificateError
from webhook.protocol import ANNOTATION_REVISION, ANNOTATION_ROTATE

_CA, _CA_KEY, _LEAF, _LEAF_KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"
_NEXT_CA, _NEXT_CA_KEY = "next-ca.crt", "next-ca.key"
_PREVIOUS_CA, _SIGNING_KEY = "last-ca.crt", "signing.key"
_KEYS: Final = (_CA, _CA_KEY, _LEAF, _LEAF_KEY, _NEXT_CA, _NEXT_CA_KEY, _PREVIOUS_CA, _SIGNING_KEY)
_REVISION: Final = re.compile("[0-9]{1,18}")


def read_secret(secret: Mapping[str, Any]) -> Material:
    """Read and check what a Secret holds; raises CertificateError, which names the invalid key."""
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    held = {name: value for name in _KEYS if (value := _decoded(secret, name))}
    for name in (_CA, _CA_KEY, _LEAF, _LEAF_KEY, _SIGNING_KEY):
        if name not in held:
            raise CertificateError(f"{name} is missing")
    if (_NEXT_CA in held) != (_NEXT_CA_KEY in held):
        raise CertificateError(f"only one of {_NEXT_CA} and {_NEXT_CA_KEY} is present")
    revision = str(annotations.get(ANNOTATION_REVISION, ""))
    requested = annotations.get(ANNOTATION_ROTATE)
    material = Material(
        revision=int(revision) if _REVISION.fullmatch(revision) else 0,
        authority=Authority(held[_CA], held[_CA_KEY]),
        chain=held[_LEAF],
        key=held[_LEAF_KEY],
        signing_key=held[_SIGNING_KEY],
        successor=Authority(held[_NEXT_CA], held[_NEXT_CA_KEY]) if _NEXT_CA in held else None,
        predecessor=held.get(_PREVIOUS_CA),
        requested=Rotate(requested) if requested in list(Rotate) else None,
    )
    material.check()
    return material


def write_secret(material: Material, namespace: str, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Secret that holds ``material`` and keeps all other content of ``found`` ({}: no Secret)."""
    metadata = found.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), ANNOTATION_REVISION: str(material.revision)}
    annotations.pop(ANNOTATION_ROTATE, None)
    if material.requested is not None:
        annotations[ANNOTATION_ROTATE] = material.requested.value
    held = {
        _CA: material.authority.certificate,
        _CA_KEY: material.authority.key,
        _LEAF: material.chain,
        _LEAF_KEY: material.key,
        _SIGNING_KEY: material.signing_key,
    }
    if material.successor is not None:
        held |= {_NEXT_CA: material.successor.certificate, _NEXT_CA_KEY: material.successor.key}
    if material.predecessor is not None:
        held[_PREVIOUS_CA] = material.predecessor
    others = {key: value for key, value in (found.get("data") or {}).items() if key not in _KEYS}
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
