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


class Field(NamedTuple):
    """A field of an object type.

    Attributes:
        type: name of the type of the value; of the elements for lists and maps.
        container: "" for a single value, "[]" for a list, "{}" for a map.
        merge_key: the field that identifies list elements; "" for a merged list of
            scalars; None for a list that is replaced as a whole.
    """

    type: str
    container: str = ""
    merge_key: str | None = None


def _field(raw: str | list[str]) -> Field:
    expression, merge_key = raw if isinstance(raw, list) else (raw, None)
    container = expression[:2] if expression[:2] in {"[]", "{}"} else ""
    return Field(expression.removeprefix(container), container, merge_key)


@cache
def object_types() -> Mapping[str, Mapping[str, Field]]:
    """Return the fields of every object type below Pod, by the type's name."""
    table = orjson.loads(files(__package__).joinpath("pod_schema.json").read_bytes())
    return {name: {field: _field(raw) for field, raw in fields.items()} for name, fields in table.items()}
