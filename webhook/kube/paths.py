"""Paths of collections and objects in an API server. Names are quoted here and nowhere else."""

from typing import Final
from urllib.parse import quote


def collection(api_version: str, resource: str, namespace: str | None = None) -> str:
    """Return the path of a collection, for example ``/apis/apps/v1/namespaces/shop/deployments``.

    Args:
        api_version: ``v1``, or ``GROUP/VERSION``.
        resource: the kind's plural name.
        namespace: None for a cluster-scoped kind, and for the objects of all namespaces.
    """
    root = "apis" if "/" in api_version else "api"
    within = f"namespaces/{quote(namespace, safe='')}/" if namespace is not None else ""
    return f"/{root}/{api_version}/{within}{resource}"


def member(path: str, name: str) -> str:
    """Return the path of the object of that name in the collection at ``path``."""
    return f"{path}/{quote(name, safe='')}"


PODS: Final = collection("v1", "pods")
NODES: Final = collection("v1", "nodes")

RUNNING_PODS: Final = {"fieldSelector": "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"}
"""Selects pods that are bound and have not ended."""


def pod(namespace: str, name: str) -> str:
    """Return the path of a pod."""
    return member(collection("v1", "pods", namespace), name)


def secret(namespace: str, name: str) -> str:
    """Return the path of a Secret."""
    return member(collection("v1", "secrets", namespace), name)
