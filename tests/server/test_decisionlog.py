"""The log of decisions tells which workload a pod belongs to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.admission.decision import decide
from webhook.admission.review import Webhook, parse_review
from webhook.admission.settings import Settings
from webhook.admission.view import build_view
from webhook.server import decisionlog
from webhook.server.decisionlog import DecisionLog


def line(metadata, name="", form="json"):
    """Return the line of a review of a pod with this metadata."""
    request = {
        "uid": "u", "operation": "CREATE", "namespace": "web", "name": name,
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": {"metadata": metadata, "spec": {}},
    }  # fmt: skip
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    review = parse_review(json.dumps(body).encode())
    decision = decide(Webhook.VALIDATE, review, build_view([]), Settings())
    written = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decisionlog, "write", written.append)
        DecisionLog("info", form).decided("validate", review, decision, 0.001)
    (text,) = written
    return json.loads(text) if form == "json" else text.decode()


OWNER = {"kind": "ReplicaSet", "name": "web-6f", "controller": True}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"generateName": "web-6f-", "ownerReferences": [OWNER]}, ("web-6f-", "ReplicaSet/web-6f")),
        ({"ownerReferences": [{"kind": "Pod", "name": "x"}, OWNER]}, (None, "ReplicaSet/web-6f")),
        ({"ownerReferences": [{"kind": "Pod", "name": "driver"}]}, (None, "Pod/driver")),
        ({"name": "web"}, (None, None)),
        ({"generateName": "x" * 1000}, ("x" * 253, None)),
        ({"generateName": "", "ownerReferences": []}, (None, None)),
    ],
)
def test_a_line_names_the_workload(metadata, expected):
    """It has generateName and the owner that controls the pod, else the first one, if there are any."""
    fields = line(metadata)
    assert (fields.get("generateName"), fields.get("owner")) == expected


def test_the_text_has_it_too():
    """On one line, in the order of the JSON."""
    text = line({"generateName": "web-6f-", "ownerReferences": [OWNER]}, form="text")
    assert " namespace=web generateName=web-6f- owner=ReplicaSet/web-6f " in text


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "name", "controller", "ownerReferences"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(prefix=ANY, owners=ANY)
def test_whatever_a_review_holds_has_its_line(prefix, owners):
    """What has the wrong type is left out."""
    fields = line({"generateName": prefix, "ownerReferences": owners})
    assert fields["namespace"] == "web"
    assert isinstance(fields.get("owner", ""), str)
