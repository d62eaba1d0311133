"""Profiles that could meet on a pod and disagree."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from webhook.admission.overlap import Disagreement, Overlap, compatible, overlaps, writes
from webhook.admission.profiles import read_profile


def profile(name, **spec):
    """Read a profile."""
    return read_profile({"metadata": {"name": name}, "spec": spec})


def labels(**match):
    """Return a selector."""
    return {"matchLabels": match}


def test_two_that_meet_and_disagree():
    """The place, both values, and the later name as the second."""
    found = list(overlaps([profile("b", qosClass="LS"), profile("a", qosClass="BE", schedulerName="s")]))
    place = "metadata.labels[koordinator.sh/qosClass]"
    assert found == [Overlap("a", "b", (Disagreement(place, "BE", "LS"),))]


def test_two_that_agree_or_cannot_meet():
    """The same values, other fields, other labels or namespaces: no overlap to speak of."""
    assert not list(overlaps([profile("a", qosClass="BE"), profile("b", qosClass="BE")]))
    assert not list(overlaps([profile("a", qosClass="BE"), profile("b", schedulerName="s")]))
    apart = [profile(n, qosClass=q, selector=labels(app=n)) for n, q in (("a", "BE"), ("b", "LS"))]
    assert not list(overlaps(apart))
    apart = [profile(n, qosClass=q, namespaceSelector=labels(app=n)) for n, q in (("a", "BE"), ("b", "LS"))]
    assert not list(overlaps(apart))


def test_profiles_that_are_never_applied_do_not_count():
    """Those with problems, and those with a probability of 0."""
    assert not list(overlaps([profile("a", qosClass="BE"), profile("b", qosClass="no")]))
    assert not list(overlaps([profile("a", qosClass="BE"), profile("b", qosClass="LS", probability=0)]))


def test_places_are_the_same_by_whatever_field_they_are_written():
    """A label by ``labels``, by ``qosClass`` or by ``patch``; a copied one by its source."""
    by_label = profile("a", labels={"koordinator.sh/qosClass": "LS"})
    by_patch = profile("b", patch={"metadata": {"labels": {"koordinator.sh/qosClass": "LSR"}}})
    by_field = profile("c", qosClass="BE")
    copied = profile("d", labelKeysMapping={"tier": "koordinator.sh/qosClass"})
    assert len(list(overlaps([by_label, by_patch, by_field, copied]))) == 6
    assert writes(copied) == {"metadata.labels[koordinator.sh/qosClass]": "<label tier>"}


def test_patches_are_compared_where_they_merge():
    """List elements by their keys, maps by theirs; merged lists of plain values never disagree."""
    patch = {
        "metadata": {"finalizers": ["f"]},
        "spec": {
            "nodeSelector": {"disk": "ssd", "$patch": "merge"},
            "containers": [{"name": "c", "image": "i", "args": ["x"]}],
            "hostNetwork": None,
        },
    }
    assert writes(profile("a", patch=patch)) == {
        "spec.nodeSelector[disk]": "ssd",
        "spec.containers[c].name": "c",
        "spec.containers[c].image": "i",
        "spec.containers[c].args": ["x"],
        "spec.hostNetwork": None,
    }


keys = st.sampled_from(["a", "b"])
clauses = st.one_of(
    st.fixed_dictionaries(
        {
            "key": keys,
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2),
        }
    ),
    st.fixed_dictionaries({"key": keys, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
selectors = st.fixed_dictionaries({"matchExpressions": st.lists(clauses, max_size=3)})
specs = st.fixed_dictionaries(
    {"selector": selectors, "namespaceSelector": selectors},
    optional={"qosClass": st.sampled_from(["BE", "LS"]), "schedulerName": st.sampled_from(["s", "t"])},
)


@given(st.lists(specs, max_size=6))
def test_narrowing_down_loses_no_pair(found):
    """The pairs are those that comparing each with each would give."""
    profiles = [profile(f"p{i}", **spec) for i, spec in enumerate(found)]
    expected = [
        (a.name, b.name)
        for a, b in combinations(profiles, 2)
        if compatible(a, b) and any(k in writes(b) and writes(b)[k] != v for k, v in writes(a).items())
    ]
    assert [(pair.first, pair.second) for pair in overlaps(profiles)] == expected
