"""Makes ``webhook/admission/profiles/pod_schema.json`` from the OpenAPI schema of Kubernetes.

Run ``python -m tests.pod_schema_source > webhook/admission/profiles/pod_schema.json`` after the
package kubernetes-validate, which brings the schemas along, has moved on. A test
compares the two.
"""

import json
import re
import sys
from importlib.resources import files
from typing import Any

ROOT = "io.k8s.api.core.v1.Pod"
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intstr",
}


def _definitions() -> dict[str, Any]:
    schemas = files("kubernetes_validate") / "kubernetes-json-schema"
    versions = [
        tuple(map(int, m.groups()))
        for entry in schemas.iterdir()
        if (m := re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)-local", entry.name))
    ]
    newest = "v{}.{}.{}-local".format(*max(versions))
    return json.loads((schemas / newest / "_definitions.json").read_text())["$defs"]


def _short(name: str) -> str:
    return name.rpartition(".")[2]


class _Schema:
    """Collects object types, each once, on the way down from Pod."""

    def __init__(self) -> None:
        self.definitions = _definitions()
        self.types: dict[str, dict[str, Any]] = {}

    def visit(self, name: str) -> str:
        """Collect an object type and all below it; return its short name."""
        if _short(name) not in self.types:
            fields = self.types[_short(name)] = {}
            for field, schema in sorted(self.definitions[name].get("properties", {}).items()):
                if (name, field) != (ROOT, "status"):
                    fields[field] = self.field(schema)
        return _short(name)

    def field(self, schema: dict[str, Any]) -> Any:
        """Return a field's type, with the merge key where a patch merges the list."""
        kind = self.expression(schema)
        if "merge" in schema.get("x-kubernetes-patch-strategy", "").split(",") and kind.startswith("[]"):
            return [kind, schema.get("x-kubernetes-patch-merge-key", "")]
        return kind

    def expression(self, schema: dict[str, Any]) -> str:
        """Return the type of a value."""
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in SPECIAL:
            return SPECIAL[name]
        if name and "properties" in self.definitions[name]:
            return self.visit(name)
        schema = self.definitions[name] if name else schema
        kind = schema.get("type", "any")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "array":
            return "[]" + self.expression(schema["items"])
        inner = schema.get("additionalProperties")
        if kind == "object":
            return "{}" + self.expression(inner) if isinstance(inner, dict) else "any"
        return kind


def pod_schema() -> dict[str, dict[str, Any]]:
    """Return, for each object type below Pod, its fields and their types.

    A type is the name of an object type, or string, integer, number, boolean, quantity,
    intstr or any, with ``[]`` (list of) or ``{}`` (map of) before it. A list that a
    strategic merge patch merges is a pair: the type and the merge key, which is ""
    for a list of scalars. The status is left out: a patch cannot set it.
    """
    schema = _Schema()
    schema.visit(ROOT)
    return dict(sorted(schema.types.items()))


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in pod_schema().items())
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
