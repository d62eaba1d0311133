"""Pods without end are ended: counted here or by two replicas, told to all, and over after ten minutes."""

import datetime as dt
import types

import pytest

from tests.admission.mutating.test_relabelling import OWNER, owned
from tests.builders import NAMESPACE, read, review
from tests.cluster.conftest import watched
from tests.cluster.test_owners import put
from tests.kube.conftest import fake  # noqa: F401 — a fixture
from tests.kube.fakeapi import NAMESPACES, PROFILES
from tests.waiting import until
from webhook.admission.decision import decide
from webhook.admission.review import Webhook
from webhook.admission.settings import Mode, Settings
from webhook.cluster.replicareports import ReplicaReports
from webhook.process.metrics import new_registry, render
from webhook.server.breaker import KEPT_SECONDS, Breaker
from webhook.server.creations import ALONE, TOGETHER
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings

EVENTS = "/api/v1/events"
SUFFIX = {"labelSuffixes": {"app": "-colo"}}
START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


class Clock:
    """One time for all replicas of a test."""

    def __init__(self):
        self.seconds = 0.0

    def now(self):
        """The time of day."""
        return START + dt.timedelta(seconds=self.seconds)


class Replica:
    """Decides on pods and counts them, as one process does; its breaker is asked by hand."""

    def __init__(self, server, source, clock, name="one", *, reports=True, **settings):
        api = server.api()
        self.registry = new_registry()
        self.current = CurrentSettings(Settings(signing_key=b"key", **settings))
        self.source = source
        self._clock = clock
        self.breaker = Breaker(
            source,
            self.current,
            ReviewMetrics(self.registry),
            api=api,
            reports=ReplicaReports(api, source) if reports else None,
            replica=name,
            clock=lambda: clock.seconds,
            now=clock.now,
        )
        self.breaker.step()

    def create(self, times=1, owner=OWNER, **request):
        """Have pods of a controller admitted; the label of the last one."""
        for _ in range(times):
            asked = read(review(owned(owner=owner), **request))
            decision = decide(Webhook.MUTATE, asked, self.source.view, self.current.value)
            self.breaker.note(asked, decision)
        patch = {op["path"]: op.get("value") for op in decision.patch()}
        return patch.get("/metadata/labels/app", "web")

    def round(self):
        """A look of the breaker, a second later: it writes at most once a second."""
        self._clock.seconds += 1.0
        self.breaker.step()

    def metric(self, name):
        """A line of the metrics."""
        lines = render(self.registry).decode().splitlines()
        return next(line.rpartition(" ")[2] for line in lines if line.startswith(name))


@pytest.fixture
def cluster(fake):  # noqa: F811
    """A profile that changes the label ``app``, and a ReplicaSet that selects by it."""
    fake.put(PROFILES, "p", spec=SUFFIX)
    fake.put(NAMESPACES, NAMESPACE)
    fake.objects[EVENTS] = {}
    put(fake, "apps/v1", "ReplicaSet", {"matchLabels": {"app": "web"}}, uid="u-1", name="web-1")
    return fake


@pytest.fixture
def lab(cluster):
    """The cluster, one view of it, a clock, and a maker of replicas."""
    clock = Clock()
    with watched(cluster) as source:
        yield types.SimpleNamespace(
            fake=cluster,
            clock=clock,
            source=source,
            replica=lambda name="one", **more: Replica(cluster, source, clock, name, **more),
        )


def status(fake):  # noqa: F811
    """The status of the profile."""
    return fake.objects[PROFILES]["", "p"].get("status", {})


def heard(lab):
    """Wait until the view has the status as it is written."""
    until(lambda: lab.source.cache.watched()["p"].status == status(lab.fake))


def test_ten_pods_in_a_minute_are_enough_in_one_replica(lab):
    """Then labels stay, an Event names profile and remedy, the metrics count, and the status tells."""
    one = lab.replica()
    assert one.create(ALONE - 1) == "web-colo"
    one.round()
    assert one.create() == "web-colo"
    one.round()
    assert one.create(3) == "web"
    assert one.metric('colocation_webhook_labels_changed_total{profile="p"}') == "10.0"
    assert one.metric('colocation_webhook_breakers_total{profile="p"}') == "1.0"
    assert one.metric("colocation_webhook_labels_kept") == "1.0"
    one.breaker._events._step(0.1)
    (event,) = lab.fake.objects[EVENTS].values()
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "namespace": NAMESPACE,
        "name": "web-1",
        "uid": "u-1",
    }
    assert (event["type"], event["reason"]) == ("Warning", "LabelsKept")
    assert 'profile "p" changes labels (app)' in event["message"]
    assert "Take them out of the profile, or exclude the pods by its selector" in event["message"]
    assert "2026-01-02T03:14:07Z" in event["message"]
    (condition,) = status(lab.fake)["conditions"]
    assert (condition["type"], condition["status"]) == ("LabelsKept", "True")
    assert f"ReplicaSet {NAMESPACE}/web-1" in condition["message"]


def test_nine_pods_in_a_minute_are_not(lab):
    """Nor are more in a longer time."""
    one = lab.replica()
    for _ in range(30):
        assert one.create() == "web-colo"
        one.round()
        lab.clock.seconds += 5.7
    assert one.metric("colocation_webhook_labels_kept") == "0.0"


def test_five_pods_in_each_of_two_replicas_are(lab):
    """The second one decides, the first is told."""
    one, two, third = (lab.replica(name) for name in ("one", "two", "three"))
    assert one.create(TOGETHER) == "web-colo"
    one.round()
    heard(lab)
    two.create(TOGETHER - 1)
    two.round()
    assert two.create() == "web-colo"
    lab.clock.seconds += 2
    two.round()
    assert two.create() == "web"
    heard(lab)
    for other in (one, third):
        assert other.create() == "web-colo"
        other.round()
        assert other.create() == "web"
        assert other.metric("colocation_webhook_labels_kept") == "1.0"
    assert not any(other.breaker._events._waiting.qsize() for other in (one, third))


def test_five_pods_twice_in_one_replica_are_not_two_replicas(lab):
    """What a replica said itself is no word of another, and a report counts for a minute."""
    one, two = lab.replica("one"), lab.replica("two")
    one.create(TOGETHER)
    one.round()
    heard(lab)
    one.create(2)
    one.round()
    assert one.create() == "web-colo"
    lab.clock.seconds += 61
    two.create(TOGETHER)
    two.round()
    assert two.create() == "web-colo"


def test_a_replica_that_begins_again_is_told(lab):
    """By the status, with what is left of the time."""
    one = lab.replica()
    one.create(ALONE)
    one.round()
    heard(lab)
    lab.clock.seconds += 300
    again = lab.replica("one, again")
    assert again.create() == "web"
    lab.clock.seconds += 298
    again.round()
    assert again.create() == "web"
    lab.clock.seconds += 2
    again.round()
    assert again.create() == "web-colo"


def test_it_ends_after_ten_minutes(lab):
    """The condition goes, too; when pods still come without end, it begins again."""
    one = lab.replica()
    one.create(ALONE)
    one.round()
    heard(lab)
    lab.clock.seconds += KEPT_SECONDS - 2
    one.round()
    assert one.create() == "web"
    lab.clock.seconds += 2
    one.round()
    assert one.create() == "web-colo"
    assert status(lab.fake)["conditions"] == []
    assert one.metric("colocation_webhook_labels_kept") == "0.0"
    heard(lab)
    one.create(ALONE - 1)
    one.round()
    assert one.create() == "web"


def test_it_ends_when_the_profile_changes(lab):
    """Whatever the change is; a status that is written is none."""
    one = lab.replica()
    one.create(ALONE)
    one.round()
    heard(lab)
    one.round()
    assert one.create() == "web"
    stored = status(lab.fake)
    lab.fake.put(PROFILES, "p", spec={"labelSuffixes": {"app": "-other"}}, status=stored)
    until(lambda: lab.source.view.profiles["p"].label_suffixes == (("app", "-other"),))
    one.round()
    assert one.create() == "web-other"
    one.round()
    assert status(lab.fake)["conditions"] == []
    one.create(ALONE - 1)
    one.round()
    assert one.create() == "web"


def test_a_controller_that_does_not_select_by_the_label_goes_on(lab):
    """The twin: hundreds of pods in a second, each with the label changed, and nobody is told anything."""
    put(lab.fake, "apps/v1", "ReplicaSet", {"matchLabels": {"tier": "front"}}, uid="u-1", name="web-1")
    one = lab.replica()
    for _ in range(30):
        assert one.create(10) == "web-colo"
        one.round()
    assert one.metric("colocation_webhook_labels_kept") == "0.0"
    assert status(lab.fake) == {}
    reads = [path for method, path in lab.fake.requests if method == "GET" and "replicasets" in path]
    assert len(reads) == 1, "its selector is read once"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("CloneSet", None), ("ReplicaSet", 403), ("ReplicaSet", 500)],
)
def test_what_cannot_be_read_is_judged_by_the_count(lab, kind, answer):
    """A kind whose selector is not known, a right that is missing, an API server that fails."""
    one = lab.replica()
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets/web-1"
    lab.fake.failures["GET", path] = [(answer, {"kind": "Status"})] * 9 if answer else []
    owner = OWNER | {"kind": kind}
    one.create(ALONE - 1, owner)
    one.round()
    assert one.create(1, owner) == "web-colo"
    one.round()
    assert one.create(1, owner) == "web"


def test_an_owner_that_does_not_exist_is_passed_over(lab):
    """Reviews that somebody made up lead to nothing but a read."""
    one = lab.replica()
    for number in range(40):
        one.create(ALONE, OWNER | {"name": f"made-up-{number}", "uid": f"m-{number}"})
    for _ in range(4):
        one.round()
    assert one.metric("colocation_webhook_labels_kept") == "0.0"
    assert status(lab.fake) == {}


@pytest.mark.parametrize(("settings", "request_"), [({}, {"dryRun": True}), ({"mode": Mode.AUDIT}, {})])
def test_what_takes_no_effect_is_not_counted(lab, settings, request_):
    """Dry runs, and audit mode."""
    one = lab.replica(**settings)
    one.create(3 * ALONE, **request_)
    one.round()
    assert one.metric("colocation_webhook_labels_kept") == "0.0"


def test_without_reports_each_replica_decides_alone(lab):
    """Statuses are not written (--no-write-status)."""
    one = lab.replica(reports=False)
    one.create(ALONE)
    one.round()
    assert one.create() == "web"
    assert status(lab.fake) == {}


def test_a_status_that_cannot_be_written_stops_no_decision(lab, caplog):
    """Reports are tried again later; what is counted here is decided."""
    one = lab.replica()
    lab.fake.failures["PATCH", f"{PROFILES}/p/status"] = [(403, {"kind": "Status"})]
    one.create(TOGETHER)
    one.round()
    assert "cannot be informed" in caplog.text
    one.create(ALONE - TOGETHER)
    one.round()
    assert one.create() == "web"
    assert status(lab.fake) == {}
    lab.clock.seconds += 30
    one.round()
    assert [each["uid"] for each in status(lab.fake)["relabelledOwners"]] == ["u-1"]


def test_two_that_write_at_once_lose_nothing(lab):
    """A status that another changed meanwhile is read first, and then written."""
    one = lab.replica()
    one.create(ALONE)
    view = lab.source.cache.watched
    old = view()
    other = {**lab.fake.objects[PROFILES]["", "p"], "status": {"observedGeneration": 1}}
    lab.fake.store(PROFILES, ("", "p"), {**other, "metadata": dict(other["metadata"])})
    heard(lab)
    lab.source.cache.watched = lambda: old
    one.round()
    assert status(lab.fake) == {"observedGeneration": 1}
    lab.source.cache.watched = view
    one.round()
    assert [each["uid"] for each in status(lab.fake)["relabelledOwners"]] == ["u-1"]
    assert status(lab.fake)["observedGeneration"] == 1
