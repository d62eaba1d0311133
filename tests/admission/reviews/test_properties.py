"""Random pods under random profiles: what is true of every one of them."""

import copy
import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.admission.reviews import strategies
from tests.admission.reviews.pod_model import intended, plain
from tests.admission.reviews.translation_model import Refused
from tests.builders import DEFAULTS, after, batch_profile, priority_class, read, review, view_of
from webhook.admission.decision import Decision, decide
from webhook.admission.explanation import explain
from webhook.admission.podedit import check_shape
from webhook.admission.review import Webhook
from webhook.admission.settings import Settings
from webhook.pods.quantities import parse, text_of

SETTINGS = DEFAULTS
BATCH = [batch_profile(), priority_class("koord-batch", 5000)]


def asked(pod, cluster, namespace="spark-demo", **request) -> Decision:
    """Ask the mutating webhook."""
    return decide(
        Webhook.MUTATE, read(review(pod, namespace=namespace, **request)), view_of(cluster), SETTINGS
    )


def modelled(pod, cluster, namespace="spark-demo"):
    """Return the pod as the model wants it, None where it is refused."""
    try:
        return intended(review(pod, namespace=namespace), cluster)
    except Refused:
        return None


@given(strategies.pods, strategies.clusters, st.sampled_from(strategies.NAMESPACES))
def test_the_patch_gives_the_intended_pod(pod, cluster, namespace) -> None:
    """Applied by an independent library, the patch gives what the plain model says."""
    decision = asked(pod, cluster, namespace)
    wanted = modelled(pod, cluster, namespace)
    if wanted is None:
        assert decision.denial is not None
    else:
        changed = after(decision, pod)
        assert plain(changed) == plain(wanted)
        assert (changed["metadata"].get("labels") or {}) == wanted["metadata"]["labels"]


@given(strategies.pods, strategies.clusters)
def test_the_pod_that_came_in_is_not_written_to(pod, cluster) -> None:
    """The review's object is the same after the decision as before, on both webhooks."""
    given_review = read(review(pod))
    before = copy.deepcopy(given_review)
    for webhook in Webhook:
        decide(webhook, given_review, view_of(cluster), SETTINGS)
        assert given_review == before


@given(strategies.pods, strategies.clusters)
def test_operations_are_plain_and_deterministic(pod, cluster) -> None:
    """Only add, replace and remove; the same input, also with keys in another order, gives the same patch."""
    first = asked(pod, cluster, uid="one")
    assert {operation.op for operation in first.operations} <= {"add", "replace", "remove"}
    again = asked(pod, list(reversed(cluster)), uid="one")
    assert json.dumps(first.response()) == json.dumps(again.response())


@given(strategies.pods, strategies.clusters)
def test_every_operation_names_its_cause(pod, cluster) -> None:
    """Each operation is explained by at least one profile's field or rule of ours."""
    for operation in asked(pod, cluster).operations:
        assert operation.causes
        assert all(cause.source for cause in operation.causes)


@given(strategies.pods, strategies.clusters)
def test_the_explanation_is_of_the_same_decision(pod, cluster) -> None:
    """Explaining changes nothing, tells of every profile and can be written as JSON."""
    given_review, view = read(review(pod)), view_of(cluster)
    decision = decide(Webhook.MUTATE, given_review, view, SETTINGS)
    explained = explain(Webhook.MUTATE, given_review, view, SETTINGS)
    json.dumps(explained)
    assert [o["path"] for o in explained["operations"]] == [o.path for o in decision.operations]
    assert [p["name"] for p in explained["profiles"]] == sorted(view.profiles)


@given(strategies.pods, strategies.clusters)
def test_called_twice_changes_once(pod, cluster) -> None:
    """Admission §3.4: a second call, with a uid of its own, finds nothing to do."""
    first = asked(pod, cluster)
    assume(first.denial is None)
    second = asked(after(first, pod), cluster)
    assert second.denial is None
    assert second.patch() == []


@given(strategies.pods, strategies.clusters)
def test_annotations_of_another_pod_change_nothing(pod, cluster) -> None:
    """Admission §3.4: a pod that brings what a first call signed for its twin becomes what the twin is."""

    def listed(each):
        owned = {
            f"f:{field}": {f"f:{key}": {} for key in each["metadata"].get(field) or {}}
            for field in ("labels", "annotations")
        }
        managed = [{"manager": "kubectl", "fieldsV1": {"f:metadata": owned}}]
        return {**each, "metadata": each["metadata"] | {"managedFields": managed}}

    source = listed(pod)
    first = asked(source, cluster)
    assume(first.denial is None and first.applied)
    treated = after(first, source)
    written = treated["metadata"]["annotations"].items()
    ours = {key: value for key, value in written if key.startswith("colocation-webhook.io/")}
    copied = copy.deepcopy(pod)
    copied["metadata"]["annotations"] = (copied["metadata"].get("annotations") or {}) | ours
    copied = listed(copied)
    changed = plain(after(asked(copied, cluster), copied))
    wanted = plain(treated)
    for each in (changed, wanted):
        del each["metadata"]["managedFields"]
    assert changed == wanted


@given(strategies.pods, strategies.clusters, strategies.labels)
def test_labels_that_change_in_between_choose_no_other_profiles(pod, cluster, others) -> None:
    """Admission §3.4: the profiles are those that matched the labels as they first arrived."""
    first = asked(pod, cluster)
    assume(first.denial is None and first.applied)
    changed = after(first, pod)
    changed["metadata"]["labels"] = (changed["metadata"].get("labels") or {}) | others
    assume("koordinator.sh/qosClass" not in others)
    second = asked(changed, cluster)
    assert second.applied == first.applied
    assert second.patch() == []


@given(strategies.pods, strategies.clusters, st.sampled_from(["requests", "limits"]))
def test_only_a_sidecar_that_was_injected_is_treated(pod, cluster, section) -> None:
    """Admission §3.4: a container added between the calls is translated, everything else stays."""
    first = asked(pod, cluster)
    assume(first.denial is None)
    changed = after(first, pod)
    changed["spec"]["containers"].append(
        {"name": "injected", "resources": {section: {"cpu": "100m", "memory": "32Mi"}}}
    )
    second = asked(changed, cluster)
    assert second.denial is None
    place = f"/spec/containers/{len(changed['spec']['containers']) - 1}/"
    spec = "/metadata/annotations"
    assert all(o.path.startswith((place, spec)) for o in second.operations)
    final = after(second, changed)
    assert asked(final, cluster).patch() == []
    if first.translated:
        assert not {"cpu", "memory"} & final["spec"]["containers"][-1]["resources"][section].keys()


A_BARE_NUMBER = {"containers": [
    {"name": "main", "resources": {"requests": {"kubernetes.io/batch-memory": 1073741824}}},
    {"name": "sidecar", "resources": {"limits": {"cpu": "1"}}},
]}  # fmt: skip


def amounts(section) -> dict[str, int]:
    """The quantities of requests or limits, in nano units: 1073741824, "1073741824" and "1Gi" are one."""
    return {name: parse(text_of(raw)) for name, raw in (section or {}).items()}


def asking(pod, section, cpu) -> dict:
    """The pod, whose first container has some CPU in this section: else few random pods are translated."""
    first = pod["spec"]["containers"][0]
    resources = first["resources"] = first.get("resources") or {}
    resources[section] = {"cpu": cpu} | (resources.get(section) or {})
    return pod


@example({"metadata": {"name": "pod-1"}, "spec": A_BARE_NUMBER}, BATCH)
@given(
    st.builds(asking, strategies.pods, st.sampled_from(["requests", "limits"]), strategies.cpus),
    strategies.clusters.map(lambda cluster: cluster + BATCH),
)
def test_limit_range_defaults_go_and_the_figures_of_the_first_call_stay(pod, cluster) -> None:
    """Admission §3.5: LimitRanger's defaults after our patch are removed; what we had written stays."""
    first = asked(pod, cluster)
    assume(first.denial is None and first.translated)
    patched = after(first, pod)
    defaulted = copy.deepcopy(patched)
    for container in defaulted["spec"]["containers"]:
        container["resources"] = container.get("resources") or {}
        for section, cpu, memory in (("requests", "100m", "32Mi"), ("limits", "200m", "64Mi")):
            present = container["resources"][section] = container["resources"].get(section) or {}
            present.setdefault("cpu", cpu)
            present.setdefault("memory", memory)
    final = after(asked(defaulted, cluster), defaulted)
    for was, now in zip(patched["spec"]["containers"], final["spec"]["containers"], strict=True):
        for section in ("requests", "limits"):
            before = amounts((was.get("resources") or {}).get(section))
            left = amounts(now["resources"][section])
            assert not {"cpu", "memory"} & left.keys()
            assert before.items() <= left.items()
    assert asked(final, cluster).patch() == []


@given(strategies.pods, strategies.clusters)
def test_audit_mode_does_nothing(pod, cluster) -> None:
    """In audit mode everything is allowed and nothing patched; a warning says what would be."""
    settings = Settings(mode="audit", signing_key=SETTINGS.signing_key)
    given_review, view = read(review(pod)), view_of(cluster)
    enforced = decide(Webhook.MUTATE, given_review, view, SETTINGS)
    response = decide(Webhook.MUTATE, given_review, view, settings).response()
    assert response["allowed"] is True
    assert "patch" not in response
    assert any("would be" in w for w in response.get("warnings", ())) == bool(
        enforced.denial or enforced.operations
    )


@given(strategies.pods, strategies.clusters)
def test_warnings_are_short(pod, cluster) -> None:
    """Admission §1: no warning is longer than 120 characters, on either webhook."""
    for webhook in Webhook:
        decision = decide(webhook, read(review(pod)), view_of(cluster), SETTINGS)
        assert all(0 < len(warning) <= 120 for warning in decision.warnings)


@given(strategies.pods)
def test_random_pods_have_a_shape(pod) -> None:
    """What these tests are made of passes the check of shapes."""
    check_shape(pod)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_many_profiles_apply_in_the_order_of_their_names(count) -> None:
    """Admission §2: all matching profiles apply, by name, the last one has the last word."""
    cluster = [
        {
            "apiVersion": "config.koordinator.sh/v1alpha1",
            "kind": "ClusterColocationProfile",
            "metadata": {"name": f"p-{i}"},
            "spec": {"labels": {"last": f"p-{i}"}},
        }
        for i in range(count)
    ]
    pod = {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "main"}]}}
    decision = asked(pod, cluster)
    names = sorted(f"p-{i}" for i in range(count))
    assert list(decision.applied) == names
    assert after(decision, pod)["metadata"]["labels"].get("last") == (names[-1] if names else None)
