"""Why a pod was changed, or was not."""

import json

import pytest

from tests.builders import DEFAULTS, batch_profile, container, namespace, pod, profile, read, review, view_of
from webhook.admission.explanation import explain
from webhook.admission.review import Webhook

ABSENT = {"key": "app", "operator": "DoesNotExist"}


def explained(new, *objects, **request) -> dict:
    """Explain a mutation, by way of JSON."""
    answer = explain(Webhook.MUTATE, read(review(new, **request)), view_of(objects), DEFAULTS)
    found: dict = json.loads(json.dumps(answer))
    return found


@pytest.mark.parametrize(
    ("fields", "applied", "reason"),
    [
        ({}, True, "matched"),
        ({"selector": {"matchLabels": {"app": "web"}}}, False, "selector: app=web, the pod has app=etl"),
        ({"selector": {"matchLabels": {"tier": "x"}}}, False, "selector: tier=x, the pod has no tier"),
        ({"selector": {"matchExpressions": [ABSENT]}}, False, "selector: !app, the pod has app=etl"),
        (
            {"namespaceSelector": {"matchLabels": {"team": "web"}}},
            False,
            "namespaceSelector: team=web, the namespace has team=data",
        ),
        ({"qosClass": "be"}, False, "not ready: spec.qosClass"),
        ({"probability": 0}, False, "probability of 0%"),
    ],
)
def test_each_profile_has_a_reason(fields, applied, reason) -> None:
    """Matched, or by which clause not, or not ready, or left out by the dice."""
    answer = explained(pod(labels={"app": "etl"}), profile("p", **fields), namespace(labels={"team": "data"}))
    (told,) = answer["profiles"]
    assert (told["name"], told["applied"]) == ("p", applied)
    assert reason in told["reason"]


def test_each_operation_has_its_causes() -> None:
    """The profile and the field of its spec, or a rule of ours."""
    answer = explained(pod(container(requests={"cpu": "1"})), batch_profile(schedulerName="s"))
    sources = {cause["source"] for operation in answer["operations"] for cause in operation["causes"]}
    assert "batch" in sources
    fields = {cause["field"] for operation in answer["operations"] for cause in operation["causes"]}
    assert {"qosClass", "priorityClassName", "schedulerName"} <= fields


def test_a_denial_is_explained() -> None:
    """Code, reason and message, and the profiles all the same."""
    answer = explained(pod(), profile("p", priorityClassName="missing"))
    assert answer["outcome"] == "denied"
    assert "missing" in answer["denial"]["message"]
    assert len(answer["profiles"]) == 1


def test_a_pod_that_cannot_be_read() -> None:
    """Without labels there is nothing to match; the denial says what is wrong."""
    answer = explained({"metadata": {"labels": 7}}, profile("p"))
    assert answer["profiles"] == []
    assert answer["denial"]["message"].startswith("metadata.labels")


def test_the_labels_of_the_namespace_are_shown() -> None:
    """Those that were asked, also for a namespace that no object describes."""
    assert explained(pod(), namespace=("ghost"))["namespaceLabels"] == {
        "kubernetes.io/metadata.name": "ghost"
    }
