"""``serve --scheduler``: a real process that answers a scheduler's calls, a fake API server."""

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.binding.builders import EVENTS, node, nrt, store
from tests.kube.fakeapi import NAMESPACES
from tests.scheduling.builders import args, evictions, waiting
from tests.server.running.test_cluster import ClusterService, in_namespace
from tests.server.running.test_cluster import fake as fake  # noqa: PLC0414 — a fixture
from tests.waiting import until
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.cli.main import main
from webhook.kube.paths import NODES, PODS
from webhook.scheduling.service import NODEMETRICS

CPUSETS = ("--cpusets", "--cpusets-lease", "home/cpusets")
HOT = "node(s) cpu usage exceed threshold"


@pytest.fixture
def settings(tmp_path):
    """A file of settings with all defaults."""
    file = tmp_path / "scheduler.yaml"
    file.write_text("loadAware: {}\n")
    return file


@pytest.fixture
def cluster(fake):
    """Two nodes of 16 CPUs, one of them hot, and one without a topology."""
    for path in (PODS, NODES, TOPOLOGIES, LEDGERS, EVENTS, NODEMETRICS):
        fake.objects[path] = {}
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    for name, cpu in (("cool", "2"), ("hot", "15"), ("bare", "1")):
        made = node(name, uid=f"uid-{name}")
        store(fake, NODES, {**made, "status": {"allocatable": {"cpu": "16", "memory": "64Gi"}}})
        usage = {"nodeUsage": {"resources": {"cpu": cpu, "memory": "1Gi"}}}
        status = {"updateTime": now, "nodeMetric": usage}
        store(fake, NODEMETRICS, {"metadata": {"name": name, "resourceVersion": "1"}, "status": status})
        if name != "bare":
            store(fake, TOPOLOGIES, nrt(name=name))
    fake.put(NAMESPACES, "d", metadata={"labels": {"colocation-webhook.io/cpuset": "enabled"}})
    return fake


def test_the_three_verbs(tmp_path, cluster, settings):
    """Ready when all is read; each node passes or has its reason; scores and victims."""
    with ClusterService(tmp_path, cluster, *CPUSETS, "--scheduler", settings) as service:
        of = waiting("p", "4")
        status, answer = service.post("/scheduler/filter", args(of, "cool", "hot", "bare"))
        assert (status, answer["NodeNames"], answer["Error"]) == (200, ["cool"], "")
        reasons = {"hot": HOT, "bare": "no NodeResourceTopology"}
        assert answer["FailedAndUnresolvableNodes"] == reasons
        _, scores = service.post("/scheduler/prioritize", args(waiting("q", "4", "LS"), "cool", "hot"))
        found = {each["Host"]: each["Score"] for each in scores}
        assert found["cool"] > found["hot"]
        _, kept = service.post("/scheduler/preempt", evictions(of, cool=["a"], hot=["b"]))
        assert list(kept["NodeNameToMetaVictims"]) == ["cool"]
        watched = json.loads(service.admin("/readyz")[1])["view"]["watched"]
        assert watched["scheduler-nodemetrics"]["synced"]
        calls = 'colocation_webhook_scheduler_calls_total{outcome="answered",verb="filter"} 1.0'
        assert service.metric(calls)


def test_large_calls(tmp_path, cluster, settings):
    """10,000 names, more than is decided on in the event loop, while a review is answered."""
    names = ["cool", *(f"node-{number:05d}" for number in range(10_000))]
    with ClusterService(tmp_path, cluster, *CPUSETS, "--scheduler", settings) as service:
        status, answer = service.post("/scheduler/filter", args(waiting("p", "4"), *names))
        assert (status, answer["NodeNames"]) == (200, ["cool"])
        assert len(answer["FailedAndUnresolvableNodes"]) == 10_000


HELD = """
import pathlib, time
from webhook.scheduling.endpoint import Extender
answer = Extender.filter
def late(self, body):
    pathlib.Path("begun").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return answer(self, body)
Extender.filter = late
"""


def test_reviews_are_answered_while_a_call_is_computed(tmp_path, cluster, settings):
    """However long it takes: a call has a thread of its own, and the next one waits for it."""
    flags = (*CPUSETS, "--scheduler", settings)
    with (
        ClusterService(tmp_path, cluster, *flags, prelude=HELD) as service,
        ThreadPoolExecutor(2) as threads,
    ):

        def call(verb):
            wanted = args(waiting(verb, "4", "LS"), "cool", "hot")
            return threads.submit(service.post, f"/scheduler/{verb}", wanted)

        calls = [call("filter")]
        until((tmp_path / "begun").exists)
        calls.append(call("prioritize"))
        for _ in range(20):
            status, answer = service.post(body=in_namespace("known"))
            assert (status, answer["response"]["allowed"]) == (200, True)
        assert not any(call.done() for call in calls)
        (tmp_path / "go").touch()
        assert [call.result(10)[0] for call in calls] == [200, 200]


def test_without_definitions_of_metrics_pods_are_placed(tmp_path, cluster, settings):
    """Where NodeMetrics are unknown no node has one: load keeps no pod out."""
    del cluster.objects[NODEMETRICS]
    with ClusterService(tmp_path, cluster, *CPUSETS, "--scheduler", settings) as service:
        _, answer = service.post("/scheduler/filter", args(waiting("p", "4", "LS"), "cool", "hot"))
        assert answer["NodeNames"] == ["cool", "hot"]


def test_what_is_refused_before_it_is_read(tmp_path, cluster, settings):
    """Content type and form are checked as for the other paths; without the flag there is no path."""
    with ClusterService(tmp_path, cluster, *CPUSETS, "--scheduler", settings) as service:
        assert service.post("/scheduler/filter", b"{}", {"Content-Type": "text/plain"})[0] == 415
        status, answer = service.post("/scheduler/filter", b"[]")
        assert (status, "must be an object" in answer["message"]) == (400, True)
        status, answer = service.post("/scheduler/filter", b"{}")
        assert (status, "Pod: must be an object" in answer["Error"]) == (200, True)
        status, answer = service.post("/scheduler/prioritize", b"{}")
        assert (status, "Pod: must be an object" in answer["message"]) == (400, True)
        assert service.post("/scheduler/bind", b"{}")[0] == 404
    with ClusterService(tmp_path, cluster) as service:
        assert service.post("/scheduler/filter", args(waiting(), "cool"))[0] == 404


def test_wrong_flags(settings):
    """Files have no nodes: a usage error that says what to give."""
    flags = ["serve", "--no-tls", "--scheduler", str(settings)]
    objects = Path(__file__).parents[3] / "examples" / "objects"
    result = CliRunner().invoke(main, [*flags, "--objects", str(objects)])
    assert result.exit_code == 2
    assert "--scheduler needs a cluster" in result.output
