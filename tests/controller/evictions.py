"""A fake API server with nodes that ask, and replicas of the evictor that a test steps."""

import datetime as dt
import threading
from typing import Any

from prometheus_client import CollectorRegistry

from tests.eviction.builders import GI, be_pod, memory_ask
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.controller.evictionstate import REQUESTS, EvictionState
from webhook.controller.evictor import EvictionSettings, Evictor
from webhook.controller.metrics import EvictionMetrics
from webhook.eviction.asking import Ask
from webhook.eviction.budget import Budget
from webhook.eviction.candidates import Use, read_candidate
from webhook.eviction.request import request_body
from webhook.kube.apply import apply
from webhook.kube.cache.reflector import watching
from webhook.kube.events import Event
from webhook.kube.lease import Lease

NODES, PODS = "/api/v1/nodes", "/api/v1/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/n/leases"
WIDE = EvictionSettings(Budget(100, 100, 100))


class Events:
    """Keeps Events."""

    def __init__(self) -> None:
        self.found: list[Event] = []

    def record(self, event: Event) -> None:
        """Keep one."""
        self.found.append(event)


class Replica:
    """One replica of the evictor, with its watches running."""

    def __init__(self, world: "Evictions", name: str, settings: EvictionSettings) -> None:
        self.events, self.registry = Events(), CollectorRegistry()
        clocks: dict[str, Any] = {"clock": lambda: world.seconds, "now": lambda: world.now}
        self.watched = EvictionState(world.api.api(), mid=settings.mid, **clocks)
        self.lease = Lease(self.watched.api, "n", "l", identity=name, **clocks)
        self.evictor = Evictor(
            self.watched,
            self.lease.elected,
            settings,
            EvictionMetrics(self.registry),
            self.events,  # type: ignore[arg-type]
        )
        self.stop = threading.Event()
        self._watching = watching(self.watched.reflectors, self.stop)
        self._watching.__enter__()
        until(lambda: self.watched.synced)
        self.heard(world)

    def heard(self, world: "Evictions") -> None:
        """Wait until everything was heard of."""

        def versions(path: str) -> dict[Any, str]:
            return {key: each["metadata"]["resourceVersion"] for key, each in world.api.objects[path].items()}

        def known() -> dict[Any, str]:
            return {key: each.version for key, each in self.watched.requests.values.items()}

        until(lambda: known() == versions(REQUESTS))
        until(lambda: self.watched.pods.values.keys() == world.evictable())

    def step(self, world: "Evictions") -> None:
        """Hear of everything, and do a round."""
        self.heard(world)
        self.evictor.step()
        self.heard(world)

    def count(self, outcome: str, form: str = "BEMemoryEvict") -> float:
        """Return a counter."""
        labels = {"form": form, "outcome": outcome}
        return self.registry.get_sample_value("colocation_webhook_evictions_total", labels) or 0.0

    def end(self) -> None:
        """End the watches."""
        self.stop.set()
        self._watching.__exit__(None, None, None)


class Evictions:
    """The world: node n1 of 16 cores and 100 GiB, pods that a test makes, and what its agent asks for."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        for path in (NODES, PODS, REQUESTS, LEASES):
            api.objects.setdefault(path, {})
        self.seconds = 1000.0
        self.now = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
        self.agent = api.api()
        self.node("n1")
        self.replicas: list[Replica] = []

    def replica(self, name: str = "one", settings: EvictionSettings = WIDE) -> Replica:
        """Start a replica."""
        self.replicas.append(Replica(self, name, settings))
        return self.replicas[-1]

    def node(self, name: str, uid: str = "") -> None:
        """Make a node."""
        figures = {"cpu": "16", "memory": "100Gi"}
        status = {"capacity": figures, "allocatable": figures}
        self.api.put(NODES, name, metadata={"uid": uid or f"u-{name}"}, status=status)

    def pods(self, *names: str, **over: Any) -> None:
        """Make batch pods."""
        for name in names:
            made = be_pod(name, **over)
            self.api.put(
                PODS, name, "shop", metadata=made["metadata"], spec=made["spec"], status=made["status"]
            )

    def evictable(self) -> set[tuple[str, str]]:
        """Return the keys of the pods that a replica keeps."""
        return {key for key, each in self.api.objects[PODS].items() if read_candidate(each) is not None}

    def left(self) -> set[str]:
        """Return the names of the pods that are there."""
        return {name for _, name in self.api.objects[PODS]}

    def ask(self, *asks: Ask, node: str = "n1", gib: int = 3, **more: Any) -> None:
        """Let a node's agent ask; each pod uses so many GiB."""
        uses = {
            each["metadata"]["uid"]: Use(1000, gib * GI)
            for each in self.api.objects[PODS].values()
            if each["spec"]["nodeName"] == node
        }
        body = request_body(node, more.get("uid", f"u-{node}"), more.get("at", self.now), asks, uses)
        manager = more.get("manager", "colocation-webhook-agent")
        apply(self.agent, f"{REQUESTS}/{node}", body, manager)

    def short(self, **more: Any) -> None:
        """Let 5 GiB be asked for."""
        self.ask(memory_ask(), **more)

    def status(self, node: str = "n1") -> dict[str, Any]:
        """Return the status of a request."""
        found: dict[str, Any] = self.api.objects[REQUESTS]["", node].get("status", {})
        return found

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self.now += dt.timedelta(seconds=seconds)
