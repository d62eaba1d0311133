"""Reading ClusterColocationProfiles: every field, and what is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.reviews import strategies
from tests.builders import mutate, mutated, pod, profile
from webhook.admission.profiles.profile import FIELDS, ProfileError, read_profile
from webhook.admission.response import respond
from webhook.protocol import set_by_controllers

EXAMPLES = {
    "namespaceSelector": {"matchLabels": {"a": "b"}},
    "selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
    "probability": "50%",
    "labels": {"a": "b"},
    "annotations": {"a": "any text"},
    "labelKeysMapping": {"a": "b"},
    "annotationKeysMapping": {"a": "b"},
    "labelSuffixes": {"a": "-x"},
    "schedulerName": "koord-scheduler",
    "qosClass": "BE",
    "priorityClassName": "koord-batch",
    "koordinatorPriority": 1000,
    "patch": {"spec": {"hostNetwork": False}},
}
WRONG = {
    "namespaceSelector": [[], "a", {"matchExpressions": [{"key": "a", "operator": "Is"}]}],
    "selector": [[], 1, {"matchLabels": {"a": 1}}],
    "probability": [-1, 101, "101%", "50", "-1%", "5.5%", "x", 0.5, True, [], "٥%", "1000%"],
    "labels": [[], {"a": 1}, {"a": None}, {"a b": "c"}, {"a": "b c"}, {"a": "x" * 64}],
    "annotations": [[], {"a": 1}, {"a b": "c"}],
    "labelKeysMapping": ["x", {"a": 1}, {"a": "b c"}, {"": "b"}],
    "annotationKeysMapping": [7, {"a": []}, {"a/b/c": "d"}],
    "labelSuffixes": [[], {"a": 1}, {"a b": "-x"}],
    "schedulerName": [1, [], "Not A Name"],
    "qosClass": ["be", "BestEffort", 1],
    "priorityClassName": [1, "A_B"],
    "koordinatorPriority": ["1", 1.5, True, 2**31, -(2**31) - 1],
    "patch": [[], "x", {"spec": []}, {"spec": {"priority": "x"}}],
}


def test_the_tables_above_know_every_field() -> None:
    """Each field of spec has an example and mistakes."""
    assert set(EXAMPLES) == set(WRONG) == set(FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_read(field) -> None:
    """A profile with one field differs from one without, and is ready."""
    read = read_profile(profile("p", **{field: EXAMPLES[field]}))
    assert read.ready
    assert read.notes == ()
    assert read != read_profile(profile("p"))


@pytest.mark.parametrize("field", FIELDS)
def test_null_is_absent(field) -> None:
    """A field that is null is not there."""
    assert read_profile(profile("p", **{field: None})) == read_profile(profile("p"))


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in WRONG.items() for v in values])
def test_mistakes(field, value) -> None:
    """Admission §3.10: a profile with a mistake is kept, not ready, never applied, and says why."""
    raw = profile("faulty", **{field: value})
    read = read_profile(raw)
    assert not read.ready
    assert read.problems[0].startswith(f"spec.{field}")
    assert mutate(pod(labels={"a": "b"}), raw).patch() == []


@pytest.mark.parametrize(
    ("value", "percent"), [(0, 0), (1, 1), (100, 100), ("0%", 0), ("7%", 7), ("100%", 100), (None, 100)]
)
def test_probability(value, percent) -> None:
    """Admission §2: an int or a percent, both in hundredths."""
    assert read_profile(profile(probability=value)).probability == percent


def test_unknown_fields_are_noted() -> None:
    """A field nobody knows is reported and does no harm."""
    read = read_profile(profile(qosclass="BE"))
    assert read.ready
    assert "qosclass" in read.notes[0].message


@pytest.mark.parametrize("name", [None, "", "A", "a b", "a_b", "-a", "x" * 254, 7, "a\n"])
def test_names(name) -> None:
    """A profile without a valid name cannot be kept."""
    raw = profile()
    raw["metadata"]["name"] = name
    with pytest.raises(ProfileError, match=r"metadata\.name"):
        read_profile(raw)


@pytest.mark.parametrize("raw", [{}, {"metadata": None}, {"metadata": []}])
def test_profiles_without_metadata(raw) -> None:
    """No metadata, no name, no profile."""
    with pytest.raises(ProfileError):
        read_profile(raw)


@pytest.mark.parametrize("spec", [None, {}])
def test_an_empty_spec_matches_everything_and_does_nothing(spec) -> None:
    """Admission §2: absent selectors match all pods."""
    raw = profile("p") | {"spec": spec}
    assert mutate(pod(), raw).applied == ("p",)


@pytest.mark.parametrize("scope", ["workload", "pod"])
def test_the_scope_of_the_probability(scope) -> None:
    """Admission §3.2: an annotation of the profile says whether the dice are rolled for each workload."""
    read = read_profile(profile(marks={"colocation-webhook.io/probability-scope": scope}))
    assert read.per_workload is (scope == "workload")


def test_an_unknown_scope() -> None:
    """Any other scope is a mistake."""
    assert not read_profile(profile(marks={"colocation-webhook.io/probability-scope": "node"})).ready


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(strategies.keys, inner, max_size=2)),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), anything, max_size=4))
def test_no_profile_breaks_the_reader(spec) -> None:
    """Whatever stands in a spec, the profile is read, and a pod is answered."""
    raw = profile("p", **{k: v for k, v in spec.items() if k != "unknown"})
    read_profile(raw)
    respond(mutate(pod(labels={"app": "web"}), raw).response())


# Labels that Kubernetes 1.37 sets on pods of its controllers.
OWNED = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/job-completion-index",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
]
# Each way of a profile to write, rewrite or remove the label with a key.
WRITERS = {
    "labels": lambda key: {"labels": {key: "x"}},
    "labelKeysMapping": lambda key: {"labelKeysMapping": {"app": key}},
    "labelSuffixes": lambda key: {"labelSuffixes": {key: "-x"}},
    "patch": lambda key: {"patch": {"metadata": {"labels": {key: "x"}}}},
    "patch, null": lambda key: {"patch": {"metadata": {"labels": {key: None}}}},
    "patch, merge": lambda key: {"patch": {"metadata": {"labels": {"$patch": "merge", key: "x"}}}},
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("key", OWNED)
def test_labels_of_controllers_are_left_alone(key, writer) -> None:
    """Admission §3.10: a profile that changes one is not ready; the message names field, label and remedy."""
    read = read_profile(profile("p", **WRITERS[writer](key)))
    (problem,) = read.problems
    assert problem.startswith(f"spec.{writer.partition(',')[0]}")
    assert f"the label {key} is set by the pod's controller" in problem
    assert "leave this label alone" in problem


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    "key",
    [
        "app",
        "pod-template-hash2",
        "example.com/job-name",
        "example.com/pod-template-hash",
        "my.batch.kubernetes.io/job-name",
        "rollouts-pod-template-hash",
        "app.kubernetes.io/name",
    ],
)
def test_other_labels_are_written(key, writer) -> None:
    """Admission §3.10: a label that only looks like one of a controller is the user's."""
    assert read_profile(profile("p", **WRITERS[writer](key))).ready


@pytest.mark.parametrize(
    "labels", [None, {"$patch": "replace", "a": "b"}, {"$patch": "delete"}, {"$retainKeys": ["a"], "a": "b"}]
)
def test_labels_are_removed_by_name_only(labels) -> None:
    """Admission §3.10: to remove whatever is there takes the labels of controllers too."""
    (problem,) = read_profile(profile("p", patch={"metadata": {"labels": labels}})).problems
    assert problem.startswith("spec.patch.metadata.labels: removes labels that it does not name")
    assert "to null" in problem


CLAIM = {"metadata": {"labels": {"job-name": "x"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}


@pytest.mark.parametrize(
    "spec",
    [
        {"labelKeysMapping": {"job-name": "example.com/job"}},
        {"annotations": {"job-name": "x"}},
        {"annotationKeysMapping": {"a": "job-name"}},
        {"selector": {"matchLabels": {"pod-template-hash": "x"}}},
        {"patch": {"metadata": {"annotations": {"job-name": "x"}}}},
        {"patch": {"metadata": {"annotations": None}}},
        {"patch": {"metadata": {"labels": {}}}},
        {"patch": {"metadata": {"labels": {"a": None}}}},
        {"patch": {"spec": {"nodeSelector": {"job-name": "x", "$patch": "replace"}}}},
        {"patch": {"spec": {"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": CLAIM}}]}}},
    ],
)
def test_what_is_no_label_of_the_pod_is_free(spec) -> None:
    """Admission §3.10: reading a controller's label, and its key at another place, is allowed."""
    assert read_profile(profile("p", **spec)).ready


_KEYS = st.one_of(
    st.sampled_from([*OWNED, "app", "a.b/c"]),
    st.from_regex(r"(batch|apps|statefulset)\.kubernetes\.io/[a-z]{1,9}", fullmatch=True),
)
_PATCHED = st.one_of(
    st.none(),
    st.dictionaries(
        st.one_of(_KEYS, st.sampled_from(["$patch", "$retainKeys"])),
        st.sampled_from([None, "x", "merge", "replace", "delete", [], ["app", "job-name"]]),
        max_size=3,
    ),
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "labels": st.dictionaries(_KEYS, st.just("x"), max_size=2),
            "labelKeysMapping": st.dictionaries(_KEYS, _KEYS, max_size=2),
            "labelSuffixes": st.dictionaries(_KEYS, st.just("-x"), max_size=2),
            "qosClass": st.just("LS"),
            "patch": st.fixed_dictionaries({"metadata": st.fixed_dictionaries({"labels": _PATCHED})}),
        },
    ),
    st.sets(_KEYS),
)
def test_whatever_a_profile_writes_the_labels_of_controllers_stay(spec, keys) -> None:
    """Admission §3.10: with any profile, a pod has the labels of its controller as they came."""
    before = dict.fromkeys(sorted({"app", *OWNED, *keys}), "value")
    after = mutated(pod(labels=before), profile("p", **spec))["metadata"]["labels"]
    assert {k: v for k, v in after.items() if set_by_controllers(k)} == {
        k: v for k, v in before.items() if set_by_controllers(k)
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("selectr", "selector"),
        ("Selector", "selector"),
        ("podSelector", "selector"),
        ("namespaceSelectors", "namespaceSelector"),
        ("namespaceselector", "namespaceSelector"),
        ("label", "labels"),
        ("priorityClass", "priorityClassName"),
    ],
)
def test_a_misspelled_field(written, meant) -> None:
    """Admission §3.11: the field that was probably meant is named."""
    (note,) = read_profile(profile("p", **{written: {"matchLabels": {"a": "b"}}})).notes
    assert note.misspelled
    assert note.message == f"spec.{written}: unknown field, ignored: did you mean {meant!r}?"


def test_a_misspelled_spec() -> None:
    """Admission §3.11: without it, the profile would hold for everybody."""
    raw = {**profile("p"), "specs": {"selector": {"matchLabels": {"a": "b"}}}}
    (note,) = read_profile(raw).notes
    assert note.message == "specs: unknown field, ignored: did you mean 'spec'?"


def laugh(levels=12):
    """A value of a few objects that would be written out as 10^12 elements."""
    value = ["lol"]
    for _ in range(levels):
        value = [value] * 10
    return value


LARGE = [laugh(), {"k": laugh()}, "x" * 10**7, [1] * 10**5, dict.fromkeys(map(str, range(10**5)), 1)]


@pytest.mark.parametrize("value", LARGE, ids=["lists", "map", "text", "numbers", "keys"])
@pytest.mark.parametrize(
    "place",
    [
        *([field] for field in FIELDS),
        *(["selector", each] for each in ("matchLabels", "matchExpressions", "matchNames")),
        *(["selector", "matchExpressions", 0, each] for each in ("key", "operator", "values")),
        *([field, "k"] for field in ("labels", "annotations", "labelKeysMapping", "labelSuffixes")),
        *(["patch", *path] for path in (["$patch"], ["metadata"], ["metadata", "labels"], ["spec"])),
        *(["patch", "spec", each] for each in ("containers", "$retainKeys", "schedulerName", "nodeSelector")),
        *(["patch", "spec", "containers", 0, each] for each in ("name", "env", "resources", "ports")),
        [],
    ],
    ids=lambda place: ".".join(map(str, place)) or "spec",
)
def test_messages_quote_a_part_of_a_large_value(place, value):
    """Wherever it stands, it is not written out: a few short messages say what is wrong."""
    for key in reversed(place):
        value = [value] if key == 0 else {key: value}
    profile = read_profile({"metadata": {"name": "p"}, "spec": value})
    assert len(profile.problems) + len(profile.notes) <= 100
    assert sum(map(len, profile.problems)) < 20_000
