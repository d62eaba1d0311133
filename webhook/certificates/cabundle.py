"""The ``caBundle`` of our webhooks in a configuration: who trusts what, and the correcting patch."""

import base64
import binascii
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from webhook.certificates.issuing import canonical
from webhook.certificates.verifying import CertificateError, split


def trusted_by(configuration: Mapping[str, Any], names: Collection[str]) -> set[bytes]:
    """Return the certificates (PEM) that any of our webhooks in a configuration trusts."""
    found: set[bytes] = set()
    for _, hook in _our_webhooks(configuration, names):
        try:
            found.update(split(base64.b64decode(hook["clientConfig"].get("caBundle") or "", validate=True)))
        except (binascii.Error, CertificateError):
            continue  # an unreadable bundle trusts nothing
    return found


def patch(configuration: Mapping[str, Any], names: Collection[str], bundle: bytes) -> list[dict[str, Any]]:
    """Return the JSON Patch that gives our webhooks their ``caBundle``; empty if all have it already.

    The patch tests the configuration's version and the name of each webhook at its index; if
    either has changed, the API server refuses the patch, and the next reconcile makes another.

    Args:
        configuration: a Mutating- or ValidatingWebhookConfiguration.
        names: our DNS names and addresses: ``<service>.<namespace>.svc``, or a URL's host.
        bundle: the CA certificates, PEM.
    """
    text = base64.b64encode(bundle).decode()
    operations: list[dict[str, Any]] = []
    for index, hook in _our_webhooks(configuration, names):
        if hook["clientConfig"].get("caBundle") != text:
            pointer = f"/webhooks/{index}"
            operations += [
                {"op": "test", "path": f"{pointer}/name", "value": hook.get("name")},
                {"op": "add", "path": f"{pointer}/clientConfig/caBundle", "value": text},
            ]
    if not operations:
        return []
    version = configuration["metadata"]["resourceVersion"]
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *operations]


def calls_only_others(configuration: Mapping[str, Any], names: Collection[str]) -> bool:
    """Whether a configuration has webhooks and none of them is ours."""
    return bool(configuration.get("webhooks")) and not any(True for _ in _our_webhooks(configuration, names))


def _our_webhooks(
    configuration: Mapping[str, Any], names: Collection[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield our webhooks, each with its index in the list."""
    for index, hook in enumerate(configuration.get("webhooks") or ()):
        if _host(hook.get("clientConfig") or {}) in names:
            yield index, hook


def _host(client: Mapping[str, Any]) -> str | None:
    if service := client.get("service"):
        return f"{service.get('name')}.{service.get('namespace')}.svc"
    try:
        host = urllib.parse.urlsplit(str(client.get("url") or "")).hostname
    except ValueError:
        return None  # an unparsable URL holds none of our names
    return canonical(host) if host else None
