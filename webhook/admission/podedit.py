"""A pod under edit, and the check of a pod's types.

The API server sends well-formed pods. Any other is denied here, once, so that the rest
of the core may rely on types. Only fields that the core reads are checked.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from webhook.admission.editor import Cause, ObjectEdit
from webhook.pods.pod import CONTAINER_LISTS, SECTIONS, Container, annotations
from webhook.pods.quantities import QuantityError, non_negative, text_of
from webhook.pods.text import shown


class Denied(Exception):  # noqa: N818 — it is an answer, not an error
    """Ends a decision with a denial; its text is what the API server shows to its user."""


class PodEdit(ObjectEdit):
    """A pod under edit."""

    __slots__ = ()

    def set_label(self, key: str, value: str, cause: Cause) -> None:
        """Set a label."""
        self.open_object("metadata").open_object("labels").set(key, value, cause)

    def set_annotation(self, key: str, value: str, cause: Cause) -> None:
        """Set an annotation."""
        self.open_object("metadata").open_object("annotations").set(key, value, cause)

    def remove_annotation(self, key: str, cause: Cause) -> None:
        """Remove an annotation if it exists."""
        if key in annotations(self.value):
            self.open_object("metadata").open_object("annotations").remove(key, cause)

    def set_spec(self, key: str, value: Any, cause: Cause) -> None:  # noqa: ANN401 — any JSON value
        """Set a field of the spec."""
        self.open_object("spec").set(key, value, cause)

    def resources(self, container: Container) -> ObjectEdit:
        """Open a container's ``resources``."""
        return (
            self.open_object("spec")
            .open_list(container.kind)
            .open_object(container.position)
            .open_object("resources")
        )


def check_shape(pod: Mapping[str, Any]) -> None:
    """Check the types of everything in a pod that the core reads.

    Raises:
        Denied: naming field, value and the type that it must have. Quantities are denied
            if Kubernetes would refuse them.
    """
    metadata = _map(pod, "metadata", "")
    for field in ("labels", "annotations"):
        for key, value in _map(metadata, field, "metadata.").items():
            if not isinstance(value, str):
                _refuse(f"metadata.{field}[{key}]", value, "a string")
    for field in ("name", "generateName"):
        _string(metadata, field, "metadata.")
    _list(metadata, "ownerReferences", "metadata.")
    _list(metadata, "managedFields", "metadata.")
    pod_spec = _map(pod, "spec", "")
    for field in ("priorityClassName", "preemptionPolicy", "schedulerName"):
        _string(pod_spec, field, "spec.")
    priority = pod_spec.get("priority")
    if priority is not None and (not isinstance(priority, int) or isinstance(priority, bool)):
        _refuse("spec.priority", priority, "an integer")
    _check_resources(_map(pod_spec, "resources", "spec."), "spec.resources.")
    _check_quantities(_map(pod_spec, "overhead", "spec."), "spec.overhead")
    for kind in CONTAINER_LISTS:
        for i, container in enumerate(_list(pod_spec, kind, "spec.")):
            at = f"spec.{kind}[{i}]."
            _string(container, "name", at)
            _string(container, "restartPolicy", at)
            _check_resources(_map(container, "resources", at), f"{at}resources.")


def _check_resources(resources: Mapping[str, Any], at: str) -> None:
    for section in SECTIONS:
        quantities = resources.get(section)
        if quantities is not None:
            if not isinstance(quantities, dict):
                _refuse(at + section, quantities, "a map")
            _check_quantities(quantities, at + section)


def _check_quantities(quantities: Mapping[str, Any], at: str) -> None:
    for resource, raw in quantities.items():
        try:
            non_negative(raw if isinstance(raw, str) else text_of(raw))
        except QuantityError as error:
            raise Denied(f"{at}[{resource}]: {error}") from None


def _map(parent: Mapping[str, Any], field: str, at: str) -> Mapping[str, Any]:
    value = parent.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(at + field, value, "a map")
    return value


def _list(parent: Mapping[str, Any], field: str, at: str) -> list[dict[str, Any]]:
    value = parent.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        _refuse(at + field, value, "a list")
    for i, item in enumerate(value):
        if not isinstance(item, dict):
            _refuse(f"{at}{field}[{i}]", item, "a map")
    return value


def _string(parent: Mapping[str, Any], field: str, at: str) -> None:
    value = parent.get(field)
    if value is not None and not isinstance(value, str):
        _refuse(at + field, value, "a string")


def _refuse(field: str, value: object, wanted: str) -> NoReturn:
    raise Denied(f"{field}: must be {wanted}, not {shown(value)}")
