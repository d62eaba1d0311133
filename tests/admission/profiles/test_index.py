"""The index of profiles: the same answer as asking each of them, at no cost for the others."""

from hypothesis import given
from hypothesis import strategies as st

from tests.admission.reviews import strategies
from tests.builders import profile
from webhook.admission.profiles.index import ProfileIndex
from webhook.admission.profiles.profile import read_profile

any_selector = st.one_of(strategies.selectors, strategies.invalid_selectors)


@given(
    st.lists(st.tuples(any_selector, strategies.selectors), max_size=12),
    strategies.labels,
    strategies.labels,
)
def test_the_index_is_the_same_as_asking_every_profile(raw, labels, namespace_labels) -> None:
    """Admission §3.12: the index finds the ready profiles that match, in the order of their names."""
    profiles = [
        read_profile(profile(f"p-{i % 7}-{i}", selector=on_pod, namespaceSelector=on_namespace))
        for i, (on_pod, on_namespace) in enumerate(raw)
    ]
    asked = [p.name for p in profiles if p.ready and p.matches(labels, namespace_labels)]
    found = ProfileIndex(profiles).matching(labels, namespace_labels)
    assert [p.name for p in found] == sorted(asked)


def test_profiles_that_cannot_match_are_not_asked() -> None:
    """Admission §3.12: of thousands of profiles for other pods none is compared with this one."""
    asked = []

    class Watched(dict):
        def get(self, key, default=None):
            asked.append(key)
            return super().get(key, default)

        def __getitem__(self, key):
            asked.append(key)
            return super().__getitem__(key)

    profiles = [
        read_profile(profile(f"p-{i}", selector={"matchLabels": {"app": f"a-{i}"}})) for i in range(5000)
    ]
    index = ProfileIndex(profiles)
    assert [p.name for p in index.matching(Watched({"app": "a-7"}), {})] == ["p-7"]
    assert len(asked) < 10
