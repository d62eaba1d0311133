"""Webhook configurations: which webhooks are ours, what they trust, and the patch that puts it right."""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from webhook.certificates.issuing import canonical
from webhook.certificates.verifying import CertificateError, split


def trusted_by(configuration: Mapping[str, Any], names: Collection[str]) -> set[bytes]:
    """Return the certificates (PEM) that our webhooks in a configuration trust, one or all of them."""
    found: set[bytes] = set()
    for _, hook in _ours(configuration, names):
        try:
            found.update(split(base64.b64decode(hook["clientConfig"].get("caBundle") or "", validate=True)))
        except (binascii.Error, CertificateError):
            continue  # nothing is trusted by what cannot be read
    return found


def patch(configuration: Mapping[str, Any], names: Collection[str], bundle: bytes) -> list[dict[str, Any]]:
    """Return the JSON Patch that gives our webhooks their ``caBundle``; empty where all is right.

    It holds for that very version of the configuration, and for webhooks that stand where
    they stood; else the API server refuses it, and the next look decides anew.

    Args:
        configuration: a Mutating- or ValidatingWebhookConfiguration.
        names: DNS names and addresses that are ours: ``<service>.<namespace>.svc``, or a URL's host.
        bundle: PEM.
    """
    text = base64.b64encode(bundle).decode()
    operations: list[dict[str, Any]] = []
    for index, hook in _ours(configuration, names):
        if hook["clientConfig"].get("caBundle") != text:
            place = f"/webhooks/{index}"
            operations += [
                {"op": "test", "path": f"{place}/name", "value": hook.get("name")},
                {"op": "add", "path": f"{place}/clientConfig/caBundle", "value": text},
            ]
    if not operations:
        return []
    version = configuration["metadata"]["resourceVersion"]
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *operations]


def leads_elsewhere(configuration: Mapping[str, Any], names: Collection[str]) -> bool:
    """Whether a configuration has webhooks, and none of them is ours."""
    return bool(configuration.get("webhooks")) and not any(True for _ in _ours(configuration, names))


def _ours(
    configuration: Mapping[str, Any], names: Collection[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield our webhooks, each with its place in the list."""
    for index, hook in enumerate(configuration.get("webhooks") or ()):
        if _host(hook.get("clientConfig") or {}) in names:
            yield index, hook


def _host(client: Mapping[str, Any]) -> str | None:
    if service := client.get("service"):
        return f"{service.get('name')}.{service.get('namespace')}.svc"
    try:
        host = urllib.parse.urlsplit(str(client.get("url") or "")).hostname
    except ValueError:
        return None  # not one that a name of ours could be in
    return canonical(host) if host else None
