"""Profiles that could meet on one pod and want different things."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.admission.reviews import strategies
from tests.builders import profile
from webhook.admission.profiles.overlap import compatible, overlaps, writes
from webhook.admission.profiles.profile import read_profile

wanted = st.fixed_dictionaries(
    {},
    optional={
        "selector": strategies.selectors,
        "namespaceSelector": strategies.selectors,
        "labels": strategies.labels,
        "qosClass": st.sampled_from(["BE", "LS"]),
        "schedulerName": st.sampled_from(["a", "b"]),
        "probability": st.sampled_from([0, 50, 100]),
    },
)


@given(st.lists(wanted, max_size=6))
def test_all_pairs_that_meet_and_disagree_are_found(specs) -> None:
    """The quick search gives what comparing every pair gives."""
    profiles = [read_profile(profile(f"p-{i}", **spec)) for i, spec in enumerate(specs)]
    able = [p for p in profiles if p.ready and p.probability]
    expected = {
        (one.name, two.name)
        for one, two in itertools.combinations(able, 2)
        if compatible(one, two)
        and any(place in writes(two) and writes(two)[place] != value for place, value in writes(one).items())
    }
    assert {(found.first, found.second) for found in overlaps(profiles)} == expected


@given(strategies.selectors, strategies.selectors, strategies.labels, strategies.labels)
def test_profiles_that_match_one_pod_are_compatible(one, two, labels, namespace_labels) -> None:
    """Where a pod shows that both match, they are never said to be apart."""
    pair = [read_profile(profile(f"p-{i}", selector=s)) for i, s in enumerate((one, two))]
    if all(p.matches(labels, namespace_labels) for p in pair):
        assert compatible(*pair)


def test_what_they_disagree_about_is_named() -> None:
    """Place and both values, in the order in which the profiles apply."""
    pair = [read_profile(profile(name, qosClass=qos)) for name, qos in (("b", "LS"), ("a", "BE"))]
    (found,) = overlaps(pair)
    assert (found.first, found.second) == ("a", "b")
    assert [tuple(each) for each in found.disagreements] == [
        ("metadata.labels[koordinator.sh/qosClass]", "BE", "LS")
    ]
