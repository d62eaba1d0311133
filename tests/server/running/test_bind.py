"""``serve --cpusets``: a real process that answers /bind, a fake API server."""

import concurrent.futures
import json

import pytest

from tests.binding import builders
from tests.binding.builders import EVENTS, held, node, nrt, pod, review, store
from tests.kube.fakeapi import NAMESPACES
from tests.server.running.test_cluster import ClusterService
from tests.server.running.test_cluster import fake as fake  # noqa: PLC0414 — a fixture
from tests.waiting import until
from webhook.binding import endpoint
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.kube.paths import NODES, PODS
from webhook.server.http import exchange

FLAGS = ("--cpusets", "--cpusets-lease", "home/cpusets", "--cpusets-grace", "1")


@pytest.fixture
def cluster(fake):
    """The cluster with a node of 16 CPUs and two pods."""
    for path in (PODS, NODES, TOPOLOGIES, LEDGERS, EVENTS):
        fake.objects[path] = {}
    store(fake, NODES, node())
    store(fake, TOPOLOGIES, nrt())
    store(fake, PODS, pod())
    store(fake, PODS, pod("ls", qos="LS"))
    fake.put(NAMESPACES, "d", metadata={"labels": {"colocation-webhook.io/cpuset": "enabled"}})
    fake.put(NAMESPACES, "other")
    return fake


def test_a_binding_from_review_to_ledger_and_back(tmp_path, cluster):
    """Ready when all is read; a set, books about it; the entry goes when the pod was never bound."""
    with ClusterService(tmp_path, cluster, *FLAGS) as service:
        status, answer = service.post("/bind", review(pod()))
        assert (status, answer["response"]["patchType"]) == (200, "JSONPatch")
        assert held(cluster) == {"p": "0,8"}
        assert service.post("/bind", review(pod("ls", qos="LS")))[1]["response"] == {
            "uid": "r",
            "allowed": True,
        }
        assert service.metric('colocation_webhook_bindings_total{outcome="set"} 1.0')
        assert service.metric('colocation_webhook_bindings_total{outcome="none"} 1.0')
        watched = json.loads(service.admin("/readyz")[1])["view"]["watched"]
        assert watched["nodecpuallocations"]["synced"]
        until(lambda: held(cluster) == {})


def test_a_pod_of_another_namespace_gets_nothing(tmp_path, cluster):
    """The API server does not ask about it; who does is no API server."""
    made = pod("forged")
    made["metadata"]["namespace"] = "other"
    store(cluster, PODS, made)
    body = json.loads(review(pod("forged")))
    body["request"]["namespace"] = "other"
    with ClusterService(tmp_path, cluster, *FLAGS) as service:
        answer = service.post("/bind", json.dumps(body).encode())[1]
        assert answer["response"] == {"uid": "r", "allowed": True}
        assert held(cluster) is None
        body["request"]["namespace"] = "unknown"
        assert service.post("/bind", json.dumps(body).encode())[0] == 503


def test_one_that_waits_keeps_nobody_waiting(tmp_path, cluster):
    """The API server is slow: a binding that needs it waits, others and pods are answered meanwhile."""
    with (
        ClusterService(tmp_path, cluster, *FLAGS) as service,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        cluster.lag = 2.0
        slow = pool.submit(service.post, "/bind", review(pod()))
        late = pool.submit(service.post, "/bind?timeout=1s", review(pod()))
        for _ in range(20):
            assert service.post("/bind", review(pod("ls", qos="LS")))[0] == 200
        assert not slow.done()
        assert late.result()[0] == 503
        cluster.lag = 0.0
        assert slow.result()[0] == 200


def test_what_is_refused_before_it_is_read(tmp_path, cluster):
    """Content type, size and method are checked as for the other paths; without the flag there is no path."""
    with ClusterService(tmp_path, cluster, *FLAGS) as service:
        assert service.post("/bind", b"{}", {"Content-Type": "text/plain"})[0] == 415
        assert service.post("/bind", b"{")[0] == 400
        assert service.request("GET", "/bind")[0] in {404, 405}
    with ClusterService(tmp_path, cluster) as service:
        assert service.post("/bind", review(pod()))[0] == 404
    assert builders.held(cluster) is None


def test_the_front_gives_up_only_after_the_endpoint():
    """The endpoint's own answer is counted, and says what there was no time for."""
    assert exchange.ANSWER_SECONDS < endpoint.RESERVE_SECONDS
