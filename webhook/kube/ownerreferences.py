"""Owners of an object (``metav1.OwnerReference``): pure."""

from collections.abc import Mapping
from typing import Any


def owners(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the owners that an object's metadata names; whatever is not an object is left out."""
    listed = metadata.get("ownerReferences")
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []


def controller_of(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the owner that controls an object; {} where none does."""
    return next((each for each in owners(metadata) if each.get("controller") is True), {})


def owner_of_kind(metadata: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the first owner of a kind, controller or not; {} where there is none."""
    return next((each for each in owners(metadata) if each.get("kind") == kind), {})


def owned_by_node(name: str, uid: str) -> list[Mapping[str, Any]]:
    """Return the ownerReferences of an object that the garbage collector deletes together with its Node."""
    return [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]
