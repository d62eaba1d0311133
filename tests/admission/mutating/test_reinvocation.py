"""Being called twice, and users who would use that to escape a profile."""

import copy
import uuid

import pytest

from tests.builders import (
    DEFAULTS,
    after,
    batch_profile,
    container,
    mutate,
    pod,
    profile,
    resources_of,
)
from webhook.admission.settings import Settings
from webhook.protocol import ANNOTATION_PROFILES as PROFILES
from webhook.protocol import ANNOTATION_PROFILES_SIGNATURE as SIGNATURE

BATCH = batch_profile("batch", selector={"matchLabels": {"app": "etl"}})
HALF = batch_profile("half", probability=50)


def etl(**options):
    """Return a pod that the profile ``batch`` matches."""
    return pod(container(requests={"cpu": "1"}), labels={"app": "etl"}, **options)


def caught(decision) -> bool:
    """Tell whether the profile was applied."""
    return decision.applied == ("batch",) and "koord-batch" in str(decision.patch())


def of_first_call(source=None, **options) -> dict:
    """Return what a first call wrote on a pod that no profile took."""
    source = source or pod(labels={"app": "web"})
    skipping = profile("never", probability=0)
    return after(mutate(source, BATCH, skipping, **options), source)["metadata"]["annotations"]


@pytest.mark.parametrize(
    "written",
    [
        {PROFILES: ""},
        {PROFILES: "", SIGNATURE: ""},
        {PROFILES: "", SIGNATURE: "0" * 32},
        {PROFILES: "never", SIGNATURE: "é" * 16},
        {SIGNATURE: "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace")},
        {PROFILES: "batch,", SIGNATURE: "x"},
    ],
)
def test_annotations_that_a_user_wrote_do_not_count(written) -> None:
    """Admission §3.4: annotations without our signature are overwritten as if they were not there."""
    assert caught(mutate(etl(annotations=written), BATCH))


def test_a_signature_of_another_key_does_not_count() -> None:
    """Admission §3.4: who signs without knowing our key signs for nothing."""
    forged = of_first_call(settings=Settings(signing_key=b"guessed"))
    assert caught(mutate(etl(annotations=forged), BATCH))


def _other_name(_options, new) -> None:
    new["metadata"]["name"] = "pod-2"


def _generated_name(_options, new) -> None:
    new["metadata"]["generateName"] = "pod-"


def _other_time(_options, new) -> None:
    new["metadata"]["managedFields"][0]["time"] = "2026-01-01T00:00:01Z"


def _other_manager(_options, new) -> None:
    new["metadata"]["managedFields"][0]["manager"] = "spark"


def _no_managed_fields(_options, new) -> None:
    del new["metadata"]["managedFields"]


def _other_owner(_options, new) -> None:
    new["metadata"]["ownerReferences"] = [{"uid": "1", "controller": True}]


def _other_namespace(options, _new) -> None:
    options["namespace"] = "web"


def _other_user(options, _new) -> None:
    options["userInfo"] = {"username": "john"}


def _dry_run(options, _new) -> None:
    options["dryRun"] = True


@pytest.mark.parametrize(
    "change",
    [
        _other_name,
        _generated_name,
        _other_time,
        _other_manager,
        _no_managed_fields,
        _other_owner,
        _other_namespace,
        _other_user,
        _dry_run,
    ],
)
def test_annotations_copied_from_another_pod_do_not_count(change) -> None:
    """Admission §3.4: what was signed for one request does not verify on another one."""
    options, new = {}, etl(annotations=of_first_call())
    change(options, new)
    assert caught(mutate(new, BATCH, **options))


def test_annotations_copied_onto_a_pod_with_other_labels_do_not_count() -> None:
    """Admission §3.4: a dry run or an earlier pod of the same name, without the label, frees no later pod.

    A user can create a pod, read its annotations, delete it and create it again under the
    same name: only the time in managedFields differs, and that the API server writes.
    """
    new = etl(annotations=of_first_call())
    new["metadata"]["managedFields"][0]["time"] = "2026-01-01T00:01:00Z"
    assert caught(mutate(new, BATCH))


def test_parts_of_the_signed_text_cannot_change_places() -> None:
    """Admission §3.4: a name that looks like two parts signs something else than the two parts."""
    source = pod(labels={"app": "web"})
    source["metadata"] |= {"name": "a", "generateName": "bc"}
    written = of_first_call(source)
    new = etl(annotations=written)
    new["metadata"] |= {"name": "ab", "generateName": "c"}
    assert caught(mutate(new, BATCH))


def test_the_list_of_profiles_is_signed() -> None:
    """Admission §3.4: the annotation that names the profiles cannot be changed after it was signed."""
    first = after(mutate(etl(), BATCH), etl())
    first["metadata"]["annotations"][PROFILES] = ""
    assert mutate(first, BATCH).applied == ("batch",)


def test_the_profiles_of_the_first_call_stay() -> None:
    """Admission §3.4: a label that another webhook sets in between brings no profile, takes none away."""
    second_profile = profile("web", selector={"matchLabels": {"app": "web"}}, labels={"web": "yes"})
    changed = after(mutate(etl(), BATCH, second_profile), etl())
    changed["metadata"]["labels"]["app"] = "web"
    decision = mutate(changed, BATCH, second_profile)
    assert decision.applied == ("batch",)
    assert decision.patch() == []


def test_suffixes_are_appended_once() -> None:
    """Admission §3.4: labelSuffixes do not grow with each call."""
    suffix = profile("suffix", labelSuffixes={"app": "-colo"})
    first = after(mutate(etl(), suffix), etl())
    assert first["metadata"]["labels"]["app"] == "etl-colo"
    assert mutate(first, suffix).patch() == []


def test_suffixes_that_a_user_foresaw() -> None:
    """Admission §3.4: a label that already ends in the suffix gets it all the same on a first call."""
    new = pod(labels={"app": "etl-colo"})
    suffix = profile("suffix", labelSuffixes={"app": "-colo"})
    assert after(mutate(new, suffix), new)["metadata"]["labels"]["app"] == "etl-colo-colo"


def test_the_priority_is_not_taken_away_by_a_second_call() -> None:
    """Admission §3.4: built-in plugins run no third time, so a second call leaves spec.priority alone."""
    changed = after(mutate(etl(), BATCH), etl())
    changed["spec"]["containers"].append(container("mesh", requests={"cpu": "100m"}))
    decision = mutate(changed, BATCH)
    assert decision.patch() != []
    assert not [o for o in decision.operations if "riority" in o.path]
    assert after(decision, changed)["spec"]["priority"] == 5000


def test_a_sidecar_added_in_between_is_translated() -> None:
    """Admission §3.4: what others added is treated, and nothing else is written."""
    changed = after(mutate(etl(), BATCH), etl())
    changed["spec"]["containers"].append(container("mesh", requests={"cpu": "100m", "memory": "1Gi"}))
    decision = mutate(changed, BATCH)
    assert {o.path.split("/")[3] for o in decision.operations if o.path.startswith("/spec")} == {"1"}
    assert resources_of(after(decision, changed), 1)["requests"] == {
        "kubernetes.io/batch-cpu": "100",
        "kubernetes.io/batch-memory": "1Gi",
    }


def test_annotations_written_where_no_profile_matches_are_removed() -> None:
    """A pod that no profile matches carries no traces of ours."""
    new = pod(annotations={PROFILES: "batch", SIGNATURE: "x", "note": "kept"})
    assert after(mutate(new, BATCH), new)["metadata"]["annotations"] == {"note": "kept"}


def test_a_profile_removed_between_the_calls_does_no_harm() -> None:
    """The second call translates as decided on the first, though the profile is gone."""
    changed = after(mutate(etl(), BATCH), etl())
    assert mutate(changed).patch() == []


def test_probability_is_decided_once() -> None:
    """Admission §3.2: whatever the dice said on the first call holds on the second, under any uid."""
    for i in range(60):
        new = etl()
        first = mutate(new, HALF, uid=f"first-{i}")
        changed = after(first, new)
        for j in range(5):
            second = mutate(changed, HALF, uid=f"second-{i}-{j}")
            assert second.applied == first.applied
            assert second.patch() == []


def test_no_traces_but_ours_where_the_dice_left_every_profile_out() -> None:
    """Admission §3.2: a profile left out has no effect: no label, no translation, no annotation but ours."""
    new = etl()
    changed = after(mutate(new, batch_profile("never", probability=0)), new)
    remembered = changed["metadata"].pop("annotations")
    assert set(remembered) <= {PROFILES, SIGNATURE}
    assert changed == {**new, "metadata": {k: v for k, v in new["metadata"].items() if k != "annotations"}}


def test_the_dice_cannot_be_loaded_by_annotations() -> None:
    """Admission §3.4: annotations of a pod that the dice left out do not free a pod of another request."""
    lucky = next(
        after(decision, etl())
        for decision in (mutate(etl(), HALF, uid=str(uuid.UUID(int=i))) for i in range(100))
        if not decision.applied
    )
    taken = 0
    for i in range(200):
        new = copy.deepcopy(lucky)
        new["metadata"]["name"] = f"pod-{i}"
        taken += bool(mutate(new, HALF, uid=str(uuid.UUID(int=1000 + i))).applied)
    assert 60 < taken < 140


def test_the_signature_fits_whatever_a_review_may_hold() -> None:
    """Strange owners, times and names are signed, not tripped over."""
    new = etl()
    new["metadata"] |= {
        "ownerReferences": [{}, {"uid": 7}, {"uid": None}],
        "managedFields": [{}, {"time": 3}, {"manager": {"a": 1}}],
        "name": "né",
    }
    first = mutate(new, BATCH, settings=DEFAULTS)
    assert caught(first)
    assert mutate(after(first, new), BATCH).patch() == []


def listed(new, *, brought: bool = True) -> dict:
    """Return a pod with managedFields as the API server writes them, ``brought``: of our annotations, too."""
    metadata = new["metadata"]
    fields = {}
    for field in ("labels", "annotations"):
        keys = [k for k in metadata.get(field) or {} if brought or k not in (PROFILES, SIGNATURE)]
        fields |= {f"f:{field}": {".": {}} | {f"f:{key}": {} for key in keys}} if keys else {}
    entry = {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z"}
    metadata["managedFields"] = [entry | {"fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": fields}}]
    return new


def rich() -> dict:
    """Return a pod in which each of the profiles below changes something."""
    return pod(
        container(
            env=[{"name": "A", "value": "0"}, {"name": "GONE"}],
            requests={"cpu": "1"},
            limits={"cpu": "2", "example.com/fpga": "1"},
        ),
        labels={"app": "etl", "team": "x"},
        annotations={"note": "n"},
        nodeSelector={"pool": "prod", "disk": "ssd"},
        tolerations=[{"key": "own"}],
        affinity={"nodeAffinity": {}},
        schedulerName="default-scheduler",
    )


def main(**fields) -> dict:
    """Return a patch of the container main."""
    return {"spec": {"containers": [{"name": "main", **fields}]}}


OWNER = {"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "1"}
EFFECTS = {
    "labels": {"labels": {"team": "y", "new": "z"}},
    "annotations": {"annotations": {"note": "m", "new": "z"}},
    "labelKeysMapping": {"labelKeysMapping": {"app": "mapped"}},
    "a chain of mappings": {"labels": {"a": "1"}, "labelKeysMapping": {"a": "b", "b": "c"}},
    "annotationKeysMapping": {"annotationKeysMapping": {"note": "mapped"}},
    "a mapping onto the user's own": {"annotationKeysMapping": {"note": "own"}, "annotations": {"own": "1"}},
    "labelSuffixes": {"labelSuffixes": {"app": "-colo"}},
    "labels and labelSuffixes": {"labels": {"team": "y"}, "labelSuffixes": {"team": "-colo"}},
    "schedulerName": {"schedulerName": "koord-scheduler"},
    "qosClass": {"qosClass": "LS"},
    "priorityClassName": {"priorityClassName": "koord-batch"},
    "koordinatorPriority": {"koordinatorPriority": 7},
    "translation": {"qosClass": "BE", "priorityClassName": "koord-batch"},
    "nodeSelector": {"patch": {"spec": {"nodeSelector": {"pool": "batch"}}}},
    "nodeSelector replaced": {"patch": {"spec": {"nodeSelector": {"$patch": "replace", "pool": "batch"}}}},
    "nodeSelector kept": {"patch": {"spec": {"nodeSelector": {"$retainKeys": ["disk"]}}}},
    "nodeSelector emptied": {"patch": {"spec": {"nodeSelector": {"$patch": "delete"}}}},
    "affinity removed": {"patch": {"spec": {"affinity": None}}},
    "tolerations": {"patch": {"spec": {"tolerations": [{"key": "batch", "operator": "Exists"}]}}},
    "env": {"patch": main(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])},
    "env removed": {"patch": main(env=[{"name": "GONE", "$patch": "delete"}])},
    "env in order": {"patch": main(**{"$setElementOrder/env": [{"name": "GONE"}, {"name": "A"}]})},
    "an order for what is new": {
        "patch": main(
            ports=[{"containerPort": 1}, {"containerPort": 2}],
            **{"$setElementOrder/ports": [{"containerPort": 2}, {"containerPort": 1}]},
        )
    },
    "image": {"patch": main(image="other")},
    "a sidecar": {"patch": {"spec": {"containers": [{"name": "agent", "image": "agent"}]}}},
    "a volume": {"patch": {"spec": {"volumes": [{"name": "scratch", "emptyDir": {}}]}}},
    "requests": {"patch": main(resources={"requests": {"cpu": "2"}})},
    "requests of a batch pod": {
        "qosClass": "BE",
        "priorityClassName": "koord-batch",
        "patch": main(resources={"requests": {"memory": "1Gi"}}),
    },
    "labels of the patch": {"patch": {"metadata": {"labels": {"team": None, "new": "z"}}}},
    "annotations of the patch": {"patch": {"metadata": {"annotations": {"note": None, "new": "z"}}}},
    "annotations emptied": {"annotations": {"a": "b"}, "patch": {"metadata": {"annotations": None}}},
    "owners": {"patch": {"metadata": {"ownerReferences": [OWNER]}}, "labelSuffixes": {"app": "-x"}},
}
# What takes lists and resources away is done on the first call only.
ONCE = {
    "volumes replaced": {
        "patch": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}, {"$patch": "replace"}]}}
    },
    "no volumes": {"patch": {"spec": {"volumes": None}}},
    "no init containers": {"patch": {"spec": {"initContainers": None}}},
    "no tolerations": {"patch": {"spec": {"tolerations": []}}},
    "limits replaced": {"patch": main(resources={"limits": {"$patch": "replace", "memory": "1Gi"}})},
    "no limits of a batch pod": {
        "qosClass": "BE",
        "priorityClassName": "koord-batch",
        "patch": main(resources={"limits": None, "requests": {"kubernetes.io/batch-cpu": "5"}}),
    },
    "no resources": {"patch": main(resources=None)},
}


def unsigned(changed) -> dict:
    """Return a pod without annotations of ours, and without what is empty."""
    bare = copy.deepcopy(changed)
    for key in (PROFILES, SIGNATURE):
        bare["metadata"].get("annotations", {}).pop(key, None)
    for part in (bare["metadata"], bare["spec"]):
        for key in [key for key, value in part.items() if value in ({}, [])]:
            del part[key]
    del bare["metadata"]["managedFields"]
    return bare


@pytest.mark.parametrize("brought", [True, False], ids=["listed", "not listed"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_what_a_first_call_signed_frees_no_other_pod(effect, brought) -> None:
    """Admission §3.4: a pod of the same second and names that brings those annotations gets the profile."""
    taking = profile(**EFFECTS[effect])
    source = listed(rich())
    treated = after(mutate(source, taking), source)
    assert unsigned(treated) != unsigned(source)
    copied = rich()
    copied["metadata"]["annotations"] |= {
        key: treated["metadata"]["annotations"][key] for key in (PROFILES, SIGNATURE)
    }
    copied = listed(copied, brought=brought)
    assert unsigned(after(mutate(copied, taking), copied)) == unsigned(treated)


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_pod_that_looks_treated_by_its_metadata_only(effect) -> None:
    """Admission §3.4: with the metadata of a treated pod, the spec of another one is changed as well."""
    taking = profile(**EFFECTS[effect])
    source = listed(rich())
    treated = after(mutate(source, taking), source)
    copied = {**rich(), "metadata": copy.deepcopy(treated["metadata"])}
    assert unsigned(after(mutate(copied, taking), copied)) == unsigned(treated)


@pytest.mark.parametrize("effect", EFFECTS | ONCE)
def test_an_honest_second_call_changes_nothing(effect) -> None:
    """Admission §3.4: every field of a profile is applied once or gives the same again."""
    taking = profile(**(EFFECTS | ONCE)[effect])
    source = listed(rich())
    treated = after(mutate(source, taking), source)
    second = mutate(treated, taking)
    assert second.reinvoked
    assert second.patch() == []


@pytest.mark.parametrize("effect", EFFECTS | ONCE)
def test_what_others_added_in_between_stays(effect) -> None:
    """Admission §3.4: default tolerations, injected containers, volumes and labels are left as they are."""
    taking = profile(**(EFFECTS | ONCE)[effect])
    source = listed(rich())
    changed = after(mutate(source, taking), source)
    spec, metadata = changed["spec"], changed["metadata"]
    spec["tolerations"] = [*spec.get("tolerations", []), {"key": "node.kubernetes.io/not-ready"}]
    spec["volumes"] = [*spec.get("volumes", []), {"name": "token"}]
    spec["initContainers"] = [container("mesh-init")]
    spec["containers"].append(container("mesh"))
    metadata["labels"] = metadata.get("labels", {}) | {"mesh": "yes"}
    metadata["annotations"] |= {"mesh": "yes"}
    second = mutate(changed, taking)
    assert second.reinvoked
    assert second.patch() == []


def test_a_profile_undone_by_the_next_one() -> None:
    """Admission §3.4: profiles are applied again in order, so what one adds and the next removes is gone."""
    adding = {"spec": {"volumes": [{"name": "v"}], "nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}]}}
    removing = {
        "spec": {"volumes": [{"$patch": "replace"}], "nodeSelector": None, "tolerations": [{"key": "b"}]}
    }
    cluster = [profile("a", patch=adding), profile("b", patch=removing)]
    source = listed(rich())
    treated = after(mutate(source, *cluster), source)
    treated["spec"]["tolerations"].append({"key": "node.kubernetes.io/not-ready"})
    assert mutate(treated, *cluster).patch() == []
