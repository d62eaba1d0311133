"""The shape of objects that come from files; those of a cluster its API server has checked."""

from collections.abc import Mapping
from typing import Any

from webhook.admission.podedit import Denied, check_shape
from webhook.pods.text import shown


class ShapeError(ValueError):
    """An object that no API server would store; the message names field, value and what to write."""


def check(obj: Mapping[str, Any]) -> None:
    """Check the types of what a reader of an object relies on; raises ShapeError."""
    metadata = _object(obj, "metadata", "")
    if not isinstance(metadata.get("name"), str):
        raise ShapeError("metadata.name: every object needs a name")
    for field in ("namespace", "uid"):
        _text(metadata, field, "metadata.")
    for field in ("labels", "annotations"):
        of = _object(metadata, field, "metadata.")
        for key in of:
            _text(of, key, f"metadata.{field}.")
    spec, status = _object(obj, "spec", ""), _object(obj, "status", "")
    if obj["kind"] == "Node":
        _objects(spec, "taints", "spec.")
    if obj["kind"] == "Pod":
        _text(spec, "nodeName", "spec.")
        _text(status, "phase", "status.")
        try:
            check_shape(obj)
        except Denied as error:
            raise ShapeError(str(error)) from None


def _object(of: Mapping[str, Any], field: str, at: str) -> Mapping[str, Any]:
    value = of.get(field)
    if value is not None and not isinstance(value, dict):
        raise ShapeError(f"{at}{field}: {shown(value)}: write an object")
    return value or {}


def _objects(of: Mapping[str, Any], field: str, at: str) -> None:
    value = of.get(field)
    if value is not None and not (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
        raise ShapeError(f"{at}{field}: {shown(value)}: write a list of objects")


def _text(of: Mapping[str, Any], field: str, at: str) -> None:
    if not isinstance(of.get(field), (str, type(None))):
        raise ShapeError(f"{at}{field}: {shown(of[field])}: write a text, in quotes")
