"""The fields of a Pod, with their types and merge strategies.

The table ``pod_schema.json`` is made from the OpenAPI schema of Kubernetes (its
``x-kubernetes-patch-strategy`` and ``-merge-key``), see ``tests/pod_schema_source.py``.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import orjson

POD: Final = "Pod"
DIRECTIVE: Final = "$patch"
# Texts and numbers of a certain form, each with its JSON type.
FORMS: Final = {
    "API version": "string",
    "CSI driver": "string",
    "DNS label": "string",
    "DNS subdomain": "string",
    "HTTP header": "string",
    "IP address": "string",
    "Windows user": "string",
    "absolute path": "string",
    "annotation": "string",
    "beginning of a DNS subdomain": "string",
    "environment variable name": "string",
    "finalizer": "string",
    "iSCSI name": "string",
    "image": "string",
    "key of a ConfigMap": "string",
    "label": "string",
    "label value": "string",
    "list of host:port": "string",
    "path below": "string",
    "path of a file below": "string",
    "path without ..": "string",
    "port": "intstr",
    "port name": "string",
    "qualified name": "string",
    "resource": "quantity",
    "search domain": "string",
    "sysctl": "string",
    "version of a Pod": "string",
}


class Field(NamedTuple):
    """A field of an object type.

    Attributes:
        type: name of the type of the value; of the elements for lists and maps.
        container: "" for a single value, "[]" for a list, "{}" for a map.
        form: what the API server demands of the value: a range of integers such as ``1..65535``,
            texts such as ``Always|Never``, or a name of FORMS; "" for anything of the type.
        required: the API server refuses an object without it.
        empty: the empty text is as if the field were not there, and has no form.
        merge_key: the field that identifies list elements; "" for a merged list of
            scalars; None for a list that is replaced as a whole.
    """

    type: str
    container: str = ""
    merge_key: str | None = None
    form: str = ""
    required: bool = False
    empty: bool = False


def _field(raw: str | list[str]) -> Field:
    expression, merge_key = raw if isinstance(raw, list) else (raw, None)
    container = expression[:2] if expression[:2] in {"[]", "{}"} else ""
    type_name = expression.removeprefix(container).removesuffix("!")
    empty, type_name = type_name.startswith("|"), type_name.removeprefix("|")
    general = FORMS.get(type_name) or (
        "integer" if ".." in type_name else "string" if "|" in type_name else None
    )
    form = type_name if general else ""
    return Field(general or type_name, container, merge_key, form, expression.endswith("!"), empty)


@cache
def object_types() -> Mapping[str, Mapping[str, Field]]:
    """Return the fields of every object type below Pod, by the type's name."""
    table = orjson.loads(files(__package__).joinpath("pod_schema.json").read_bytes())
    return {name: {field: _field(raw) for field, raw in fields.items()} for name, fields in table.items()}


@cache
def required_fields(type_name: str) -> tuple[str, ...]:
    """Return the fields without which the API server refuses an object of a type."""
    return tuple(name for name, field in object_types()[type_name].items() if field.required)
