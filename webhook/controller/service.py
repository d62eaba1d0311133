"""Puts the controller together, and runs it until a signal comes: capacity, eviction, or both."""

import signal
import socket
import time
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
from webhook.kube.cache.reflector import Reflector, watching
from webhook.kube.client import ApiError
from webhook.kube.events import EventRecorder
from webhook.kube.lease import Lease
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
        capacity: publishes; None: nobody does.
        evictor: evicts; None: nobody does.
    """

    state: State
    lease: Lease
    registry: CollectorRegistry
    publish: bool = True
    eviction: EvictionSettings | None = None
    capacity: CapacityController | None = field(default=None, init=False)
    evictor: Evictor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put the controller together."""
        self._stop = Event()
        self._events = EventRecorder(self.state.api, "colocation-webhook-controller")
        self.reflectors: dict[str, Reflector] = {}
        if self.publish:
            self._begin_publishing()
        if self.eviction is not None:
            self._begin_evicting(self.eviction)

    def _begin_publishing(self) -> None:
        self.capacity = CapacityController(self.state, self.lease, CapacityMetrics(self.registry))
        self.registry.register(OfferedCollector(self.capacity.capacities))
        self.reflectors |= self.state.reflectors

    def _begin_evicting(self, settings: EvictionSettings) -> None:
        state, lease = self.state, self.lease
        nodes = state.nodes if self.publish else None
        watched = EvictionState(state.api, nodes, mid=settings.mid, clock=state.clock, now=state.now)
        # One thread renews the Lease: that which publishes, if there is one.
        leads = (lambda: lease.held) if self.publish else lease.elected
        self.evictor = Evictor(watched, leads, settings, EvictionMetrics(self.registry), self._events)
        self.reflectors |= watched.reflectors

    @property
    def checks(self) -> dict[str, Check]:
        """What /readyz shows of each part."""
        found: dict[str, Check] = {}
        if self.capacity is not None:
            found["capacity"] = partial(_report, self.state, self.capacity, "publishes")
        if self.evictor is not None:
            found["eviction"] = partial(_report, self.evictor.watched, self.evictor, "evicts")
        return found

    def run(self, admin_listener: socket.socket) -> None:
        """Work until SIGTERM or SIGINT; the Lease is given back at the end."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._end)
        routes = admin_routes(
            self.checks,
            self.registry,
            lambda: None,
            instance=socket.gethostname(),
            draining=self._stop.is_set,
        )
        AdminServer(admin_listener, wsgi_app(routes)).start()
        tasks = []
        if self.evictor is not None:
            tasks.append(Task("events", self._events))
            if self.capacity is not None:
                tasks.append(Task("evictor", self.evictor, waited_for=True))
        background = Tasks(tasks, 1.0)
        with watching(self.reflectors, self._stop):
            background.start()
            # Whoever renews the Lease runs here: however long its last round takes, it gives it back.
            if self.capacity is not None:
                self.capacity.watch(self._stop)
            elif self.evictor is not None:
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

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop.set()


def _report(watched: State | EvictionState, worker: CapacityController | Evictor, what: str) -> Report:
    """Say how a part is doing: ready once everything has been read, elected or not."""
    kinds = {
        name: {"synced": each.contact.synced, "error": each.contact.error}
        for name, each in watched.reflectors.items()
    }
    details = {what: not worker.standby, "standby": worker.standby, "watched": kinds}
    return Report(watched.synced, details)
