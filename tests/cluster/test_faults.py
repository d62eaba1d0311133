"""Faults put in on purpose: what goes wrong with one thing is the matter of that thing alone."""

import pytest

from tests.cluster.conftest import watched
from tests.kube.fakeapi import CLASSES, COLLECTIONS, NAMESPACES, PROFILES
from tests.waiting import until
from webhook.admission.profiles import index
from webhook.cluster import cache
from webhook.kube.cache import reflector

pytestmark = pytest.mark.usefixtures("hurry")


def fails_for(function, name):
    """The function, with a fault of ours for the object of one name."""

    def faulty(first, *rest):
        if name in {getattr(first, "name", None), first if isinstance(first, str) else None}:
            raise RuntimeError("injected")
        return function(first, *rest)

    return faulty


def test_a_profile_that_cannot_be_read_or_filed_costs_the_others_nothing(fake, monkeypatch, caplog):
    """Neither at the first list nor later; the log names it."""
    read, demands = cache.read_profile, index._demands

    def reading(raw):
        if raw["metadata"]["name"] == "unreadable":
            raise RuntimeError("injected")
        return read(raw)

    monkeypatch.setattr(cache, "read_profile", reading)
    monkeypatch.setattr(index, "_demands", fails_for(demands, "unfiled"))
    for name in ("good", "unreadable", "unfiled"):
        fake.put(PROFILES, name, spec={"qosClass": "BE"})
    with watched(fake) as source:
        assert [profile.name for profile in source.view.index.profiles] == ["good"]
        fake.put(PROFILES, "unfiled", spec={"qosClass": "LS"})
        fake.put(PROFILES, "better", spec={"qosClass": "LS"})
        until(lambda: [profile.name for profile in source.view.index.profiles] == ["better", "good"])
        assert source.status.ready
    for name in ("unreadable", "unfiled"):
        assert f"{name} is passed over: injected" in caplog.text


def test_a_view_that_cannot_be_made_is_made_again(fake, monkeypatch, caplog):
    """A fault in the making keeps the last view; the next change gives a new one."""
    with watched(fake) as source:
        made = cache.ClusterCache.view
        monkeypatch.setattr(cache.ClusterCache, "view", lambda _: 1 / 0)
        fake.put(NAMESPACES, "a")
        until(lambda: "making a view: internal error" in caplog.text)
        assert source.view.namespaces == {}
        monkeypatch.setattr(cache.ClusterCache, "view", made)
        fake.put(NAMESPACES, "b")
        until(lambda: {"a", "b"} <= set(source.view.namespaces))


@pytest.mark.parametrize("path", COLLECTIONS)
def test_a_watch_that_is_refused_keeps_the_others_going(fake, path):
    """A right that was taken away: the others follow, and only this one's age grows."""
    later = 1e12
    with watched(fake) as source:
        fake.failures["WATCH", path] = [(403, {"message": "is forbidden"})] * 9999
        fake.cut()
        for each in source._reflectors.values():
            each.clock = lambda: later
        kind = path.rpartition("/")[2]
        until(lambda: "is forbidden" in (source.status.kinds[kind].error or ""))
        for other in set(COLLECTIONS) - {path}:
            fake.bookmark(other)
        fields = {PROFILES: {"spec": {"qosClass": "BE"}}, CLASSES: {"value": 7}}
        seen = {PROFILES: lambda v: v.profiles, CLASSES: lambda v: v.priority_classes}
        for other in {PROFILES, CLASSES, NAMESPACES} - {path}:
            fake.put(other, "new", **fields.get(other, {}))
            look = seen.get(other, lambda v: v.namespaces)
            until(lambda look=look: "new" in look(source.view))
        until(lambda: {n for n, s in source.status.kinds.items() if s.contact_at < later} == {kind})
        assert source.status.ready


def test_a_reflector_outlives_a_fault_of_ours(fake, monkeypatch, caplog):
    """It lists again, and says so."""
    with watched(fake) as source:
        event = reflector.Reflector._event
        monkeypatch.setattr(reflector.Reflector, "_event", lambda *_: 1 / 0)
        fake.put(NAMESPACES, "a")
        until(lambda: "watching failed" in caplog.text)
        monkeypatch.setattr(reflector.Reflector, "_event", event)
        until(lambda: "a" in source.view.namespaces)
        until(lambda: source.status.error is None)
