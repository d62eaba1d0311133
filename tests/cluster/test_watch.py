"""A cluster is listed and watched, and the view follows it, whatever the connection does."""

import dataclasses
import threading
import time

import pytest

from tests.cluster.conftest import watched
from tests.kube.fakeapi import CLASSES, COLLECTIONS, LIMIT_RANGES, NAMESPACES, PROFILES, QUOTAS
from tests.waiting import until
from webhook.admission import kinds
from webhook.cluster import watch
from webhook.cluster.source import LookUpError, unready
from webhook.kube.cache import reflector

pytestmark = pytest.mark.usefixtures("hurry")


def names(source):
    """The namespaces of the view."""
    return set(source.view.namespaces)


def test_the_view_holds_what_was_listed_and_follows_what_changes(fake):
    """Objects that were there, that come, change and go, of every kind."""
    fake.put(NAMESPACES, "a", metadata={"labels": {"x": "1"}})
    fake.put(PROFILES, "p", spec={"qosClass": "BE"})
    fake.put(CLASSES, "koord-batch", value=5000)
    with watched(fake) as source:
        view = source.view
        assert view.namespaces["a"] == {"x": "1", "kubernetes.io/metadata.name": "a"}
        assert view.profiles["p"].qos_class == "BE"
        assert set(view.priority_classes) == {"koord-batch"}
        assert view.exhaustive
        fake.put(NAMESPACES, "a", metadata={"labels": {"x": "2"}})
        fake.put(NAMESPACES, "b")
        fake.put(PROFILES, "p", spec={"qosClass": "LS"})
        fake.put(LIMIT_RANGES, "l", "a", spec={"limits": [{"type": "Pod", "min": {"cpu": "1"}}]})
        fake.put(QUOTAS, "q", "a", spec={"hard": {"cpu": "1"}})
        until(lambda: len(source.view.limit_ranges) == len(source.view.quotas) == 1)
        until(lambda: names(source) == {"a", "b"} and source.view.profiles["p"].qos_class == "LS")
        assert source.view.namespaces["a"]["x"] == "2"
        fake.delete(NAMESPACES, "b")
        fake.delete(QUOTAS, "q", "a")
        until(lambda: names(source) == {"a"} and not source.view.quotas)
        assert [one.name for one in source.view.limit_ranges["a"]] == ["l"]
        assert view.namespaces["a"]["x"] == "1", "a view that was handed out does not change"


def test_lists_come_in_pages(fake):
    """1,200 namespaces are three pages."""
    for i in range(1200):
        fake.put(NAMESPACES, f"n-{i}")
    with watched(fake) as source:
        assert len(source.view.namespaces) == 1200
        assert fake.requests["GET", NAMESPACES] == 3


def test_pages_that_take_too_long_are_asked_for_at_once(fake):
    """A continue token that has expired (410) leads to one list without pages."""
    for i in range(600):
        fake.put(NAMESPACES, f"n-{i}")
    page = {"metadata": {"resourceVersion": "5", "continue": "500"}, "items": []}
    fake.failures["GET", NAMESPACES] = [(200, page), (410, {"reason": "Expired"})]
    with watched(fake) as source:
        assert len(source.view.namespaces) == 600
    asked = [query for path, query in fake.queries if path == NAMESPACES and "watch" not in query]
    assert [("limit" in q, "continue" in q) for q in asked[:3]] == [
        (True, False),
        (True, True),
        (False, False),
    ]


def test_it_is_not_ready_until_every_kind_is_synced(fake):
    """What is missing is named, with the reason; then it comes by itself."""
    refused = {"message": 'limitranges is forbidden: User "x" cannot list', "reason": "Forbidden"}
    fake.failures["GET", LIMIT_RANGES] = [(403, refused)] * 999
    with watched(fake, wait=False) as source:
        until(lambda: source.view.missing == ("limitranges",))
        assert not source.status.ready
        until(lambda: "cannot list" in (source.status.error or ""))
        fake.failures.clear()
        until(lambda: source.status.ready and source.status.error is None)
        assert source.status.reload_errors == source.status.kinds["limitranges"].failures > 0
        assert source.status.loaded_at > time.time() - 10


def test_a_watch_that_ends_is_taken_up_where_it_was(fake):
    """No second list; the version asked for is that of the last event or bookmark."""
    with watched(fake) as source:
        fake.put(NAMESPACES, "a")
        until(lambda: "a" in names(source))
        fake.bookmark(NAMESPACES)
        bookmark = fake.version
        until(lambda: len(fake.watches) == len(COLLECTIONS))
        time.sleep(0.05)
        fake.cut()
        fake.put(NAMESPACES, "b")
        until(lambda: "b" in names(source))
        assert fake.requests["GET", NAMESPACES] == 1
        asked = [int(q["resourceVersion"]) for p, q in fake.queries if p == NAMESPACES and "watch" in q]
        assert bookmark in asked
        assert all(q["allowWatchBookmarks"] == "true" for _, q in fake.queries if "watch" in q)


def test_what_happens_between_list_and_watch_is_heard_of(fake):
    """The watch begins at the version of the list, not at the time of its own request."""
    fake.put(NAMESPACES, "gone")

    def meanwhile():
        fake.delete(NAMESPACES, "gone")
        fake.put(NAMESPACES, "new")

    fake.late["GET", NAMESPACES] = meanwhile
    with watched(fake) as source:
        until(lambda: names(source) == {"new"})
        assert fake.requests["GET", NAMESPACES] == 1


def test_what_is_made_quietly_is_heard_of_by_no_watch(fake):
    """Also not by one that begins later: a test of what is not known yet depends on it."""
    fake.late["GET", NAMESPACES] = lambda: fake.quietly(NAMESPACES, "unheard")
    with watched(fake) as source:
        fake.put(NAMESPACES, "new")
        until(lambda: names(source))
        assert names(source) == {"new"}


@pytest.mark.parametrize("in_the_stream", [False, True])
def test_an_expired_version_is_listed_again(fake, in_the_stream):
    """410, as an answer or as an event: what vanished in between is gone from the view."""
    fake.put(NAMESPACES, "a")
    fake.put(NAMESPACES, "b")
    with watched(fake) as source:
        del fake.objects[NAMESPACES]["", "a"]
        fake.quietly(NAMESPACES, "c")
        fake.oldest = fake.version
        if in_the_stream:
            status = (
                b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old"}}\n'
            )
            fake.tell(status, NAMESPACES)
        else:
            fake.cut()
        until(lambda: names(source) == {"b", "c"})
        assert source.status.kinds["namespaces"].lists == 2


@pytest.mark.parametrize(
    "garbage", [b"{\n", b"null\n", b"[1]\n", b'{"type":"ADDED"}\n', b"\xff\xfe\n", b'{"type":1,"object":7}\n']
)
def test_garbage_in_a_stream_is_survived_by_listing_again(fake, garbage):
    """What else was lost cannot be known."""
    with watched(fake) as source:
        fake.quietly(NAMESPACES, "lost")
        fake.tell(garbage, NAMESPACES)
        until(lambda: "lost" in names(source))


def test_garbage_as_a_list_is_asked_for_again(fake):
    """Not JSON, not an object, no list, no version, a connection that closes: each is tried again."""
    fake.put(NAMESPACES, "a")
    fake.failures["GET", NAMESPACES] = [
        (200, b"<html>"),
        (200, b"[]"),
        (200, {"metadata": {}}),
        (200, {"metadata": 1, "items": {}}),
        (0, b""),  # on a connection that was kept: asked again at once, on a new one
        (0, b""),
        (500, b"oops"),
        (429, {"message": "too many"}),
    ]
    with watched(fake) as source:
        assert names(source) == {"a"}
        assert source.status.kinds["namespaces"].failures == 7


def test_an_object_that_cannot_be_read_costs_the_others_nothing(fake, caplog):
    """It is logged and passed over."""
    fake.put(NAMESPACES, "bad", metadata={"labels": {"x": 1}})
    fake.put(NAMESPACES, "good")
    fake.put(CLASSES, "bad", value="many")
    fake.put(PROFILES, "wrong", spec={"selector": {"matchExpressions": [{"key": "a", "operator": "Foo"}]}})
    fake.put(PROFILES, "right", spec={"qosClass": "BE"})
    with watched(fake) as source:
        assert names(source) == {"good"}
        assert set(unready(source.view)) == {"wrong"}
        assert [profile.name for profile in source.view.index.profiles] == ["right"]
        fake.put(NAMESPACES, "later")
        until(lambda: "later" in names(source))
    assert "Namespace 'bad': metadata.labels must be a map of strings" in caplog.text


def test_the_server_restarts(fake):
    """The view stays while it is away, says so, and follows again when it is back."""
    fake.put(NAMESPACES, "a")
    with watched(fake) as source:
        fake.stop()
        until(lambda: source.status.error)
        assert names(source) == {"a"}
        assert source.status.ready
        age = source.status.loaded_at
        fake.quietly(NAMESPACES, "b")
        fake.oldest = fake.version
        fake.start()
        until(lambda: names(source) == {"a", "b"} and source.status.error is None)
        assert source.status.loaded_at > age


def test_a_connection_that_falls_silent_is_given_up(fake, monkeypatch):
    """The server holds the connection and says nothing: another watch hears what came."""
    monkeypatch.setattr(reflector, "SILENCE_SECONDS", 0.2)
    fake.mute = True
    with watched(fake) as source:
        fake.put(NAMESPACES, "a")
        fake.cut()  # the first ones wait for their full time
        fake.mute = False
        until(lambda: "a" in names(source))
        fake.mute = True
        failures = source.status.kinds["namespaces"].failures
        until(lambda: source.status.kinds["namespaces"].failures > failures)


def test_a_server_that_ends_each_watch_at_once_makes_no_busy_loop(fake):
    """A handful in half a second, with the waits of these tests, not hundreds; they count as failures."""
    ended = threading.Event()

    def cut():
        while not ended.wait(0.001):
            fake.cut()

    cutting = threading.Thread(target=cut)
    with watched(fake) as source:
        cutting.start()
        before = fake.requests["WATCH", NAMESPACES]
        time.sleep(0.5)
        assert fake.requests["WATCH", NAMESPACES] - before < 100
        until(lambda: source.status.kinds["namespaces"].failures > 1)
        ended.set()
        cutting.join()


def test_many_events_make_few_views(fake, monkeypatch):
    """However many changes come, the next view is made when VIEW_SECONDS are over."""
    with watched(fake) as source:
        fake.put(NAMESPACES, "first")
        until(lambda: "first" in source.view.namespaces)
        # The time counts from the next view on: the one before may have been made with the other already.
        monkeypatch.setattr(watch, "VIEW_SECONDS", 3600)
        fake.put(NAMESPACES, "second")
        until(lambda: "second" in source.view.namespaces)
        view = source.view
        for i in range(400):
            fake.put(NAMESPACES, f"n-{i}")
        until(lambda: ("", "n-399") in source.cache.stores[kinds.NAMESPACES].values)
        assert source.view is view


def test_only_what_changed_is_made_again(fake):
    """A namespace costs no index of profiles; a written status neither."""
    fake.put(PROFILES, "p", spec={"qosClass": "BE"})
    with watched(fake) as source:
        before = source.view
        fake.put(NAMESPACES, "a")
        fake.put(PROFILES, "p", spec={"qosClass": "BE"}, status={"observedGeneration": 1})
        until(lambda: "a" in names(source))
        until(lambda: source.cache.watched()["p"].status)
        until(lambda: source.view.index is before.index and source.view.profiles is before.profiles)


def test_a_new_namespace_is_looked_up_once_for_all_who_wait(fake):
    """The view has it when the future is done; the watch had not told."""
    with watched(fake) as source:
        fake.quietly(NAMESPACES, "new", metadata={"labels": {"team": "a"}})
        fake.lag = 0.1
        waiting = [source.look_up("new") for _ in range(50)]
        for future in waiting:
            future.result(5)
        assert source.view.namespaces["new"]["team"] == "a"
        assert fake.requests["GET", f"{NAMESPACES}/new"] == 1
        source.look_up("new").result(5)
        assert fake.requests["GET", f"{NAMESPACES}/new"] == 1, "what has been heard of is not asked for"


def test_a_look_up_does_not_take_back_what_the_watch_told_since(fake):
    """Labels that change while the answer is on its way are those that count."""
    with watched(fake) as source:

        def changed_meanwhile():
            fake.put(NAMESPACES, "new", metadata={"labels": {"team": "b"}})
            until(lambda: ("", "new") in source.cache.stores[kinds.NAMESPACES].values)

        fake.quietly(NAMESPACES, "new", metadata={"labels": {"team": "a"}})
        fake.late["GET", f"{NAMESPACES}/new"] = changed_meanwhile
        source.look_up("new").result(5)
        assert source.view.namespaces["new"]["team"] == "b"


def test_a_look_up_that_fails_says_why(fake):
    """No such namespace is an answer; a server that is starting is asked again."""
    with watched(fake) as source:
        with pytest.raises(LookUpError, match=r"namespace 'none' cannot be looked up: .*404"):
            source.look_up("none").result(5)
        fake.quietly(NAMESPACES, "late")
        fake.failures["GET", f"{NAMESPACES}/late"] = [(403, {"message": "not yet"}), (503, {})]
        source.look_up("late").result(5)
        assert "late" in names(source)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 422])
def test_what_is_our_mistake_is_not_asked_again(fake, status):
    """The answer would be the same."""
    fake.failures["GET", f"{NAMESPACES}/x"] = [(status, {"message": "no"})] * 9
    with watched(fake) as source, pytest.raises(LookUpError, match="no"):
        source.look_up("x").result(5)
    assert fake.requests["GET", f"{NAMESPACES}/x"] == 1


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_what_may_change_is_asked_again(fake, status):
    """An API server may be starting or busy, a token old."""
    fake.failures["GET", f"{NAMESPACES}/x"] = [(status, {})] * 2
    with watched(fake) as source:
        fake.quietly(NAMESPACES, "x")
        source.look_up("x").result(5)
    assert fake.requests["GET", f"{NAMESPACES}/x"] == 3


@pytest.mark.parametrize(("refused", "asked"), [(False, 1), (True, 2)])
def test_a_missing_right_is_waited_for_while_rights_are_being_granted(fake, monkeypatch, refused, asked):
    """At the start, or while a watch is refused; later a 403 is an answer."""
    monkeypatch.setattr(watch, "START_SECONDS", 0.0)
    with watched(fake) as source:
        fake.quietly(NAMESPACES, "x")
        if refused:
            watching = source._reflectors[kinds.NAMESPACES.resource]
            watching.contact = dataclasses.replace(watching.contact, error="403")
        fake.failures["GET", f"{NAMESPACES}/x"] = [(403, {})]
        source.look_up("x").exception(5)
    assert fake.requests["GET", f"{NAMESPACES}/x"] == asked


def test_what_nobody_waits_for_is_not_asked(fake):
    """A namespace whose reviews have all gone costs nothing more; the others are asked for."""
    held = threading.Event()
    for i in range(4):
        fake.late["GET", f"{NAMESPACES}/n-{i}"] = lambda: held.wait(5)
    with watched(fake) as source:
        asked = [source.look_up(f"n-{i}") for i in range(40)]
        twice = source.look_up("n-20")
        for each in asked[4:]:
            assert each.cancel()
        held.set()
        for each in (*asked[:4], twice):
            assert isinstance(each.exception(5), LookUpError)
    seen = {path for method, path in fake.requests if method == "GET" and "/n-" in path}
    assert seen == {f"{NAMESPACES}/n-{i}" for i in (0, 1, 2, 3, 20)}


def test_the_queue_has_an_end(fake, monkeypatch):
    """More names than that are not taken, until there is room."""
    monkeypatch.setattr(watch, "MAX_LOOK_UPS", 5)
    held = threading.Event()
    fake.late["GET", f"{NAMESPACES}/n-0"] = lambda: held.wait(5)
    with watched(fake) as source:
        first = source.look_up("n-0")
        others = [source.look_up(f"m-{i}") for i in range(4)]
        for each in others:
            each.exception(5)
        kept = [source.look_up("n-0") for _ in range(9)]
        assert not any(each.done() for each in kept)
        monkeypatch.setattr(watch, "MAX_LOOK_UPS", 1)
        with pytest.raises(LookUpError, match="are being looked up"):
            source.look_up("more").result(0)
        held.set()
        first.exception(5)
        with pytest.raises(LookUpError, match="404"):
            source.look_up("more").result(5)


def test_one_that_is_asked_again_does_not_keep_others_waiting(fake):
    """Names that get no answer, more than there are threads, stand behind one that was not asked yet."""
    for i in range(20):
        fake.failures["GET", f"{NAMESPACES}/n-{i}"] = [(503, {})] * 99
    fake.quietly(NAMESPACES, "fresh")
    with watched(fake) as source:
        failing = [source.look_up(f"n-{i}") for i in range(20)]
        source.look_up("fresh").result(5)
        assert not any(each.done() for each in failing)


def test_a_look_up_that_is_open_at_the_end_is_cancelled(fake):
    """Nobody waits for it then."""
    held = threading.Event()
    fake.late["GET", f"{NAMESPACES}/x"] = lambda: held.wait(5)
    with watched(fake) as source:
        waiting = [source.look_up("x") for _ in range(3)]
    assert all(each.cancelled() for each in waiting)
    held.set()


def test_nothing_is_left_running(fake):
    """When it is told to stop the threads end, also those that wait for an event."""
    with watched(fake) as source:
        source.look_up("x").exception(5)
        assert ours()
    until(lambda: not ours())


def ours():
    """Names of the source's threads."""
    return [t.name for t in threading.enumerate() if t.name.startswith(("watch-", "look-up"))]
