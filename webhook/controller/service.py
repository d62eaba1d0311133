"""Puts the controller together, and runs it until a signal comes."""

import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from types import FrameType

from prometheus_client import CollectorRegistry

from webhook.controller.capacity import CapacityController
from webhook.controller.metrics import CapacityMetrics, OfferedCollector
from webhook.controller.state import State
from webhook.controller.withdrawal import Withdrawal, withdraw
from webhook.kube.client import ApiError
from webhook.kube.lease import Lease
from webhook.kube.reflector import watching
from webhook.process.admin import AdminServer, Report, admin_routes, wsgi_app


@dataclass(eq=False)
class ControllerService:
    """One process of the controller. No call and no thread before ``run``."""

    state: State
    lease: Lease
    registry: CollectorRegistry

    def __post_init__(self) -> None:
        """Put the controller together."""
        self.capacity = CapacityController(self.state, self.lease, CapacityMetrics(self.registry))
        self.registry.register(OfferedCollector(self.capacity.capacities))
        self._stop = Event()

    def run(self, admin_listener: socket.socket) -> None:
        """Work until SIGTERM or SIGINT; the Lease is given back at the end."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._end)
        routes = admin_routes(
            {"capacity": self.report},
            self.registry,
            lambda: None,
            instance=socket.gethostname(),
            draining=self._stop.is_set,
        )
        AdminServer(admin_listener, wsgi_app(routes)).start()
        with watching(self.state.reflectors, self._stop):
            self.capacity.watch(self._stop)

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
        kinds: Mapping[str, object] = {
            name: {"synced": each.contact.synced, "error": each.contact.error}
            for name, each in self.state.reflectors.items()
        }
        standby = self.capacity.standby
        return Report(self.state.synced, {"publishes": not standby, "standby": standby, "watched": kinds})

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop.set()
