"""The one door: the form of the answer, audit mode, what is not ours, what is told."""

import base64
import json
from dataclasses import FrozenInstanceError, replace

import pytest

from tests.builders import (
    DEFAULTS,
    after,
    batch_profile,
    container,
    mutate,
    mutated,
    namespace,
    pod,
    profile,
    read,
    review,
    validate,
)
from webhook.admission.decision import MAX_WARNING, decide
from webhook.admission.response import respond
from webhook.admission.review import Webhook
from webhook.admission.settings import Mode
from webhook.admission.view import View

AUDIT = replace(DEFAULTS, mode=Mode.AUDIT)
BATCH = batch_profile()
NEW = pod(container(requests={"cpu": "1"}))
REFUSED = batch_profile("faulty", labelSuffixes={"app": "-colo"})


def test_the_answer() -> None:
    """Admission §1: uid echoed, allowed, a JSON Patch in base64, the applied profiles for the audit log."""
    decision = mutate(NEW, BATCH, profile("also"), uid="the-uid")
    answer = json.loads(respond(decision.response()).body)
    assert (answer["kind"], answer["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
    response = answer["response"]
    assert response["uid"] == "the-uid"
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == decision.patch()
    assert response["auditAnnotations"] == {"profiles": "also,batch"}
    assert "warnings" not in response


def test_no_patch_where_nothing_changes() -> None:
    """Admission §1: a patch only when there is something to change."""
    assert mutate(NEW, uid="u").response() == {"uid": "u", "allowed": True}


def test_a_denial() -> None:
    """Admission §1: allowed is false, with code, reason and a message; no patch beside it."""
    decision = mutate(pod(labels={"app": "a" * 60}), REFUSED)
    response = decision.response()
    assert response["allowed"] is False
    assert response["status"]["status"] == "Failure"
    assert 400 <= response["status"]["code"] < 500
    assert response["status"]["reason"]
    assert '"faulty"' in response["status"]["message"]
    assert "patch" not in response


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        (mutate(NEW), "allowed"),
        (mutate(NEW, BATCH), "patched"),
        (mutate(pod(labels={"app": "a" * 60}), REFUSED), "denied"),
        (mutate(NEW, BATCH, settings=AUDIT), "would_patch"),
        (mutate(pod(labels={"app": "a" * 60}), REFUSED, settings=AUDIT), "would_deny"),
    ],
)
def test_the_outcome_in_a_word(decision, outcome) -> None:
    """Metrics and log name the outcome."""
    assert decision.outcome == outcome
    assert decision.log_fields()["outcome"] == outcome
    json.dumps(decision.log_fields())


def test_audit_mode() -> None:
    """Audit: nothing patched or denied; the warning says what would be and names the profile."""
    patched = mutate(NEW, BATCH, settings=AUDIT).response()
    denied = mutate(pod(labels={"app": "a" * 60}), REFUSED, settings=AUDIT).response()
    judged = validate(pod(labels={"koordinator.sh/qosClass": "be"}), settings=AUDIT).response()
    for response in (patched, denied, judged):
        assert response["allowed"] is True
        assert "patch" not in response
        assert "status" not in response
    assert "batch" in patched["warnings"][0]
    assert "would be changed" in patched["warnings"][0]
    assert "would be denied" in denied["warnings"][0]
    assert "would be denied" in judged["warnings"][0]
    assert patched["auditAnnotations"] == {"profiles-would-apply": "batch"}


def test_warnings_are_cut() -> None:
    """Admission §1: at most 120 characters each, whatever names a user chose."""
    labels = {"koordinator.sh/qosClass": "x" * 5000}
    for settings in (DEFAULTS, AUDIT, replace(DEFAULTS, rules={"qos-class-known": "warn"})):
        for warning in validate(pod(labels=labels), settings=settings).response().get("warnings", ()):
            assert len(warning) <= MAX_WARNING == 120


def test_warnings_are_said_once() -> None:
    """The same warning is not repeated for each container."""
    warnings = validate(
        pod(
            *(container(f"c{i}", requests={"cpu": "1"}) for i in range(9)),
            labels={"koordinator.sh/qosClass": "BE"},
            priority=5000,
        )
    ).warnings
    assert len(set(warnings)) == len(warnings)


@pytest.mark.parametrize(
    "request_fields",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE"},
        {"operation": "CONNECT"},
        {"operation": ""},
        {"subResource": "status"},
        {"subResource": "resize", "operation": "UPDATE"},
        {"subResource": "ephemeralcontainers", "operation": "UPDATE"},
        {"subResource": "binding"},
        {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}},
        {"resource": {"group": "", "version": "v1", "resource": "services"}},
        {"resource": {"group": "", "version": "v2", "resource": "pods"}},
        {"resource": None},
    ],
)
def test_what_is_not_ours_is_allowed_unchanged(request_fields) -> None:
    """Admission §1, Admission §2: only CREATE of pods is changed; the rest is allowed without a patch."""
    assert mutate(NEW, BATCH, uid="u", **request_fields).response() == {"uid": "u", "allowed": True}


def test_a_delete_carries_no_object() -> None:
    """DELETE: the object is null, and both webhooks allow it."""
    for webhook in Webhook:
        decision = decide(webhook, read(review(None, old=NEW, operation="DELETE")), View(), DEFAULTS)
        assert decision.response()["allowed"] is True


def test_namespaces_that_opted_out() -> None:
    """Admission §6: a namespace labelled ``colocation-webhook.io/ignore: "true"`` is out of everything."""
    ignored = namespace(labels={"colocation-webhook.io/ignore": "true"})
    assert mutate(NEW, BATCH, ignored).patch() == []
    assert mutate(NEW, BATCH, namespace(labels={"colocation-webhook.io/ignore": "false"})).patch() != []


def test_mirror_pods_are_left_alone() -> None:
    """A static pod's mirror cannot be changed."""
    assert mutate(pod(annotations={"kubernetes.io/config.mirror": "x"}), BATCH).patch() == []


def test_the_namespace_of_the_request_counts() -> None:
    """Admission §1: the object carries no namespace on CREATE; the request does."""
    selecting = batch_profile(
        namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "spark-demo"}}
    )
    assert mutate(NEW, selecting).applied == ("batch",)
    assert mutate(NEW, selecting, namespace="web").applied == ()


def test_a_namespace_that_no_object_describes() -> None:
    """Admission §3.1: it has the one label the API server gives, and matches nothing else."""
    labelled = batch_profile(namespaceSelector={"matchLabels": {"team": "data"}})
    absent = batch_profile(
        namespaceSelector={"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}
    )
    assert mutate(NEW, labelled, namespace="ghost").applied == ()
    assert mutate(NEW, absent, namespace="ghost").applied == ("batch",)


def test_an_invalid_selector_is_no_match() -> None:
    """Admission §3.1: the profile is skipped, the others apply."""
    broken = batch_profile("broken", selector={"matchExpressions": [{"key": "a", "operator": "Is"}]})
    assert mutate(NEW, broken, profile("fine", labels={"a": "b"})).applied == ("fine",)


def test_generated_names() -> None:
    """Admission §1: a pod without a name (generateName) is changed like any other."""
    new = pod(container(requests={"cpu": "1"}))
    del new["metadata"]["name"]
    new["metadata"]["generateName"] = "web-"
    assert "name" not in mutated(new, BATCH)["metadata"]
    assert mutate(new, BATCH).applied == ("batch",)


def test_operations_name_profile_and_field() -> None:
    """Admission §3.9: each operation can be explained."""
    decision = mutate(NEW, profile("p", schedulerName="koord-scheduler", labels={"a": "b"}))
    causes = {operation.path: operation.causes for operation in decision.operations}
    assert ("p", "schedulerName") in causes["/spec/schedulerName"]


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({}, True),
        ({"qosClass": "BE", "priorityClassName": "koord-batch"}, True),
        ({"qosClass": "be"}, False),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}, False),
        ({"probability": "101%"}, False),
        ({"patch": {"spec": {"containers": "x"}}}, False),
        ({"patch": {"spec": {"noSuchField": 1}}}, True),
        ({"unknownField": 1}, True),
        ({"qosClass": "LSE", "priorityClassName": "koord-batch"}, False),
        ({"qosClass": "BE", "priorityClassName": "koord-prod"}, False),
    ],
)
def test_profiles_are_validated_when_they_are_written(spec, allowed) -> None:
    """Admission §3.10: selectors, ranges, the matrix, and that the patch applies to a Pod."""
    raw = profile("written", **spec)
    resource = {
        "group": "config.koordinator.sh",
        "version": "v1alpha1",
        "resource": "clustercolocationprofiles",
    }
    for fields in ({}, {"old": profile("written"), "operation": "UPDATE"}):
        decision = validate(raw, resource=resource, namespace="", **fields)
        assert decision.response()["allowed"] is allowed
        if not allowed:
            assert "written" in decision.denial
        if spec.keys() & {"unknownField"} or "noSuchField" in str(spec):
            assert decision.warnings
    assert validate(raw, resource=resource, operation="DELETE").response()["allowed"] is True


def test_a_decision_cannot_be_changed() -> None:
    """Decisions and settings are values."""
    with pytest.raises(AttributeError):
        mutate(NEW).uid = "other"
    with pytest.raises(FrozenInstanceError):
        DEFAULTS.mode = Mode.AUDIT


@pytest.mark.parametrize("key", ["resource-status", "device-allocated"])
@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        ({}, True),
        ({"koordinator.sh/qosClass": "BE"}, True),
        ({"koordinator.sh/qosClass": "LS"}, True),
        ({"koordinator.sh/qosClass": "SYSTEM"}, True),
        ({"koordinator.sh/qosClass": "LSR"}, False),
        ({"koordinator.sh/qosClass": "LSE"}, False),
    ],
)
def test_annotations_of_the_scheduler_on_a_new_pod(key, labels, taken) -> None:
    """Admission §3.8: what koordlet would obey is taken off a pod that gets no CPU set, with a warning."""
    name = f"scheduling.koordinator.sh/{key}"
    new = pod(labels=labels, annotations={name: "{}", "note": "kept"})
    decision = mutate(new)
    changed = after(decision, new)
    assert changed["metadata"]["annotations"] == {"note": "kept"} | ({} if taken else {name: "{}"})
    assert bool(decision.warnings) is taken
    assert ("rule scheduler-annotations" in (validate(changed).denial or "")) is not taken


def test_what_a_pod_asks_of_the_scheduler_stays() -> None:
    """CPU sets §6: users write the resource-spec."""
    asking = {"scheduling.koordinator.sh/resource-spec": "{}"}
    assert mutate(pod(annotations=asking)).patch() == []
    assert validate(pod(annotations=asking)).denial is None
