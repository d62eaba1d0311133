"""Labels that a controller's pod brings: changes are found and warned of, and can be turned off."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import DEFAULTS, after, mutate, namespace, pod, profile
from webhook.admission.decision import Decision
from webhook.admission.mutating.relabelling import Owner
from webhook.admission.settings import Mode, Settings

LABELS = {"app": "web", "tier": "front"}
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u-1", "controller": True}
CONTROLLER = Owner("spark-demo", "apps/v1", "ReplicaSet", "web-1", "u-1")

WAYS = {
    "labels": {"labels": {"app": "new"}},
    "labelKeysMapping": {"labelKeysMapping": {"tier": "app"}},
    "labelSuffixes": {"labelSuffixes": {"app": "-colo"}},
    "qosClass": {"qosClass": "BE"},
    "koordinatorPriority": {"koordinatorPriority": 5000},
    "patch sets": {"patch": {"metadata": {"labels": {"app": "new"}}}},
    "patch removes": {"patch": {"metadata": {"labels": {"app": None}}}},
    "two": {"labels": {"app": "new"}, "labelSuffixes": {"tier": "-colo"}},
}
"""Every field that can write, rewrite, map or remove a label."""


def owned(labels=None, owner=OWNER, own=None, **fields):
    """A pod that a controller makes; ``own``: the labels that managedFields lists, all unless given."""
    labels = LABELS if labels is None else labels
    made = pod(labels=labels, **fields)
    made["metadata"]["ownerReferences"] = [owner] if owner else []
    keys = {f"f:{key}": {} for key in (labels if own is None else own)}
    made["metadata"]["managedFields"][0]["fieldsV1"] = {"f:metadata": {"f:labels": {".": {}, **keys}}}
    return made


def kept(*profiles: str) -> Settings:
    """Settings in which these profiles leave the labels of the controller's pods."""
    return Settings(signing_key=DEFAULTS.signing_key, kept_labels={("spark-demo", "u-1"): set(profiles)})


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_change_a_label_is_found_and_warned_of(way) -> None:
    """Whatever field does it; the warning names profile, label and kind."""
    labels = {**LABELS, "koordinator.sh/qosClass": "LS", "koordinator.sh/priority": "1"}
    decision = mutate(owned(labels), profile("p", **WAYS[way]))
    now = after(decision, owned(labels))["metadata"]["labels"]
    changes = {key: now.get(key) for key in labels if now.get(key) != labels[key]}
    assert changes
    assert decision.relabelled == (CONTROLLER, {"p": changes})
    for key in changes:
        assert f'profile "p" changes label {key}: a ReplicaSet that selects by it loses the pod' in (
            decision.warnings
        )


@pytest.mark.parametrize("way", WAYS)
def test_labels_can_be_kept(way) -> None:
    """Then every label that the pod has stays, and nothing is counted; the rest of the profile applies."""
    labels = {**LABELS, "koordinator.sh/qosClass": "LS", "koordinator.sh/priority": "1"}
    changing = profile("p", **WAYS[way], schedulerName="other", annotations={"a": "b"})
    decision = mutate(owned(labels), changing, settings=kept("p"))
    changed = after(decision, owned(labels))
    assert changed["metadata"]["labels"] == labels
    assert changed["metadata"]["annotations"]["a"] == "b"
    assert changed["spec"]["schedulerName"] == "other"
    assert decision.relabelled is None
    assert all("see its condition LabelsKept" in warning for warning in decision.warnings)


TWINS: dict[str, tuple[dict, dict]] = {
    "a label that the pod lacks": ({}, {"labels": {"new": "x"}}),
    "a label set to what it is": ({}, {"labels": {"app": "web"}}),
    "a mapping to a new label": ({}, {"labelKeysMapping": {"app": "copy"}}),
    "no controller": ({"owner": None}, {"labels": {"app": "new"}}),
    "an owner that is no controller": ({"owner": OWNER | {"controller": False}}, {"labels": {"app": "new"}}),
    "another webhook's label": ({"own": ["tier"]}, {"labels": {"app": "new"}}),
    "an annotation": ({}, {"annotations": {"app": "new"}}),
    "an owner without a uid": ({"owner": OWNER | {"uid": ""}}, {"labels": {"app": "new"}}),
    "an owner of an impossible name": ({"owner": OWNER | {"uid": "u" * 1000}}, {"labels": {"app": "new"}}),
    "an owner of a wrong type": ({"owner": OWNER | {"kind": 1}}, {"labels": {"app": "new"}}),
}


@pytest.mark.parametrize("twin", TWINS)
def test_what_costs_no_controller_its_pods_is_not_counted(twin) -> None:
    """Neither a warning nor a count."""
    pod_fields, profile_fields = TWINS[twin]
    decision = mutate(owned(**pod_fields), profile("p", **profile_fields))
    assert decision.denial is None
    assert decision.relabelled is None
    assert decision.warnings == ()


def test_a_review_without_managed_fields_counts_all_labels() -> None:
    """Nothing says which labels the request brought."""
    made = owned()
    made["metadata"]["managedFields"] = []
    assert mutate(made, profile("p", labels={"app": "new"})).relabelled is not None


def test_each_profile_is_held_to_what_it_changes() -> None:
    """Labels are kept from one profile; the other goes on, and is counted alone."""
    both = profile("a", labels={"app": "a"}), profile("b", labels={"app": "b", "tier": "b"})
    decision = mutate(owned(), *both)
    assert decision.relabelled == (CONTROLLER, {"a": {"app": "b"}, "b": {"app": "b", "tier": "b"}})
    decision = mutate(owned(), *both, settings=kept("a"))
    assert decision.relabelled == (CONTROLLER, {"b": {"app": "b", "tier": "b"}})
    decision = mutate(owned(), *both, settings=kept("b"))
    assert after(decision, owned())["metadata"]["labels"] == LABELS | {"app": "a"}
    assert decision.relabelled == (CONTROLLER, {"a": {"app": "a"}})


def test_labels_are_kept_for_one_owner_in_one_namespace() -> None:
    """Another owner, and the same uid in another namespace, are not meant."""
    changing = profile("p", labels={"app": "new"})
    other = owned(owner=OWNER | {"uid": "u-2"})
    assert after(mutate(other, changing, settings=kept("p")), other)["metadata"]["labels"]["app"] == "new"
    elsewhere = mutate(owned(), changing, namespace("other"), settings=kept("p"), namespace="other")
    assert after(elsewhere, owned())["metadata"]["labels"]["app"] == "new"


def test_a_second_call_counts_nothing_again() -> None:
    """The API server calls again (reinvocationPolicy); labels were changed by the first call."""
    changing = profile("p", labelSuffixes={"app": "-colo"})
    first = after(mutate(owned(), changing), owned())
    second = mutate(first, changing)
    assert second.reinvoked
    assert second.relabelled is None
    assert second.warnings == ()


def test_audit_mode_warns() -> None:
    """What would be changed is warned of, as everything else is."""
    decision: Decision = mutate(
        owned(), profile("p", labels={"app": "new"}), settings=Settings(mode=Mode.AUDIT)
    )
    assert decision.audited
    assert any("changes label app" in warning for warning in decision.warnings)


KEYS = st.sampled_from(["app", "tier", "a.b/c", "x"])
VALUES = st.sampled_from(["web", "front", "z"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(KEYS, VALUES, max_size=3),
        "labelKeysMapping": st.dictionaries(KEYS, KEYS, max_size=2),
        "labelSuffixes": st.dictionaries(KEYS, st.just("-s"), max_size=2),
        "patch": st.dictionaries(KEYS, st.none() | VALUES, max_size=3).map(
            lambda labels: {"metadata": {"labels": labels}}
        ),
    },
)


SUFFIX = {"labelSuffixes": {"app": "-s"}}


@example(present={"app": "web"}, profiles=[SUFFIX, {**SUFFIX, "labels": {"app": "web"}}], held={1})
@given(
    present=st.dictionaries(KEYS, VALUES, max_size=4),
    profiles=st.lists(FIELDS, min_size=1, max_size=3),
    held=st.sets(st.integers(0, 2)),
)
def test_random_profiles_change_what_was_found_and_nothing_that_is_kept(present, profiles, held) -> None:
    """What differs in the end is what was found; with all profiles held, no label of the pod changes."""
    objects = [profile(f"p{i}", **fields) for i, fields in enumerate(profiles)]
    decision = mutate(owned(present), *objects, settings=kept(*(f"p{i}" for i in held)))
    now = after(decision, owned(present))["metadata"].get("labels", {})
    changed = {key for key in present if now.get(key) != present[key]}
    found = decision.relabelled
    assert changed == {key for changes in (found.changes if found else {}).values() for key in changes}
    if found is not None:
        assert not {f"p{i}" for i in held} & set(found.changes)
    if held >= set(range(len(profiles))):
        assert changed == set()
