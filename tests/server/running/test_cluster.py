"""The service with a watched cluster: a real process, a fake API server."""

import concurrent.futures
import contextlib
import json
import threading

import orjson
import pytest
import yaml

from tests.kube.fakeapi import CLASSES, COLLECTIONS, NAMESPACES, PROFILES, FakeApi
from tests.ports import free_ports
from tests.server.running.service import PROFILE, REVIEW, Service
from tests.waiting import until
from webhook.admission.response import Answer
from webhook.admission.review import Webhook
from webhook.admission.settings import Settings
from webhook.admission.view import View
from webhook.cluster.source import LookUpError
from webhook.process.metrics import new_registry
from webhook.server.decisionlog import DecisionLog
from webhook.server.endpoint import answer
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings, ReviewEndpoint

HOME = orjson.loads(REVIEW)["request"]["namespace"]
METRICS = ReviewMetrics(new_registry())


class ClusterService(Service):
    """One ``serve`` process that watches ``fake``."""

    def __init__(self, folder, fake, *flags, prelude=""):
        super().__init__(folder, *flags, tls=False, prelude=prelude)
        config = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "namespace": "home"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{fake.port}"}}],
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        at = self.arguments.index("--objects")
        self.arguments[at : at + 2] = ["--kubeconfig", str(folder / "kubeconfig")]


@pytest.fixture
def fake():
    """A cluster with a profile and a class, and without the namespace of the review."""
    with FakeApi() as server:
        server.objects["/apis/coordination.k8s.io/v1/namespaces/home/leases"] = {}
        server.put(PROFILES, "spark", spec=yaml.safe_load(PROFILE)["spec"])
        server.put(CLASSES, "koord-batch", value=5000)
        server.put(NAMESPACES, "known")
        yield server


def held(fake, path):
    """An event: until it is set, the next GET of ``path`` gets no answer."""
    event = threading.Event()
    fake.late["GET", path] = lambda: event.wait(60)
    return event


def in_namespace(name):
    """The review of a pod in another namespace."""
    review = orjson.loads(REVIEW)
    review["request"]["namespace"] = name
    return orjson.dumps(review)


def test_reviews_readiness_metrics_and_statuses(tmp_path, fake):
    """What an installed replica does: decide by the cluster, tell its age, write statuses, give back."""
    with ClusterService(tmp_path, fake) as service:
        status, answer = service.post(body=in_namespace("known"))
        assert (status, answer["response"]["patchType"]) == (200, "JSONPatch")
        report = json.loads(service.admin("/readyz")[1])["view"]
        assert report["watched"]["namespaces"]["synced"] is True
        assert report["ageSeconds"] < 10
        until(
            lambda: service.metric(
                'colocation_webhook_watch_contact_timestamp_seconds{resource="namespaces"}'
            )
        )
        until(lambda: fake.objects[PROFILES]["", "spark"].get("status"))
        service.process.terminate()
        service.process.wait(10)
    lease = fake.objects["/apis/coordination.k8s.io/v1/namespaces/home/leases"]["", "colocation-webhook"]
    assert lease["spec"]["holderIdentity"] == ""


def test_a_namespace_made_a_moment_ago(tmp_path, fake):
    """One look-up, which keeps no other review waiting; where it fails, failurePolicy decides."""
    with ClusterService(tmp_path, fake, "--no-write-status") as service:
        status, answer = service.post()
        assert (status, answer["kind"], answer["reason"]) == (503, "Status", "ServiceUnavailable")
        assert HOME in answer["message"]
        fake.quietly(NAMESPACES, HOME)
        answers_now = held(fake, f"{NAMESPACES}/{HOME}")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(service.post) for _ in range(8)]
            until(lambda: service.metric("colocation_webhook_requests_in_flight") == 8)
            assert service.post(body=in_namespace("known"))[0] == 200
            assert not any(each.done() for each in waiting)
            answers_now.set()
            answers = [each.result() for each in waiting]
        assert all(a["response"]["patchType"] == "JSONPatch" for _, a in answers)
        assert fake.requests["GET", f"{NAMESPACES}/{HOME}"] == 2
        assert service.metric('colocation_webhook_namespace_lookups_total{result="found"}') == 8
        assert service.metric('colocation_webhook_namespace_lookups_total{result="failed"}') == 1


def test_a_look_up_ends_with_the_request_s_time(tmp_path, fake):
    """?timeout=500ms: a 503 before the API server answers; who has more time waits for that answer."""
    with ClusterService(tmp_path, fake, "--no-write-status") as service:
        fake.quietly(NAMESPACES, HOME)
        answers_now = held(fake, f"{NAMESPACES}/{HOME}")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            patient = pool.submit(service.post)
            status, answer = service.post("/mutate?timeout=500ms")
            assert not patient.done()
            answers_now.set()
            assert patient.result()[0] == 200
        assert status == 503
        assert "in time" in answer["message"]


def test_until_it_is_synced_nothing_is_decided(tmp_path, fake):
    """Reviews are 503 and so is /readyz, which names what is missing; then all comes by itself."""
    fake.failures["GET", CLASSES] = [(403, {"message": "priorityclasses is forbidden"})] * 999
    service = ClusterService(tmp_path, fake, "--no-write-status")
    service.begins = 503
    with service:
        until(lambda: b"priorityclasses is forbidden" in service.admin("/readyz")[1])
        until(lambda: b'"clustercolocationprofiles":{"synced":true' in service.admin("/readyz")[1])
        status, answer = service.post(body=in_namespace("known"))
        assert (status, "not synced yet: " in answer["message"]) == (503, True)
        assert "priorityclasses" in answer["message"]
        assert service.admin("/explain", REVIEW)[0] == 503
        fake.failures.clear()
        until(lambda: service.admin("/readyz")[0] == 200)
        assert service.post(body=in_namespace("known"))[0] == 200


def test_a_replica_with_an_old_view_gives_way_to_a_fresh_one(tmp_path, fake):
    """One that hears nothing of one kind stops being ready while its peer can serve; reviews go on."""
    stale = "colocation_webhook_view_stale"
    with FakeApi() as other, contextlib.ExitStack() as stack:
        other.objects |= fake.objects
        peers = free_ports(2)
        services = []
        for name, api, admin in (("a", fake, peers[0]), ("b", other, peers[1])):
            (tmp_path / name).mkdir()
            flags = ("--no-write-status", "--max-view-age", "2")
            service = ClusterService(tmp_path / name, api, *flags, *(f"--peer=127.0.0.1:{p}" for p in peers))
            service.admin_port = admin
            service.arguments += ["--admin-bind", f"127.0.0.1:{admin}"]
            services.append(stack.enter_context(service))
        a, b = services
        speak = threading.Event()
        silent = set()

        def speaking():
            while not speak.wait(0.3):
                for api in (fake, other):
                    for path in COLLECTIONS:
                        if (api, path) not in silent:
                            api.bookmark(path)

        thread = threading.Thread(target=speaking)
        thread.start()
        stack.callback(thread.join)
        stack.callback(speak.set)
        # One watch of one replica: the profiles'. It is refused from now on.
        silent.add((fake, PROFILES))
        until(lambda: _view(a) == (503, ["clustercolocationprofiles"], f"127.0.0.1:{peers[1]}"))
        until(lambda: a.metric(stale) == 1)
        until(lambda: (b.admin("/readyz")[0], b.metric(stale)) == (200, 0))
        assert a.post(body=in_namespace("known"))[0] == 200
        # Nobody hears anything: both serve.
        silent.update((api, path) for api in (fake, other) for path in COLLECTIONS)
        until(lambda: b.metric(stale) == 1)
        until(lambda: a.admin("/readyz")[0] == 200)
        assert b.admin("/readyz")[0] == 200
        # All is well again.
        silent.clear()
        until(lambda: json.loads(a.admin("/readyz")[1])["view"]["stale"] == [])
        until(lambda: a.metric(stale) == 0)


def _view(service):
    status, text = service.admin("/readyz")
    view = json.loads(text)["view"]
    return status, view["stale"], view.get("servedBy")


class Source:
    """A view without a namespace, and a look-up that ends as it is told."""

    def __init__(self, end):
        self.view = View(exhaustive=True)
        self._end = end

    def look_up(self, namespace):
        """Return a future that has ended, or the one that was given."""
        if isinstance(self._end, concurrent.futures.Future):
            return self._end
        future = concurrent.futures.Future()
        if isinstance(self._end, Exception):
            future.set_exception(self._end)
        else:
            self.view = View(exhaustive=True, namespaces={namespace: {}} if self._end else {})
            future.set_result(None)
        return future


def endpoint(webhook, end):
    """An endpoint whose look-ups end so."""
    return ReviewEndpoint(
        webhook, Source(end), CurrentSettings(Settings()), METRICS, DecisionLog("error", "json")
    )


@pytest.mark.parametrize(
    ("end", "status", "message"),
    [
        (True, 200, ""),
        (False, 503, "is gone again"),
        (LookUpError("cannot be looked up"), 503, "cannot be looked up"),
        (RuntimeError(), 503, "RuntimeError"),
    ],
)
def test_answers_after_a_look_up(end, status, message):
    """The blocking way in, which the Flask routes take."""
    given = answer(endpoint(Webhook.MUTATE, end), REVIEW, 1.0)
    assert given.status == status
    assert message in given.body.decode()


def test_a_look_up_that_takes_too_long_is_left_to_failure_policy():
    """The answer names the review; nobody waits for the look-up any more."""
    pending = concurrent.futures.Future()
    subject = endpoint(Webhook.MUTATE, pending)
    begun = subject.begin(REVIEW, 1.0)
    given = subject.late(begun, 1.0)
    assert (given.status, b"in time" in given.body) == (503, True)
    assert orjson.loads(REVIEW)["request"]["uid"] in given.body.decode()
    assert begun.cancelled()
    assert pending.cancelled()


def test_only_pods_are_looked_up():
    """A profile has no namespace; other kinds are none of our business."""
    subject = endpoint(Webhook.VALIDATE, LookUpError("x"))
    for changes in ({"namespace": ""}, {"resource": {"group": "", "version": "v1", "resource": "services"}}):
        review = orjson.loads(REVIEW)
        review["request"] |= changes
        assert isinstance(subject.begin(orjson.dumps(review), 1.0), Answer)


def test_a_look_up_that_ends_with_the_service_is_no_error(caplog):
    """Its review gets an answer all the same."""
    pending = concurrent.futures.Future()
    begun = endpoint(Webhook.MUTATE, pending).begin(REVIEW, 1.0)
    pending.cancel()
    pending.set_running_or_notify_cancel()
    assert (begun.result(0).status, b"is ending" in begun.result(0).body) == (503, True)
    assert not caplog.records


NAMES = ["zz/0", "..", "a.b", "A", "-a", "a-", "a" * 64, "%2e", "a b", "a\n", "é", "a?watch=1", "0/finalize"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_namespace_has_is_not_looked_up(name):
    """It is refused at once, by name."""
    given = endpoint(Webhook.MUTATE, AssertionError("looked up")).begin(in_namespace(name), 1.0)
    assert (given.status, b"is no DNS label" in given.body) == (400, True)


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a" * 63, "kube-system"])
def test_a_name_that_a_namespace_may_have_is_looked_up(name):
    """Nothing else is refused."""
    assert answer(endpoint(Webhook.MUTATE, True), in_namespace(name), 1.0).status == 200
