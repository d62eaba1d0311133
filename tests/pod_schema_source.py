"""Makes ``webhook/admission/pod_schema.json`` from the OpenAPI schema of Kubernetes.

Run ``python -m tests.pod_schema_source > webhook/admission/pod_schema.json`` after the
package kubernetes-validate, which brings the schemas along, has moved on. A test
compares the two.
"""

import json
import re
from importlib.resources import files
from typing import Any

ROOT = "io.k8s.api.core.v1.Pod"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


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


def pod_schema() -> dict[str, dict[str, Any]]:
    """Return, for each object type below Pod, its fields and their types.

    A type is the name of an object type, or string, integer, number, boolean, quantity,
    intstr or any, with ``[]`` (list of) or ``{}`` (map of) before it. A list that a
    strategic merge patch merges is a pair: the type and the merge key, which is ""
    for a list of scalars. The status is left out: a patch cannot set it.
    """
    definitions = _definitions()
    types: dict[str, dict[str, Any]] = {}

    def expression(schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name == QUANTITY:
                return "quantity"
            if name == INT_OR_STRING:
                return "intstr"
            definition = definitions[name]
            if "properties" not in definition:
                kind = definition.get("type", "any")
                kind = kind[0] if isinstance(kind, list) else kind
                return "any" if kind == "object" else kind
            visit(name)
            return _short(name)
        kind = schema.get("type", "any")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "array":
            return "[]" + expression(schema["items"])
        if kind == "object":
            inner = schema.get("additionalProperties")
            return "{}" + expression(inner) if isinstance(inner, dict) else "any"
        return kind

    def visit(name: str) -> None:
        if _short(name) in types:
            return
        fields = types[_short(name)] = {}
        for field, schema in sorted(definitions[name].get("properties", {}).items()):
            if name == ROOT and field == "status":
                continue
            kind = expression(schema)
            strategy = schema.get("x-kubernetes-patch-strategy", "")
            if "merge" in strategy.split(",") and kind.startswith("[]"):
                fields[field] = [kind, schema.get("x-kubernetes-patch-merge-key", "")]
            else:
                fields[field] = kind

    visit(ROOT)
    return dict(sorted(types.items()))


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in pod_schema().items())
    print("{\n" + ",\n".join(lines) + "\n}")
