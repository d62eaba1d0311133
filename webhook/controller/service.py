"""Puts the controller together, and runs it until a signal comes: capacity, eviction, or both."""

import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from types import FrameType

from prometheus_client import CollectorRegistry

from webhook.controller.capacity import CapacityController
from webhook.controller.evictionstate import EvictionState
from webhook.controller.evictor import EvictionSettings, Evictor
from webhook.controller.metrics import CapacityMetrics, EvictionMetrics, OfferedCollector
from webhook.controller.state import State
from webhook.controller.withdrawal import Withdrawal, withdraw
from webhook.kube.client import ApiError
from webhook.kube.events import EventRecorder
from webhook.kube.lease import Lease
from webhook.kube.reflector import Reflector, watching
from webhook.process.admin import AdminServer, Check, Report, admin_routes, wsgi_app
from webhook.process.tasks import Task, Tasks


@dataclass(eq=False)
class ControllerService:
    """One process of the controller. No call and no thread before ``run``.

    Attributes:
        state: of the cluster, for what it publishes.
        lease: of the replicas, of which one acts.
        registry: of its metrics.
        publish: whether figures are published.
        eviction: by which settings pods are evicted; None: none is.
    """

    state: State
    lease: Lease
    registry: CollectorRegistry
    publish: bool = True
    eviction: EvictionSettings | None = None
    evictor: Evictor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put the controller together."""
        state, lease = self.state, self.lease
        self._stop = Event()
        self._events = EventRecorder(state.api, "colocation-webhook-controller")
        self.reflectors = dict(state.reflectors) if self.publish else {}
        # One thread renews the Lease.
        shown = self.registry if self.publish else CollectorRegistry()
        self.capacity = CapacityController(state, lease, CapacityMetrics(shown))
        shown.register(OfferedCollector(self.capacity.capacities))
        if self.eviction is None:
            return
        nodes = state.nodes if self.publish else None
        watched = EvictionState(state.api, nodes, mid=self.eviction.mid, clock=state.clock, now=state.now)
        leads = (lambda: lease.held) if self.publish else lease.elected
        metrics = EvictionMetrics(self.registry)
        self.evictor = Evictor(watched, leads, self.eviction, metrics, self._events)
        self.reflectors |= watched.reflectors

    def run(self, admin_listener: socket.socket) -> None:
        """Work until SIGTERM or SIGINT; the Lease is given back at the end."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._end)
        checks: dict[str, Check] = {"capacity": self.report} if self.publish else {}
        if self.evictor is not None:
            checks["eviction"] = partial(self.report_eviction, self.evictor)
        routes = admin_routes(
            checks,
            self.registry,
            lambda: None,
            instance=socket.gethostname(),
            draining=self._stop.is_set,
        )
        AdminServer(admin_listener, wsgi_app(routes)).start()
        with watching(self.reflectors, self._stop):
            if self.evictor is None:
                self.capacity.watch(self._stop)
                return
            tasks = [Task("events", self._events), Task("evictor", self.evictor, waited_for=True)]
            background = Tasks(tasks if self.publish else tasks[:1], 1.0)
            background.start()
            if self.publish:
                self.capacity.watch(self._stop)
            else:
                self.evictor.watch(self._stop, lease=self.lease)
            background.stop()

    def withdraw(self, seconds: float = 60.0) -> Withdrawal:
        """Take everything off the nodes; return what is left. Raises ApiError.

        Args:
            seconds: after which it is an error that not everything has been read.
        """
        with watching(self.state.reflectors, self._stop):
            end = time.monotonic() + seconds
            while not self.state.synced:
                if time.monotonic() > end:
                    errors = [each.contact.error for each in self.state.reflectors.values()]
                    raise ApiError(next(filter(None, errors), "the API server did not answer in time"))
                self._stop.wait(0.1)
            return withdraw(self.state, self.lease, self._stop)

    def report(self) -> Report:
        """Say what /readyz shows: ready once everything has been read, elected or not."""
        standby, kinds = self.capacity.standby, _kinds(self.state.reflectors)
        return Report(self.state.synced, {"publishes": not standby, "standby": standby, "watched": kinds})

    def report_eviction(self, evictor: Evictor) -> Report:
        """Say the same of eviction."""
        watched, standby = evictor.watched, evictor.standby
        details = {"evicts": not standby, "standby": standby, "watched": _kinds(watched.reflectors)}
        return Report(watched.synced, details)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop.set()


def _kinds(reflectors: Mapping[str, Reflector]) -> Mapping[str, object]:
    return {
        name: {"synced": each.contact.synced, "error": each.contact.error}
        for name, each in reflectors.items()
    }
