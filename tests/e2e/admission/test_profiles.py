"""Profiles that are wrong are refused when they are written; statuses tell of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.objects import profile
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation

pytestmark = pytest.mark.usefixtures("release")


@pytest.fixture
def profiles(kubectl: Kubectl) -> Iterator[list[str]]:
    """Names of profiles to delete at the end."""
    names: list[str] = []
    yield names
    if names:
        kubectl.delete("ccp", *names)


# Left: what is written. Right: what the refusal has to name, the field and what would be right.
WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "QoS class": ({"qosClass": "FASTER"}, ["spec.qosClass", '"LSE", "LSR", "LS", "BE", "SYSTEM"']),
    "probability": ({"probability": 150}, ["spec.probability", "0 to 100"]),
    "percentage": ({"probability": "150%"}, ["spec.probability", "0%", "100%"]),
    "type": ({"koordinatorPriority": "many"}, ["spec.koordinatorPriority", "integer"]),
    "unknown field": ({"qos": "BE"}, ["spec.qos", "unknown field"]),
    "operator": (
        {"selector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}},
        ["spec.selector.matchExpressions[0].operator", '"In", "NotIn"'],
    ),
    "values": (
        {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        ["spec.selector.matchExpressions[0]", "at least one value"],
    ),
    "no values": (
        {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
        ["spec.namespaceSelector.matchExpressions[0]", "take no values"],
    ),
    "label value": ({"labels": {"a": "not a value"}}, ["spec.labels.a"]),
    "label key": ({"labels": {"not a key": "a"}}, ["spec.labels", "not a key"]),
    "patch": ({"patch": {"spec": {"containers": "none"}}}, ["spec.patch.spec.containers"]),
    "QoS and priority": (
        {"qosClass": "LSR", "priorityClassName": "koord-batch"},
        ["spec.qosClass", "koord-batch", "koord-prod"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_profiles_are_refused(kubectl: Kubectl, case: str) -> None:
    """``kubectl apply`` is refused with a message that names the field and what would be right."""
    spec, named = WRONG[case]
    with pytest.raises(RefusedError) as caught:
        kubectl.apply(profile("wrong", **spec))
    for words in named:
        assert words in str(caught.value)


EVERY_FIELD: Object = {
    "namespaceSelector": {"matchLabels": {"koordinator.sh/enable-colocation": "nowhere"}},
    "selector": {
        "matchLabels": {"app": "none"},
        "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["b", "c"]},
            {"key": "example.com/d", "operator": "NotIn", "values": ["e"]},
            {"key": "f", "operator": "Exists"},
            {"key": "g", "operator": "DoesNotExist"},
        ],
    },
    "probability": "30%",
    "labels": {"example.com/set": "yes", "empty": ""},
    "annotations": {"example.com/note": "any text, in any form"},
    "labelKeysMapping": {"old": "example.com/new"},
    "annotationKeysMapping": {"example.com/old": "new"},
    "labelSuffixes": {"app": "-colocated"},
    "schedulerName": "koord-scheduler",
    "qosClass": "BE",
    "priorityClassName": "koord-batch",
    "koordinatorPriority": 1000,
    "patch": {"spec": {"terminationGracePeriodSeconds": 30}},
}


def test_every_field_is_kept(kubectl: Kubectl, profiles: list[str]) -> None:
    """A profile with every field of Koordinator's definition is stored as it was written."""
    profiles.append("every-field")
    stored = kubectl.apply(profile("every-field", **EVERY_FIELD))
    assert stored["spec"] == EVERY_FIELD


def test_the_example_of_koordinator(kubectl: Kubectl, profiles: list[str]) -> None:
    """A profile as Koordinator's documents show it applies unchanged."""
    profiles.append("colocation-profile-example")
    spec = {
        "namespaceSelector": {"matchLabels": {"koordinator.sh/enable-colocation": "nowhere"}},
        "selector": {"matchLabels": {"koordinator.sh/enable-colocation": "true"}},
        "qosClass": "BE",
        "priorityClassName": "koord-batch",
        "koordinatorPriority": 1000,
        "schedulerName": "koord-scheduler",
        "labels": {"koordinator.sh/mutated": "true"},
        "annotations": {"koordinator.sh/intercepted": "true"},
        "patch": {"spec": {"terminationGracePeriodSeconds": 30}},
    }
    assert kubectl.apply(profile("colocation-profile-example", **spec))["spec"] == spec


def condition(kubectl: Kubectl, name: str, kind: str) -> Object:
    """A condition of a profile; an AssertionError while there is none for its generation."""
    stored = kubectl.get("ccp", name)
    status = stored.get("status", {})
    assert status.get("observedGeneration") == stored["metadata"]["generation"]
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return dict(found)


def row(kubectl: Kubectl, name: str) -> dict[str, str]:
    """The line that ``kubectl get ccp -o wide`` shows of a profile, by its columns."""
    header, line = kubectl.run("get", "ccp", name, "-o", "wide").stdout.splitlines()
    starts = [header.index(column) for column in header.split()]
    ends = [*starts[1:], None]
    return {column: line[a:b].strip() for column, a, b in zip(header.split(), starts, ends, strict=True)}


def test_ready(kubectl: Kubectl, profiles: list[str]) -> None:
    """A good profile becomes Ready, and again after each change."""
    profiles.append("good")
    kubectl.apply(profile("good", selector={"matchLabels": {"app": "nothing"}}, qosClass="BE"))
    eventually(lambda: condition(kubectl, "good", "Ready")["status"] == "True", what="Ready")
    kubectl.apply(profile("good", selector={"matchLabels": {"app": "nothing"}}, qosClass="LS"))
    eventually(lambda: condition(kubectl, "good", "Ready")["status"] == "True", what="Ready again")
    assert kubectl.get("ccp", "good")["status"]["observedGeneration"] == 2
    shown = row(kubectl, "good")
    assert shown["QOS"] == "LS"
    assert shown["READY"] == "True"


def test_conflicting(kubectl: Kubectl, profiles: list[str]) -> None:
    """Two profiles that can meet on a pod and disagree name each other, until one is gone."""
    selector = {"matchLabels": {"app": "both"}}
    for name, qos in (("first-of-two", "BE"), ("second-of-two", "LS")):
        profiles.append(name)
        kubectl.apply(profile(name, selector=selector, qosClass=qos))
    for name, other in (("first-of-two", "second-of-two"), ("second-of-two", "first-of-two")):
        eventually(
            lambda name=name: condition(kubectl, name, "Conflicting")["status"] == "True", what="Conflicting"
        )
        shown = row(kubectl, name)
        assert shown["CONFLICTING"] == "True"
        assert other in shown["CONFLICTING-MESSAGE"]
    kubectl.delete("ccp", "second-of-two")
    eventually(
        lambda: condition(kubectl, "first-of-two", "Conflicting")["status"] == "False", what="no longer"
    )


def test_a_missing_priority_class(kubectl: Kubectl, profiles: list[str], release: Installation) -> None:
    """A profile may come before its PriorityClass: it is not Ready until that is there."""
    del release
    profiles.append("early")
    selector = {"matchLabels": {"app": "nothing"}}
    kubectl.apply(profile("early", selector=selector, priorityClassName="comes-later"))
    eventually(lambda: condition(kubectl, "early", "Ready")["status"] == "False", what="not Ready")
    assert "comes-later" in condition(kubectl, "early", "Ready")["message"]
    try:
        kubectl.create(
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": "comes-later"},
                "value": 5001,
            }
        )
        eventually(lambda: condition(kubectl, "early", "Ready")["status"] == "True", what="Ready")
    finally:
        kubectl.delete("priorityclass", "comes-later")
