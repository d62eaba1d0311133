"""Puts the agent together, and runs it until a signal comes."""

import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from webhook.agent.bursting.burster import Burster
from webhook.agent.bursting.metrics import BurstCollector
from webhook.agent.enforcer import Enforcer
from webhook.agent.eviction.asker import Asker
from webhook.agent.eviction.figures import Figures
from webhook.agent.eviction.killer import Killer
from webhook.agent.findings import Findings
from webhook.agent.leaving import why_leaving
from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.machine.host import Host
from webhook.agent.measuring.history import History
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.measuring.throttling import Throttling
from webhook.agent.metrics import Publications, UsageCollector, platform_series
from webhook.agent.plan.settings import DEFAULTS, Settings
from webhook.agent.publishing.applier import Applier
from webhook.agent.publishing.publisher import Publisher
from webhook.agent.statefolder import StateFolder
from webhook.agent.suppression.decision import Options
from webhook.agent.suppression.metrics import SuppressionCollector
from webhook.agent.suppression.suppressor import Suppressor
from webhook.agent.watched import Watched
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.kill import Kills
from webhook.agent.writing.ledger import open_ledger
from webhook.agent.writing.present import Present
from webhook.kube.cache.reflector import watching
from webhook.kube.events import EventRecorder
from webhook.kube.timestamps import utc_now
from webhook.process.admin import AdminServer, Report, Request, Response, admin_routes, wsgi_app
from webhook.process.memory import give_back_large_blocks
from webhook.process.metrics import CONTENT_TYPE, render
from webhook.process.startup import allow_open_files
from webhook.process.tasks import Task, Tasks

LOOK_SECONDS: Final = 1.0
_OPEN_FILES: Final = 65_536
"""Descriptors: a pod has five, and a node may have some hundred pods."""


class SecondAddress(NamedTuple):
    """Where metrics are served once more, for whoever knows another port and path.

    Attributes:
        listener: of the port.
        path: of the metrics.
    """

    listener: socket.socket
    path: str


@dataclass(eq=False)
class AgentService:
    """One agent. No call and no thread before ``run``.

    Attributes:
        watched: its node in the cluster.
        hierarchy: the node's cgroups.
        folder: what survives a restart.
        registry: of its metrics.
        root: of the machine's files.
        kubelet_folder: None where the kubelet's files are not to be read.
        yarn: the cgroup of YARN's containers.
        enforce: whether cgroups are written.
        settings: what is switched on.
        proc: the host's /proc.
        ask_evictions: whether it asks for evictions.
        kill_after: seconds after which a BE pod that was asked to end, while its node is short of memory, is
            killed in the mode enforce; 0: never.
        daemonset: namespace and name of what this agent is a pod of; None where nobody knows.
        suppression: of BE pods, where the NodeSLO switches it on; None: never.
    """

    watched: Watched
    hierarchy: Hierarchy
    folder: StateFolder
    registry: CollectorRegistry
    root: Path = Path("/")
    kubelet_folder: Path | None = None
    yarn: str = "yarn"
    enforce: bool = False
    settings: Settings = DEFAULTS
    proc: Path = Path("/proc")
    daemonset: tuple[str, str] | None = None
    ask_evictions: bool = False
    kill_after: float = 0.0
    suppression: Options | None = None
    host: Host = field(init=False)
    sampler: Sampler = field(init=False)
    applier: Applier = field(init=False)
    publisher: Publisher = field(init=False)
    enforcer: Enforcer | None = field(default=None, init=False)
    asker: Asker | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put the agent together."""
        self._findings, self._files = Findings(), KernelFiles()
        self.host = Host(self._findings, self.root, self.kubelet_folder)
        self.sampler = Sampler(self.hierarchy, self.root)
        self._history = History(self.sampler, self.folder)
        publications = Publications(self.registry)
        self.applier = Applier(self.watched.api, publications)
        self.publisher = Publisher(
            self.watched,
            self.sampler,
            self._history,
            publications,
            self.applier,
            self.host,
            self._findings,
            lambda: self.enforcer.pinned() if self.enforcer is not None else {},
        )
        self._events = EventRecorder(self.watched.api, "colocation-webhook-agent")
        self.registry.register(UsageCollector(self.sampler, self.watched.pods_now))
        if self.ask_evictions:
            self.asker = Asker(
                self.watched,
                Figures(self.sampler, Present(self.hierarchy, self._files)),
                self._findings,
                self.applier,
                self.registry,
                lambda: bool(self.publisher.standby),
            )
        self._stop = Event()

    def run(self, admin_listener: socket.socket, second: SecondAddress | None = None) -> None:
        """Work until SIGTERM or SIGINT; the state folder is held meanwhile by whoever calls this."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._end)
        allow_open_files(_OPEN_FILES)
        give_back_large_blocks()
        self._history.restore()
        enforcer = self.enforcer = self._enforcer()
        killer = self._killer(enforcer)
        routes = admin_routes(
            {"agent": self.report},
            self.registry,
            lambda: None,
            instance=socket.gethostname(),
            draining=self._stop.is_set,
        )
        routes["GET", "/metrics"] = self.metrics
        AdminServer(admin_listener, wsgi_app(routes)).start()
        if second is not None:
            AdminServer(second.listener, wsgi_app({("GET", second.path): self.metrics})).start()
        with watching(self.watched.reflectors, self._stop):
            all_tasks = [Task("publisher", self.publisher, waited_for=True), Task("events", self._events)]
            if self.asker is not None:
                all_tasks.append(Task("asker", self.asker))
            tasks = Tasks(all_tasks, LOOK_SECONDS)
            tasks.start()
            self._look(enforcer, killer)
            if self.enforce and self.daemonset and (why := why_leaving(self.watched.api, self.daemonset)):
                enforcer.leave(why)
            tasks.stop()
        self._history.keep()
        self.sampler.forget()
        enforcer.ledger.close()

    def report(self) -> Report:
        """Say what /readyz shows: ready once everything has been read, standing by or not."""
        kinds: Mapping[str, object] = {
            name: {"synced": each.contact.synced, "error": each.contact.error}
            for name, each in self.watched.reflectors.items()
        }
        details = {
            **(self.enforcer.report() if self.enforcer is not None else {"mode": "observe"}),
            "node": self.watched.node_name,
            "standby": self.publisher.standby,
            "cgroups": {"version": self.hierarchy.version, "driver": self.hierarchy.driver},
            "watched": kinds,
        }
        return Report(self.watched.synced, details)

    def metrics(self, _: Request) -> Response:
        """Return our metrics, and the platform's."""
        return Response(200, render(self.registry) + platform_series(self.hierarchy, self.yarn), CONTENT_TYPE)

    def _enforcer(self) -> Enforcer:
        """Open the ledger of actions; OSError where it cannot be."""
        suppressor = None
        if self.suppression is not None:
            suppressor = Suppressor(
                self.hierarchy, self._files, self.sampler, self._findings, self.suppression
            )
            self.registry.register(SuppressionCollector(suppressor))
        ledger = open_ledger(self.folder.path, self.root, self._files.identity, writable=self.enforce)
        burster = Burster(
            self.hierarchy,
            self._files,
            self.sampler,
            self._findings,
            Throttling(self.hierarchy, time.monotonic),
            ledger,
        )
        self.registry.register(BurstCollector(burster))
        return Enforcer(
            self.watched,
            self.hierarchy,
            self.host,
            self.folder,
            self._findings,
            ledger,
            self.registry,
            self.enforce,
            settings=self.settings,
            proc=self.proc,
            events=self._events,
            suppressor=suppressor,
            burster=burster,
        )

    def _killer(self, enforcer: Enforcer) -> Killer | None:
        """Return what kills as the last resort; None where nobody asked for that."""
        if self.asker is None or not self.enforce or not self.kill_after:
            return None
        asker, kills = self.asker, Kills(self.hierarchy, self._files, enforcer.ledger, utc_now)
        return Killer(
            self.watched,
            kills,
            self._findings,
            self._events,
            self.registry,
            lambda: asker.shortage,
            self.kill_after,
        )

    def _look(self, enforcer: Enforcer, killer: Killer | None) -> None:
        """Look at the counters each second, until the end."""
        due = time.monotonic()
        while not self._stop.is_set():
            if self.publisher.standby:
                enforcer.stand_by()
                if killer is not None:
                    killer.end()
            else:
                self.sampler.look(self.watched.pods_now())
                enforcer.look()
                if killer is not None:
                    killer.look()
            due = max(due + LOOK_SECONDS, time.monotonic())  # what was missed is not made up for
            self._stop.wait(due - time.monotonic())
        if killer is not None:
            killer.end()

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop.set()
