"""Kubeconfigs for tests, and who proves what in them."""

import base64

import trustme
import yaml

V1 = "client.authentication.k8s.io/v1"
BASE64 = base64.b64encode(b"x").decode()
CA = trustme.CA()
JANE = CA.issue_cert("jane@example.org")
PAIR = {
    "client-certificate-data": base64.b64encode(JANE.cert_chain_pems[0].bytes()).decode(),
    "client-key-data": base64.b64encode(JANE.private_key_pem.bytes()).decode(),
}


def written(folder, *, user=None, cluster=None, name="config", **config):
    """Write a kubeconfig; its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "home"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    } | config
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def encoded(authority, width=None):
    """An authority as base64, in lines of ``width``."""
    text = base64.b64encode(authority.cert_pem.bytes()).decode()
    return "\n".join(text[i : i + width] for i in range(0, len(text), width)) if width else text
