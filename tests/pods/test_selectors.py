"""Label selectors against an independent oracle."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.reviews import strategies
from tests.admission.reviews.pod_model import holds
from webhook.pods.selectors import SelectorError, compile_selector


@given(strategies.selectors, strategies.labels)
def test_against_the_oracle(raw, labels) -> None:
    """A selector matches exactly where each of its clauses holds."""
    selector = compile_selector(raw, "selector")
    assert selector.matches(labels) is holds(raw, labels)
    assert (selector.failing(labels) is None) is holds(raw, labels)


@given(strategies.selectors, strategies.labels)
def test_the_failing_clause_is_one_that_does_not_hold(raw, labels) -> None:
    """What is named as the reason does not hold."""
    failing = compile_selector(raw, "selector").failing(labels)
    if failing is not None:
        clause = {"key": failing.key, "operator": failing.operator, "values": sorted(failing.values)}
        assert holds({"matchExpressions": [clause]}, labels) is False


ALL_LABELS = [
    {key: value for key, value in zip(strategies.KEYS[:2], chosen, strict=True) if value is not None}
    for chosen in itertools.product([None, "other", *strategies.VALUES], repeat=2)
]
two_keys = st.sampled_from(strategies.KEYS[:2])
narrow = st.lists(
    strategies.expressions.flatmap(lambda e: two_keys.map(lambda key: e | {"key": key})), max_size=3
).map(lambda clauses: {"matchExpressions": clauses})


@given(narrow, narrow)
def test_compatible_selectors_are_those_that_some_labels_meet(one, other) -> None:
    """Two selectors can both be met exactly where some set of labels meets both."""
    exists = any(holds(one, labels) and holds(other, labels) for labels in ALL_LABELS)
    assert compile_selector(one, "a").compatible(compile_selector(other, "b")) is exists


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            {"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["b"]}]},
            "'Equals' is not one of",
        ),
        ({"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}, "'in' is not one of"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "needs at least one value"),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": []}]}, "needs at least one value"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "takes no values"),
        ({"matchExpressions": [{"operator": "Exists"}]}, "the key must be a string"),
        ({"matchExpressions": [{"key": "", "operator": "Exists"}]}, "key ''"),
        ({"matchExpressions": [{"key": "a/b/c", "operator": "Exists"}]}, "key 'a/b/c'"),
        ({"matchExpressions": [{"key": "a", "operator": ["In"], "values": ["b"]}]}, "is not one of"),
        ({"matchExpressions": "a"}, "must be a list"),
        ({"matchExpressions": ["a"]}, "must be a map"),
        ({"matchLabels": {"a": True}}, "must be a string: quote it"),
        ({"matchLabels": {"a": "b c"}}, "value 'b c'"),
        ({"matchLabels": {"a": "x" * 64}}, "at most 63"),
        ({"matchLabels": {1: "b"}}, "the key must be a string"),
        ({"matchlabels": {}}, "unknown field 'matchlabels'"),
        ("app=web", "must be a map"),
        ([], "must be a map"),
    ],
)
def test_invalid_selectors(raw, message) -> None:
    """Admission §3.1: a selector that Kubernetes would refuse is refused, and the message names the field."""
    with pytest.raises(SelectorError, match=message) as caught:
        compile_selector(raw, "spec.selector")
    assert str(caught.value).startswith("spec.selector")


@pytest.mark.parametrize(
    "raw", [None, {}, {"matchLabels": {}}, {"matchLabels": None, "matchExpressions": []}]
)
def test_an_empty_selector_matches_everything(raw) -> None:
    """Absent or empty, a selector matches everything."""
    assert compile_selector(raw, "spec.selector").matches({})


@pytest.mark.parametrize(
    ("clause", "written"),
    [
        ({"key": "a", "operator": "In", "values": ["b"]}, "a=b"),
        ({"key": "a", "operator": "In", "values": ["c", "b"]}, "a in (b,c)"),
        ({"key": "a", "operator": "NotIn", "values": ["b"]}, "a notin (b)"),
        ({"key": "a", "operator": "Exists"}, "a"),
        ({"key": "a", "operator": "DoesNotExist"}, "!a"),
    ],
)
def test_clauses_are_written_as_kubectl_takes_them(clause, written) -> None:
    """A clause reads like an argument of ``kubectl get -l``."""
    assert str(compile_selector({"matchExpressions": [clause]}, "s").requirements[0]) == written
