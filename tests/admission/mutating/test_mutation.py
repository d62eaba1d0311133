"""What each field of a profile does to a pod."""

import pytest

from tests.builders import after, mutate, mutated, pod, priority_class, profile
from webhook.admission.profiles.profile import read_profile
from webhook.protocol import BUILTIN_PRIORITY_CLASSES

QOS, PRIORITY = "koordinator.sh/qosClass", "koordinator.sh/priority"


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"labels": {"app": "new", "b": "c"}}, {"app": "new", "team": "data", "b": "c"}),
        ({"labelKeysMapping": {"team": "group"}}, {"app": "etl", "team": "data", "group": "data"}),
        ({"labelKeysMapping": {"team": "app"}}, {"app": "data", "team": "data"}),
        ({"labelSuffixes": {"app": "-x", "missing": "-y"}}, {"app": "etl-x", "team": "data"}),
        ({"labelSuffixes": {"app": ""}}, {"app": "etl", "team": "data"}),
        ({"qosClass": "BE"}, {"app": "etl", "team": "data", QOS: "BE"}),
        ({"koordinatorPriority": 1000}, {"app": "etl", "team": "data", PRIORITY: "1000"}),
        ({"koordinatorPriority": 0}, {"app": "etl", "team": "data", PRIORITY: "0"}),
        ({"patch": {"metadata": {"labels": {"app": None, "b": "c"}}}}, {"team": "data", "b": "c"}),
        ({}, {"app": "etl", "team": "data"}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_fields_that_write_labels(fields, labels) -> None:
    """Admission §2: labels, labelKeysMapping, labelSuffixes, qosClass, koordinatorPriority and patch."""
    new = pod(labels={"app": "etl", "team": "data"})
    assert mutated(new, profile(**fields))["metadata"]["labels"] == labels


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"annotations": {"note": "new", "a": "any text: é ,"}}, {"note": "new", "a": "any text: é ,"}),
        ({"annotationKeysMapping": {"note": "copy/of"}}, {"note": "old", "copy/of": "old"}),
        ({"patch": {"metadata": {"annotations": {"note": None}}}}, {}),
    ],
)
def test_fields_that_write_annotations(fields, expected) -> None:
    """Admission §2: annotations, annotationKeysMapping and patch."""
    changed = mutated(pod(annotations={"note": "old"}), profile(**fields))["metadata"]["annotations"]
    assert {k: v for k, v in changed.items() if not k.startswith("colocation-webhook.io/")} == expected


@pytest.mark.parametrize("field", ["labelKeysMapping", "annotationKeysMapping"])
def test_a_mapping_without_a_source_does_nothing(field) -> None:
    """Admission §3.3: where the source is absent nothing is written, not an empty text."""
    changed = mutated(pod(labels={"a": "b"}, annotations={"a": "b"}), profile(**{field: {"missing": "copy"}}))
    assert "copy" not in changed["metadata"]["labels"]
    assert "copy" not in changed["metadata"]["annotations"]


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_an_empty_source_is_mapped(field) -> None:
    """Admission §3.3: a source that is there but empty is copied."""
    mapping = {"labels": "labelKeysMapping", "annotations": "annotationKeysMapping"}[field]
    changed = mutated(pod(**{field: {"a": ""}}), profile(**{mapping: {"a": "copy"}}))
    assert changed["metadata"][field]["copy"] == ""


@pytest.mark.parametrize("mapping", [{"a": "b", "b": "c"}, {"b": "c", "a": "b"}])
def test_chained_mappings_apply_in_sorted_order(mapping) -> None:
    """Admission §3.3: a to b, then b to c, in whichever order they were written down."""
    changed = mutated(pod(labels={"a": "1", "b": "2"}), profile(labelKeysMapping=mapping))
    assert changed["metadata"]["labels"] == {"a": "1", "b": "1", "c": "1"}


def test_the_order_of_fields() -> None:
    """Admission §2: labels, mappings, suffixes, the QoS class, the priority, the patch."""
    fields = {
        "labels": {"a": "1", PRIORITY: "from-labels", QOS: "LS"},
        "labelKeysMapping": {"a": "b"},
        "labelSuffixes": {"a": "-x", "b": "-y"},
        "qosClass": "BE",
        "koordinatorPriority": 7,
        "patch": {"metadata": {"labels": {"b": "patched"}}},
    }
    labels = mutated(pod(), profile(**fields))["metadata"]["labels"]
    assert labels == {"a": "1-x", "b": "patched", PRIORITY: "7", QOS: "BE"}


def test_later_profiles_over_earlier_ones() -> None:
    """Admission §2: profiles apply by name; the selectors are asked on the pod as it arrived."""
    first = profile("a", labels={"app": "changed", "who": "a"})
    second = profile("b", selector={"matchLabels": {"app": "etl"}}, labels={"who": "b"})
    third = profile("c", selector={"matchLabels": {"app": "changed"}}, labels={"who": "c"})
    decision = mutate(new := pod(labels={"app": "etl"}), third, second, first)
    assert decision.applied == ("a", "b")
    assert after(decision, new)["metadata"]["labels"] == {"app": "changed", "who": "b"}


def test_the_scheduler_name() -> None:
    """Admission §2: schedulerName is set."""
    new = pod(schedulerName="default-scheduler")
    assert (
        mutated(new, profile(schedulerName="koord-scheduler"))["spec"]["schedulerName"] == "koord-scheduler"
    )


@pytest.mark.parametrize("policy", [None, "Never"])
def test_the_priority_class(policy) -> None:
    """Admission §2: priorityClassName brings name, value and preemptionPolicy of the PriorityClass."""
    own = priority_class("own", 1234, policy)
    spec = mutated(pod(), profile(priorityClassName="own"), own)["spec"]
    assert spec["priorityClassName"] == "own"
    assert spec["priority"] == 1234
    assert spec["preemptionPolicy"] == policy or (
        policy is None and spec["preemptionPolicy"] == "PreemptLowerPriority"
    )


@pytest.mark.parametrize(("name", "value"), BUILTIN_PRIORITY_CLASSES.items())
def test_classes_that_need_no_object(name, value) -> None:
    """The koord-* classes, and those of Kubernetes, are known though no object says so."""
    spec = mutated(pod(), profile(priorityClassName=name))["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == (name, value)


def test_an_object_overrides_the_built_in_value() -> None:
    """Admission §3.6: the value is the one of the PriorityClass in the cluster."""
    spec = mutated(pod(), profile(priorityClassName="koord-batch"), priority_class("koord-batch", 5999))[
        "spec"
    ]
    assert spec["priority"] == 5999


@pytest.mark.parametrize(
    "fields", [{"priorityClassName": "missing"}, {"patch": {"spec": {"priorityClassName": "missing"}}}]
)
def test_a_class_that_does_not_exist(fields) -> None:
    """Admission §3.6: a clear denial naming profile and class, with a 4xx, not a 5xx."""
    decision = mutate(pod(), profile("faulty", **fields))
    denial = decision.denial
    assert denial is not None
    assert 400 <= decision.response()["status"]["code"] < 500
    assert '"faulty"' in denial
    assert '"missing"' in denial


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"priorityClassName": "koord-mid"}, ("koord-mid", 7000)),
        ({"priorityClassName": "koord-mid", "priority": 7500}, ("koord-mid", 7000)),
        ({"priority": 5500}, (None, 0)),
        ({"priorityClassName": None}, (None, 0)),
    ],
)
def test_a_patch_of_the_priority(patch, expected) -> None:
    """Admission §3.6: spec.priority is what the class says, whatever the patch wants."""
    spec = mutated(pod(), profile(patch={"spec": patch}))["spec"]
    assert (spec.get("priorityClassName"), spec["priority"]) == expected


@pytest.mark.parametrize("patch", [{"priorityClassName": "koord-mid", "priority": 7500}, {"priority": 5500}])
def test_a_priority_that_was_not_taken_is_told(patch) -> None:
    """Admission §3.6: a warning names the profile whose patch was not taken literally."""
    warnings = mutate(pod(), profile("faulty", patch={"spec": patch})).warnings
    assert any("faulty" in warning and "priority" in warning for warning in warnings)


def test_a_suffix_that_makes_a_label_too_long() -> None:
    """Bad input: a label value that Kubernetes would refuse is denied, naming label, profile and remedy."""
    new = pod(labels={"app": "x" * 60})
    decision = mutate(new, profile("long", labelSuffixes={"app": "-colo"}))
    denial = decision.denial
    assert denial is not None
    assert 400 <= decision.response()["status"]["code"] < 500
    for part in ("app", '"long"', "labelSuffixes", "shorten"):
        assert part in denial


@pytest.mark.parametrize("suffix", ["-", "_", ".", " x", "-" + "x" * 63, "/x", "é"])
def test_a_suffix_that_ends_no_label_value(suffix) -> None:
    """Bad input: the profile is not ready, and never applied."""
    raw = profile("odd", labelSuffixes={"app": suffix})
    assert "spec.labelSuffixes[app]" in read_profile(raw).problems[0]
    assert mutate(pod(labels={"app": "etl"}), raw).operations == ()


@pytest.mark.parametrize(
    "arrived", [{}, {"metadata": None}, {"metadata": {}}, {"metadata": {"labels": None}}]
)
def test_pods_without_metadata_or_labels(arrived) -> None:
    """Parents that are absent or null are made."""
    new = pod() | arrived
    if not arrived:
        del new["metadata"]
    changed = mutated(new, profile(labels={"a": "b"}, annotations={"c": "d"}))
    assert changed["metadata"]["labels"] == {"a": "b"}
    assert changed["metadata"]["annotations"]["c"] == "d"


def test_nothing_that_was_there_is_replaced_as_a_whole() -> None:
    """Admission §1: maps and lists that were there are patched, not replaced; unknown fields survive."""
    new = pod(
        {
            "name": "main",
            "resources": {"requests": {"cpu": "1"}, "claims": [{"name": "gpu"}]},
            "unknown": {"x": 1},
        },
        labels={"a": "b"},
        annotations={"c": "d"},
        unknownField={"y": [1, 2]},
    )
    decision = mutate(new, profile(labels={"l": "m"}, qosClass="BE", priorityClassName="koord-batch"))
    parents = {"/metadata", "/metadata/labels", "/metadata/annotations", "/spec", "/spec/containers"}
    assert not parents & {operation.path for operation in decision.operations}
    changed = after(decision, new)
    assert changed["spec"]["unknownField"] == {"y": [1, 2]}
    assert changed["spec"]["containers"][0]["unknown"] == {"x": 1}
    assert changed["spec"]["containers"][0]["resources"]["claims"] == [{"name": "gpu"}]
