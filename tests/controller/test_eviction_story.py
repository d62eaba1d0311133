"""Two replicas of the evictor, whatever happens to requests, pods, disruption budgets, clocks and the leader.

Both are real; the API server, its watches and the Lease are this module's, in one thread, so that hypothesis
decides who hears of what when, and who believes to lead.
"""

import copy
import datetime as dt
from collections import Counter, defaultdict
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from prometheus_client import CollectorRegistry

from tests.capacity.cluster import node as node_object
from tests.eviction.builders import GI, be_pod, memory_ask
from webhook.controller.evictionstate import EvictionState
from webhook.controller.evictor import EvictionSettings, Evictor
from webhook.controller.metrics import EvictionMetrics
from webhook.eviction.budget import Budget
from webhook.eviction.candidates import Use
from webhook.eviction.request import request_body
from webhook.kube.client import ApiError

NODES = ("n1", "n2")
BUDGET = Budget(4, 3, 2)
PER_POD = 3 * GI
FRESH = 15
LS = {"koordinator.sh/qosClass": "LS", "koordinator.sh/priority-class": "koord-prod"}


class Replica:
    """A process: what it was sent and has not heard of yet, and what it knows."""

    def __init__(self, world: "Story") -> None:
        self._world = world
        self.heard: list[tuple[str, str, dict[str, Any]]] = []
        clocks: dict[str, Any] = {"clock": lambda: world.seconds, "now": lambda: world.now}
        self.watched = EvictionState(self, **clocks)  # type: ignore[arg-type]
        self.evictor = Evictor(
            self.watched,
            lambda: world.leads(self),
            EvictionSettings(BUDGET),
            EvictionMetrics(CollectorRegistry()),
            self,  # type: ignore[arg-type]
        )
        for kind, store in self.stores.items():
            store.replace([store.listed(copy.deepcopy(each)) for each in world.objects[kind].values()])

    @property
    def stores(self) -> dict[str, Any]:
        """What is watched."""
        of = self.watched
        return {"Node": of.nodes, "Pod": of.pods, "NodeEvictionRequest": of.requests}

    def hear(self) -> None:
        """Hear of everything."""
        for event, kind, obj in self.heard:
            getattr(self.stores[kind], event)(copy.deepcopy(obj))
        self.heard.clear()

    def record(self, event: Any) -> None:
        """Take an Event: it is of the pod that went, and has its figures."""
        self._world.expect("release" in event.message and "used" in event.message, event)

    def call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Answer as an API server."""
        return self._world.call(self, method, path, copy.deepcopy(more["body"]))


class Story(RuleBasedStateMachine):
    """Two nodes, two replicas, and what must never be done."""

    def __init__(self) -> None:
        super().__init__()
        self.now = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
        self.seconds = 1000.0
        self.version = self.number = 0
        self.objects: dict[str, dict[str, Any]] = {"Node": {}, "Pod": {}, "NodeEvictionRequest": {}}
        self.replicas: list[Replica] = []
        for name in NODES:
            made = node_object("16", "100Gi")
            made["metadata"] |= {"name": name, "uid": f"u-{name}"}
            self.put("Node", made)
        self.protected: set[str] = set()
        self.believing: set[int] = {0}
        self.doubtful_until = self.jumped_at = self.taken_over_at = 0.0
        self.noted: dict[str, tuple[Replica, str]] = {}
        self.gone: list[tuple[float, str, str]] = []
        self.asked: dict[tuple[str, str], tuple[int, frozenset[str]]] = {}
        self.by_figures: dict[tuple[str, str], list[Replica]] = defaultdict(list)
        self.ended: dict[str, float] = {}
        self.wrong: list[str] = []
        self.replicas = [Replica(self), Replica(self)]
        for node in NODES:
            for job in "jkljkl":
                self.start_pod(node, job, online=False)

    # --- the API server

    def put(self, kind: str, obj: dict[str, Any]) -> dict[str, Any]:
        """Store an object and send it."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[kind][obj["metadata"]["name"]] = obj
        for each in self.replicas:
            each.heard.append(("changed", kind, copy.deepcopy(obj)))
        return copy.deepcopy(obj)

    def drop(self, kind: str, name: str) -> None:
        """Delete an object and say so."""
        obj = self.objects[kind].pop(name)
        for each in self.replicas:
            each.heard.append(("deleted", kind, copy.deepcopy(obj)))

    def call(self, who: Replica, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer, and look whether it may be asked."""
        name = path.rsplit("/", 2)[1]
        if method == "PATCH":
            there = self.objects["NodeEvictionRequest"].get(name)
            if there is None:
                raise ApiError("gone", status=404)
            if body["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"]:
                raise ApiError("changed", status=409)
            self.noted[name] = (who, there["spec"]["observedAt"])
            return self.put("NodeEvictionRequest", {**there, "status": body["status"]})
        self.expect(method == "POST" and path.endswith("/eviction"), path)
        pod = self.objects["Pod"].get(name)
        if pod is None:
            raise ApiError("gone", status=404)
        self.expect(pod["metadata"]["uid"] not in self.ended, f"{name} was asked to end already")
        if body["deleteOptions"]["preconditions"]["uid"] != pod["metadata"]["uid"]:
            raise ApiError("another", status=409)
        if name in self.protected:
            raise ApiError("Cannot evict pod: disruption budget", status=429)
        self._evicted(who, pod)
        return {"status": "Success"}

    def _evicted(self, who: Replica, pod: dict[str, Any]) -> None:
        """Look whether this may be, and let it end."""
        name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
        request = self.objects["NodeEvictionRequest"][node]
        noted_by, observed = self.noted[node]
        self.expect(noted_by is who, f"{name} without a note of its own")
        self.expect(name in {each["name"] for each in request["status"]["evictions"]}, f"{name} is not noted")
        self.expect(name.startswith("be"), f"{name} is online")
        age = (self.now - dt.datetime.fromisoformat(observed)).total_seconds()
        self.expect(abs(age) <= FRESH, f"figures of {age} s")
        asked, seen = self.asked[node, observed]
        acted = self.by_figures[node, observed]
        self.expect(len(acted) * PER_POD < asked, f"{name} is more than {asked}")
        acted.append(who)
        self.expect(len(set(acted)) == 1, "two acted upon the same figures")
        ending = [
            each
            for each in self.objects["Pod"].values()
            if each["spec"]["nodeName"] == node
            and each["metadata"]["uid"] in seen
            and self.seconds - self.ended.get(each["metadata"]["uid"], -60) < 60
        ]
        if self.seconds - self.jumped_at >= 60:
            self.expect(len(ending) * PER_POD < asked, f"{name}, where {len(ending)} end")
        self.ended[pod["metadata"]["uid"]] = self.seconds
        self.gone.append((self.seconds, node, pod["metadata"]["ownerReferences"][0]["uid"]))
        self.budgets(node)
        metadata = {
            **pod["metadata"],
            "deletionTimestamp": (self.now + dt.timedelta(seconds=30)).isoformat(),
            "deletionGracePeriodSeconds": 30,
        }
        self.put("Pod", {**pod, "metadata": metadata})

    def budgets(self, node: str) -> None:
        """Look at the last minute, unless two led, or clocks jumped when another took over."""
        if self.seconds < self.doubtful_until:
            return
        minute = [each for each in self.gone if self.seconds - each[0] < 60]
        self.expect(len(minute) <= BUDGET.cluster, f"{len(minute)} of the cluster")
        self.expect(sum(each[1] == node for each in minute) <= BUDGET.node, f"too many of {node}")
        self.expect(
            max(Counter(each[2] for each in minute).values()) <= BUDGET.workload, "too many of a workload"
        )

    def expect(self, holds: bool, what: object) -> None:  # noqa: FBT001 — a condition
        """Remember what was wrong: a replica would catch an exception."""
        if not holds:
            self.wrong.append(str(what))

    def leads(self, who: Replica) -> bool:
        """Whether a replica believes to lead."""
        return self.replicas.index(who) in self.believing

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Raise what was wrong."""
        assert self.wrong == []

    # --- what happens

    @rule(
        node=st.sampled_from(NODES),
        percent=st.integers(60, 85),
        late=st.sampled_from([0, 0, 0, 5, 14, 16, 60, -20]),
    )
    def measure(self, node: str, percent: int, late: int) -> None:
        """An agent asks, or says that all is well."""
        ask = memory_ask(percent)
        asks = [ask] if ask.release > 0 else []
        uses = {
            each["metadata"]["uid"]: Use(500, PER_POD)
            for each in self.objects["Pod"].values()
            if each["spec"]["nodeName"] == node
        }
        at = self.now - dt.timedelta(seconds=late)
        body = request_body(node, f"u-{node}", at, asks, uses)
        manager = {"manager": "colocation-webhook-agent", "fieldsV1": {"f:spec": {}}}
        body["metadata"]["managedFields"] = [manager]
        before = self.objects["NodeEvictionRequest"].get(node, {})
        if before.get("spec", {}).get("observedAt") == body["spec"]["observedAt"]:
            return  # an agent's clock goes on
        if (node, body["spec"]["observedAt"]) in self.asked:
            return
        self.asked[node, body["spec"]["observedAt"]] = sum(each.release for each in asks), frozenset(uses)
        self.put("NodeEvictionRequest", {**body, "status": before.get("status", {})})

    @rule(node=st.sampled_from(NODES), job=st.sampled_from("jkl"), online=st.booleans())
    def start_pod(self, node: str, job: str, *, online: bool) -> None:
        """A pod starts."""
        self.number += 1
        name = f"{'web' if online else 'be'}-{self.number}"
        owner = {"kind": "Job", "name": job, "uid": f"{node}-{job}", "controller": True}
        metadata = {"name": name, "uid": f"uid-{name}", "ownerReferences": [owner]}
        self.put("Pod", be_pod(name, node=node, metadata=metadata, **({"labels": LS} if online else {})))

    @rule(data=st.data())
    def end_pod(self, data: st.DataObject) -> None:
        """A pod is gone, whether it was asked or not."""
        if self.objects["Pod"]:
            self.drop("Pod", data.draw(st.sampled_from(sorted(self.objects["Pod"]))))

    @rule()
    def all_end(self) -> None:
        """Whoever was asked to end is gone; nobody has newer figures when all look again."""
        for name in [
            name for name, each in self.objects["Pod"].items() if each["metadata"]["uid"] in self.ended
        ]:
            self.drop("Pod", name)
        self.wait(5)
        for each in self.replicas:
            each.hear()
            each.evictor.step()

    @rule(data=st.data())
    def protect(self, data: st.DataObject) -> None:
        """A budget of disruption protects a pod, or no longer does."""
        if self.objects["Pod"]:
            self.protected ^= {data.draw(st.sampled_from(sorted(self.objects["Pod"])))}

    @rule(seconds=st.sampled_from([1, 1, 3, 5, 10, 31, 61]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.seconds += seconds
        self.now += dt.timedelta(seconds=seconds)

    @rule(seconds=st.sampled_from([-3600, -30, 30, 3600]))
    def jump(self, seconds: int) -> None:
        """The clock of the controllers, and of all agents, is set."""
        self.now += dt.timedelta(seconds=seconds)
        self.jumped_at = self.seconds
        self._doubt()

    @rule(which=st.integers(0, 1))
    def hear(self, which: int) -> None:
        """A replica's watches bring what happened."""
        self.replicas[which].hear()

    @rule(which=st.integers(0, 1))
    def step(self, which: int) -> None:
        """A replica does a round with what it knows."""
        self.replicas[which].evictor.step()

    @rule(
        node=st.sampled_from(NODES),
        seconds=st.sampled_from([1, 5, 20]),
        percent=st.sampled_from([73, 80]),
        deaf=st.integers(0, 3),
    )
    def as_usual(self, node: str, seconds: int, percent: int, deaf: int) -> None:
        """Time passes, a short node asks, who is not deaf hears of what the others do, and all look twice."""
        self.wait(seconds)
        self.measure(node, percent, 0)
        for each in self.replicas:
            each.hear()
        for i, each in enumerate((*self.replicas, *self.replicas)):
            if not deaf & (i % 2 + 1):
                each.hear()
            each.evictor.step()

    @rule(which=st.integers(0, 1))
    def elect(self, which: int) -> None:
        """The Lease changes hands: who comes has heard of everything by then."""
        if self.believing != {which}:
            self.replicas[which].hear()
            self.believing = {which}
            self.taken_over_at = self.seconds
            self._doubt()

    @rule()
    def both_believe(self) -> None:
        """A replica that was paused believes to lead still."""
        self.believing = {0, 1}
        self.doubtful_until = float("inf")

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        """A replica is another process, which knows what the API server has."""
        self.replicas[which] = Replica(self)
        self.taken_over_at = self.seconds
        self._doubt()

    def _doubt(self) -> None:
        """Whoever comes reads by its clock how old an eviction is: one that was set meanwhile says little."""
        if self.seconds - min(self.jumped_at, self.taken_over_at) < 60:
            self.doubtful_until = max(self.doubtful_until, self.seconds + 60)


TestStory = Story.TestCase
TestStory.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
