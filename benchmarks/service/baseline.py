"""The naive webhook every figure is compared with: what a first afternoon with Flask would give.

Flask's routing, ``json`` both ways, a deep copy of the pod, and ``jsonpatch.make_patch`` for the
difference, under gunicorn's gthread worker. It knows one profile and the translation of cpu and
memory, nothing else.
"""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import flask
import jsonpatch

LABELS = {"koordinator.sh/qosClass": "BE", "koordinator.sh/priority": "1000"}
RESOURCES = {"cpu": "kubernetes.io/batch-cpu", "memory": "kubernetes.io/batch-memory"}

app = flask.Flask(__name__)


@app.post("/mutate")
def mutate() -> flask.Response:
    """Answer a review the obvious way: change a copy, then ask for the difference."""
    request = flask.request.get_json()["request"]
    pod = request["object"]
    changed = copy.deepcopy(pod)
    if pod["metadata"].get("labels", {}).get("spark-role"):
        _change(changed)
    patch = jsonpatch.make_patch(pod, changed)
    answer: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    if patch.patch:
        answer["patchType"] = "JSONPatch"
        answer["patch"] = base64.b64encode(patch.to_string().encode()).decode()
    return flask.jsonify({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})


def _change(pod: dict[str, Any]) -> None:
    pod["metadata"].setdefault("labels", {}).update(LABELS)
    spec = pod["spec"]
    spec["schedulerName"] = "koord-scheduler"
    spec["priorityClassName"] = "koord-batch"
    spec["priority"] = 5999
    extended: dict[str, Any] = {"containers": {}}
    for container in spec.get("initContainers", []) + spec["containers"]:
        resources = container.setdefault("resources", {})
        for kind in ("requests", "limits"):
            figures = resources.get(kind, {})
            for native, name in RESOURCES.items():
                if native in figures:
                    figures[name] = _translated(native, figures.pop(native))
        extended["containers"][container["name"]] = resources
    annotations = pod["metadata"].setdefault("annotations", {})
    annotations["node.koordinator.sh/extended-resource-spec"] = json.dumps(extended)


def _translated(native: str, quantity: str) -> str:
    if native == "memory":
        return quantity
    return quantity[:-1] if quantity.endswith("m") else str(int(float(quantity) * 1000))
