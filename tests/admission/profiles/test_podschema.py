"""The fields of a Pod and how they are merged."""

import json
from importlib.resources import files

import pytest

from tests.pod_schema_source import pod_schema
from webhook.admission.profiles.podschema import POD, object_types


def test_the_table_is_made_from_the_schema_of_kubernetes() -> None:
    """``pod_schema.json`` is what the newest OpenAPI schema at hand says."""
    text = (files("webhook.admission.profiles") / "pod_schema.json").read_text()
    assert json.loads(text) == pod_schema()


@pytest.mark.parametrize(
    ("kind", "field", "container", "merge_key"),
    [
        ("PodSpec", "containers", "[]", "name"),
        ("PodSpec", "volumes", "[]", "name"),
        ("PodSpec", "tolerations", "[]", None),
        ("PodSpec", "imagePullSecrets", "[]", "name"),
        ("PodSpec", "nodeSelector", "{}", None),
        ("Container", "env", "[]", "name"),
        ("Container", "ports", "[]", "containerPort"),
        ("Container", "volumeMounts", "[]", "mountPath"),
        ("Container", "command", "[]", None),
        ("ObjectMeta", "finalizers", "[]", ""),
        ("ObjectMeta", "ownerReferences", "[]", "uid"),
        ("ObjectMeta", "labels", "{}", None),
    ],
)
def test_fields_as_the_api_reference_has_them(kind, field, container, merge_key) -> None:
    """A sample of merge keys, by hand."""
    found = object_types()[kind][field]
    assert (found.container, found.merge_key) == (container, merge_key)


def test_every_type_that_is_named_exists() -> None:
    """The table is closed: a field's type is an object type or a scalar."""
    scalars = {"string", "integer", "number", "boolean", "quantity", "intstr", "any"}
    types = object_types()
    assert POD in types
    assert "status" not in types[POD]
    assert {f.type for fields in types.values() for f in fields.values()} <= scalars | set(types)
