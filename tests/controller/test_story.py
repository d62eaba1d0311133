"""Two replicas of the controller, whatever happens to metrics, pods, configuration, clocks and the leader.

Both are real; the API server, its watches and the Lease are this module's, in one thread, so that hypothesis
decides who hears of what when.
"""

import copy
import datetime as dt
import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from tests.capacity.cluster import batch_pod, config, metric, node, ours, pod
from webhook.controller.capacity import CapacityController
from webhook.controller.metrics import CapacityMetrics
from webhook.controller.state import State

CPU = "kubernetes.io/batch-cpu"
ANNOTATION = "colocation-webhook.io/batch-capacity"
HOLD, STEP = 120, 3200  # seconds; a tenth of the node's milli-cores
LEASE_SECONDS = 30
LATE, TOO_LATE = 180, 900
GOOD, OFF = config(), config(enable=False)
CONFIGS = [
    GOOD,
    GOOD,
    OFF,
    config(cpuReclaimThresholdPercent=80),
    config(cpuCalculatePolicy="maxUsageRequest"),
    config(**ours(policy="peak")),
    {**config(), "data": {"colocation-config": "{"}},
]


def published(obj: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Return a node after an apply of all that is to be ours, or after all of it was taken off as null."""
    made = copy.deepcopy(obj)
    figures, noted = figures_of(body), body["metadata"].get("annotations", {})
    native = {key: value for key, value in made["status"]["allocatable"].items() if "/" not in key}
    made["status"]["allocatable"] = {**native, **figures}
    made["metadata"]["annotations"] = {key: value for key, value in noted.items() if value is not None}
    ours = {
        "f:metadata": {"f:annotations": {f"f:{key}": {} for key in noted}},
        "f:status": {"f:allocatable": {f"f:{key}": {} for key in figures}},
    }
    manager = {"manager": "colocation-webhook-capacity", "fieldsV1": ours}
    made["metadata"]["managedFields"] = [manager] if figures else []
    return made


def figures_of(body: dict[str, Any]) -> dict[str, str]:
    """Return the figures of a write; none where it takes them off."""
    written = body.get("status", {}).get("allocatable", {})
    return {key: value for key, value in written.items() if value is not None}


class NoSLOs:
    """NodeSLOs have tests of their own."""

    def step(self) -> None:
        """Keep none."""

    def forget(self) -> None:
        """Remember none."""


class Replica:
    """A process: what it was sent and has not heard of yet, and what it knows."""

    def __init__(self, world: "Story") -> None:
        self._world = world
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.state = State(
            self,  # type: ignore[arg-type]
            ("k", "slo-controller-config"),
            clock=lambda: world.seconds,
            now=lambda: world.now,
        )
        self.controller = CapacityController(self.state, self, CapacityMetrics(CollectorRegistry()))  # type: ignore[arg-type]
        self.controller._slos = NoSLOs()  # type: ignore[assignment]
        for kind, store in self.stores.items():
            store.replace([store.listed(each) for each in world.objects(kind)])
        self.state.nodeslos.replace([])
        self.state.leases.replace([])

    @property
    def stores(self) -> dict[str, Any]:
        """What is watched."""
        of = self.state
        return {"Node": of.nodes, "NodeMetric": of.metrics, "Pod": of.pods, "ConfigMap": of.configurations}

    def hear(self) -> None:
        """Hear of everything."""
        for event, obj in self.heard:
            getattr(self.stores[obj["kind"]], event)(copy.deepcopy(obj))
        self.heard.clear()

    def elected(self) -> bool:
        """Stand for the Lease."""
        return self._world.elected(self)

    def call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Answer as an API server."""
        return self._world.call(self, method, path, more["body"])


class Story(RuleBasedStateMachine):
    """A node, two replicas, and what must never be written."""

    def __init__(self) -> None:
        super().__init__()
        self.now = dt.datetime(2026, 1, 31, 8, 0, 42, tzinfo=dt.UTC)
        self.seconds = 1000.0
        self.node = node()
        self.node["metadata"] |= {"uid": "u", "managedFields": []}
        self.configmap = GOOD
        self.configmap["metadata"]["namespace"] = "k"
        self.metric: dict[str, Any] | None = None
        self.pods: dict[str, dict[str, Any]] = {}
        self.holder: Replica | None = None
        self.renewed = 0.0
        self.writes: list[tuple[float, dt.datetime, int]] = []
        self.before_the_clock_went_back = 0
        self.number = 0
        self.wrong: list[AssertionError] = []
        self.replicas = [Replica(self), Replica(self)]

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Raise what was wrong with a write."""
        if self.wrong:
            raise self.wrong[0]

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        found = {
            "Node": [self.node],
            "NodeMetric": [self.metric] if self.metric else [],
            "Pod": list(self.pods.values()),
            "ConfigMap": [self.configmap],
        }[kind]
        return copy.deepcopy(found)

    def send(self, event: str, obj: dict[str, Any]) -> None:
        """Tell all replicas, which hear of it when they do."""
        for each in self.replicas:
            each.heard.append((event, copy.deepcopy(obj)))

    def elected(self, replica: Replica) -> bool:
        """Give the Lease to whoever asks while nobody holds it."""
        if self.holder is not replica and self.seconds - self.renewed < LEASE_SECONDS:
            return False
        self.holder, self.renewed = replica, self.seconds
        return True

    def call(self, replica: Replica, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as an API server: a NodeMetric that is made, a status that is applied."""
        try:
            assert self.holder is replica
            if path.endswith("/status"):
                self.check(replica, body)
        except AssertionError as error:  # the controller passes over a node with an exception
            self.wrong.append(error)
        if method == "POST":
            self.metric = {"kind": "NodeMetric", **body, "status": {}} if self.metric is None else self.metric
            self.send("changed", self.metric)
            return self.metric
        if "nodemetrics" in path:
            return {}
        self.node = published(self.node, body)
        self.send("changed", self.node)
        return copy.deepcopy(self.node)

    def offered(self) -> int | None:
        """Return what the node offers."""
        raw = self.node["status"]["allocatable"].get(CPU)
        return None if raw is None else int(raw)

    def check(self, replica: Replica, body: dict[str, Any]) -> None:
        """No double write, no jump, no figure below the floor, no withdrawal without cause."""
        figures = figures_of(body)
        old, raw = self.offered(), figures.get(CPU)
        new = None if raw is None else int(raw)
        up_to_date = not any(obj["kind"] == "Node" for _, obj in replica.heard)
        noted = json.loads(body["metadata"].get("annotations", {}).get(ANNOTATION) or "{}")
        if up_to_date and old is not None:
            there = {key: value for key, value in self.node["status"]["allocatable"].items() if "/" in key}
            before = json.loads(self.node["metadata"]["annotations"][ANNOTATION])
            assert figures != there or noted.get("state") != before["state"], "written twice"
        assert not self.writes or self.seconds - self.writes[-1][0] >= 10
        known = replica.state.pods.on_node("node-1")
        floor = sum(each.colocated.get(CPU, 0) for each in known)
        assert (new or 0) >= floor
        if new is not None and up_to_date:
            self.check_rise(old, new, floor)
        self.check_cause(replica, noted.get("state", "removed"))
        self.writes.append((self.seconds, self.now, 0 if old is None or new is None else new - old))

    def check_rise(self, old: int | None, new: int, floor: int) -> None:
        """A figure grows by a step, after a time in which none was written that was smaller."""
        if old is None or new <= max(old, floor):
            return
        assert new - old <= STEP
        for _, when, change in self.writes[self.before_the_clock_went_back :]:
            if change < 0:
                assert (self.now - when).total_seconds() >= HOLD

    def check_cause(self, replica: Replica, state: str) -> None:
        """Held and withdrawn only for a metric that is late or not there; off only if switched off."""
        known = replica.state.metrics.values.get(("", "node-1"))
        updated = known.metric.update_time if known else None
        age = None if updated is None else (self.now - updated).total_seconds()
        enabled = bool(replica.state.configuration.cluster.get("enable"))
        if state == "removed":
            assert not enabled or age is None or age > TOO_LATE
        elif state == "off":
            assert not enabled
        else:
            fresh = age is not None and abs(age) <= LATE
            assert enabled
            assert (state == "applied") == fresh
            assert state != "withdrawn" or age is None or age > TOO_LATE

    def measure(self, used: int) -> None:
        """Let the agent write what online pods use."""
        measured = metric(("a/gone", f"{used}m", "1Gi"), at=self.now.isoformat())
        self.metric = {**(self.metric or {}), **measured}
        self.send("changed", self.metric)

    def start(self, obj: dict[str, Any]) -> None:
        """Bind a pod."""
        self.number += 1
        self.pods[obj["metadata"]["name"]] = obj
        self.send("changed", obj)

    def set_configmap(self, configmap: dict[str, Any]) -> None:
        """Write the ConfigMap."""
        self.configmap = copy.deepcopy(configmap)
        self.configmap["metadata"]["namespace"] = "k"
        self.send("changed", self.configmap)

    @rule(uses=st.lists(st.sampled_from([0, 3000, 12_000, 30_000]), min_size=1, max_size=8))
    def work(self, uses: list[int]) -> None:
        """Online use changes, is measured each 20 seconds, and both replicas go round."""
        for used in uses:
            self.pass_time(20)
            self.measure(used)
            for each in self.replicas:
                each.hear()
                each.controller.step()

    @rule(which=st.integers(0, 1), used=st.sampled_from([0, 12_000]))
    def act_on_old_news(self, which: int, used: int) -> None:
        """A replica goes round without having heard what is new."""
        self.measure(used)
        self.replicas[which].controller.step()
        self.replicas[which].controller.step()

    @rule(requested=st.integers(0, 20_000))
    def bind(self, requested: int) -> None:
        """The scheduler binds batch work where there is room."""
        requests = [each["spec"]["containers"][0]["resources"]["requests"] for each in self.pods.values()]
        floor = sum(int(each.get(CPU, 0)) for each in requests)
        if requested <= (self.offered() or 0) - floor:
            self.start(batch_pod(f"a/batch-{self.number}", str(requested)))

    @rule(requested=st.integers(0, 8000))
    def start_online(self, requested: int) -> None:
        """An online pod is bound."""
        started = self.now.isoformat()
        self.start(pod(f"a/web-{self.number}", {"cpu": f"{requested}m"}, started=started))

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def end(self, data: Any) -> None:
        """A pod ends."""
        name = data.draw(st.sampled_from(sorted(self.pods)))
        self.send("deleted", self.pods.pop(name))

    @rule(configmap=st.sampled_from(CONFIGS), seconds=st.sampled_from([0, 60]))
    def configure(self, configmap: dict[str, Any], seconds: int) -> None:
        """The ConfigMap is changed for a time, perhaps to nonsense."""
        self.set_configmap(configmap)
        self.pass_time(seconds)
        for each in self.replicas:
            each.hear()
            each.controller.step()
        if seconds:
            self.set_configmap(GOOD)

    @rule(seconds=st.sampled_from([1, 5, 10, 30, 60, 130, 300, 1000]))
    def pass_time(self, seconds: int) -> None:
        """Time passes."""
        self.seconds += seconds
        self.now += dt.timedelta(seconds=seconds)

    @rule(seconds=st.sampled_from([-3600, -100, -5, 5, 100]))
    def jump(self, seconds: int) -> None:
        """A clock is set."""
        self.now += dt.timedelta(seconds=seconds)
        if seconds < 0:
            self.before_the_clock_went_back = len(self.writes)

    @rule(which=st.integers(0, 1))
    def kill(self, which: int) -> None:
        """A replica, perhaps the leader, ends without a word, and another begins."""
        self.replicas[which] = Replica(self)

    @rule()
    def rest(self) -> None:
        """With little use and a metric each 20 seconds the figure comes back, and then nothing is written."""
        self.set_configmap(GOOD)
        self.work([0] * 40)
        written = len(self.writes)
        self.work([0] * 15)
        assert self.offered() is not None
        assert len(self.writes) == written, self.writes[-5:]


TestStory = Story.TestCase
TestStory.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class Many:
    """A cluster in which many nodes appear at once; one replica, which is the leader."""

    def __init__(self, count: int) -> None:
        self.now, self.seconds = dt.datetime(2026, 1, 31, 8, 0, 42, tzinfo=dt.UTC), 1000.0
        self.nodes = {f"node-{i}": self.named(node(), i) for i in range(count)}
        self.metrics = [self.named(metric(), i) for i in range(count)]
        self.writes: list[str] = []

    def named(self, obj: dict[str, Any], number: int) -> dict[str, Any]:
        """Return an object of a node."""
        return {**obj, "metadata": {**obj["metadata"], "name": f"node-{number}", "uid": str(number)}}

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        configmap = {**GOOD, "metadata": {**GOOD["metadata"], "namespace": "k"}}
        found = {"Node": list(self.nodes.values()), "NodeMetric": self.metrics, "ConfigMap": [configmap]}
        return found.get(kind, [])

    def elected(self, _: Replica) -> bool:
        """Give the Lease to the only one who asks."""
        return True

    def call(self, _: Replica, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Apply a status."""
        if method != "PATCH" or not path.endswith("/status"):
            return {}
        name = body["metadata"]["name"]
        self.writes.append(name)
        obj = self.nodes[name] = published(self.nodes[name], body)
        return obj


def test_many_nodes_at_once() -> None:
    """5,000 nodes are written once each, in one round, and then no more."""
    world = Many(5000)
    replica = Replica(world)  # type: ignore[arg-type]
    replica.controller.step()
    assert sorted(world.writes) == sorted(world.nodes)
    world.seconds += 20
    replica.controller.step()
    assert len(world.writes) == 5000
    assert {each["status"]["allocatable"][CPU] for each in world.nodes.values()} == {"19200"}
