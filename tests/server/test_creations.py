"""Counting of relabelled pods: exactly what happened in the window, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from webhook.admission.mutating.relabelling import Owner, Relabelled
from webhook.server.creations import (
    ALONE,
    MAX_OWNERS,
    MAX_SUSPECTS,
    TOGETHER,
    WINDOW_SECONDS,
    Creations,
    Key,
)


def relabelled(uid="u", *profiles, value="new"):
    """A pod of the owner of that uid, on which these profiles changed a label."""
    owner = Owner("d", "apps/v1", "ReplicaSet", f"rs-{uid}", uid)
    return Relabelled(owner, {name: {"app": value} for name in profiles or ("p",)})


def suspects(creations, moment):
    """How many pods each suspect has."""
    return {each.key: each.recent for each in creations.suspects(moment)}


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 7.0, 20.0, 60.0, 61.0]),
        st.sampled_from("ab"),
        st.sampled_from([("p",), ("q",), ("p", "q")]),
    ),
    max_size=60,
)


@given(EVENTS)
def test_suspects_are_those_with_five_pods_in_a_minute(events) -> None:
    """At each moment, compared with a count of everything that ever happened."""
    creations, moment = Creations(), 0.0
    happened: list[tuple[float, Key]] = []
    for seconds, uid, profiles in events:
        moment += seconds
        happened += ((moment, Key(profile, "d", uid)) for profile in profiles)
        suspected = creations.add(relabelled(uid, *profiles), moment)
        counts = {
            key: sum(then >= moment - WINDOW_SECONDS and k == key for then, k in happened)
            for key in {key for _, key in happened}
        }
        expected = {key: min(count, ALONE) for key, count in counts.items() if count >= TOGETHER}
        assert suspects(creations, moment) == expected
        assert suspected == any(Key(profile, "d", uid) in expected for profile in profiles)


def test_the_window_moves() -> None:
    """Ten pods in a minute are ten; a pod every ten seconds is never more than seven."""
    creations = Creations()
    for number in range(100):
        creations.add(relabelled(), number * 10.0)
        assert max(suspects(creations, number * 10.0).values(), default=0) <= 7
    assert suspects(creations, 2000.0) == {}


def test_who_is_acquitted_is_no_suspect_until_the_profile_changes() -> None:
    """However many pods follow; another profile is another matter."""
    creations, key = Creations(), Key("p", "d", "u")
    for _ in range(ALONE):
        creations.add(relabelled(), 0.0)
    creations.acquit(creations.suspects(0.0)[0])
    assert not any(creations.add(relabelled(), 1.0) for _ in range(100))
    assert suspects(creations, 1.0) == {}
    assert creations.add(relabelled(value="another"), 1.0), "another value is another matter"
    creations.acquit(creations.suspects(1.0)[0])
    assert [creations.add(relabelled("u", "q"), 1.0) for _ in range(TOGETHER)][-1]
    creations.forget(["p"])
    assert [creations.add(relabelled(), 2.0) for _ in range(TOGETHER)][-1]
    assert suspects(creations, 2.0) == {key: TOGETHER, Key("q", "d", "u"): TOGETHER}


def test_memory_is_bounded() -> None:
    """Owners, suspects, and what a pod may bring as a label's value."""
    creations = Creations()
    for number in range(3 * MAX_OWNERS):
        creations.add(relabelled(str(number)), 0.0)
    assert len(creations) == MAX_OWNERS
    for number in range(2 * MAX_SUSPECTS):
        for _ in range(TOGETHER):
            creations.add(relabelled(f"s{number}", value="x" * 100_000), 0.0)
    found = creations.suspects(0.0)
    assert len(found) == MAX_SUSPECTS
    assert len(creations) == MAX_OWNERS
    assert max(len(each.changes["app"] or "") for each in found) < 100


def test_an_owner_that_goes_on_is_not_forgotten_for_others() -> None:
    """Those that were counted least recently go first."""
    creations = Creations()
    for number in range(ALONE * MAX_OWNERS // 2):
        if number % (MAX_OWNERS // 2) == 0:
            creations.add(relabelled("steady"), 0.0)
        creations.add(relabelled(str(number)), 0.0)
    assert suspects(creations, 0.0) == {Key("p", "d", "steady"): ALONE}
