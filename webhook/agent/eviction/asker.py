"""Asks for evictions: keeps the NodeEvictionRequest while the node is short, and ends it afterwards."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

from webhook.agent.eviction.figures import Figures
from webhook.agent.eviction.lastresort import Shortage
from webhook.agent.findings import Findings
from webhook.agent.metrics import PREFIX
from webhook.agent.publishing.applier import Applier
from webhook.agent.watched import Watched
from webhook.eviction.asking import Ask, asks_of
from webhook.eviction.candidates import Use
from webhook.eviction.request import request_body
from webhook.eviction.thresholds import OFF, Form, Thresholds
from webhook.kube.loop import run_loop
from webhook.kube.paths import collection, member
from webhook.protocol import EVICTION_API_VERSION, EVICTION_KIND, EVICTION_RESOURCE
from webhook.slo.eviction import eviction_of
from webhook.slo.nodeslo import read_nodeslo

REQUESTS: Final = collection(EVICTION_API_VERSION, EVICTION_RESOURCE)
AGAIN_SECONDS: Final = 5.0
"""While a node is short, its figures are written again after so long: older ones are not served."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Asker:
    """Asks for one node.

    Attributes:
        standby: whether somebody else's agent works here.
        clock: seconds that never go back.
        shortage: what was found last and asked for; None: nothing is known, or the request was refused.
    """

    _watched: Watched
    _figures: Figures
    _findings: Findings
    _applier: Applier
    registry: CollectorRegistry
    standby: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    shortage: Shortage | None = field(default=None, init=False)
    _asked: bool = field(default=True, init=False)
    _taken: bool = field(default=False, init=False)
    _slo: Mapping[str, Any] | None = field(default=None, init=False)
    _thresholds: Thresholds = field(default=OFF, init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._gauge = Gauge(
            f"{PREFIX}_eviction_asked",
            "What is asked to be released: milli-cores, bytes.",
            ["form", "resource"],
            registry=self.registry,
        )

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Work until ``stop`` is set; meant to run in a thread."""
        run_loop(self.step, stop, name="asking for evictions", interval=interval)

    def step(self) -> float | None:
        """Look whether the node is short, and write what is due; raises ApiError."""
        watched, node = self._watched, self._watched.node
        if not watched.synced or node is None or self.standby():
            return None
        thresholds = self._settings()
        pods = watched.pods_now()
        measured, uses = self._figures.gather(node, pods, thresholds)
        asks = asks_of(measured, thresholds) if measured is not None else ()
        self._show(asks)
        now = self.clock()
        if asks or self._asked:
            self._write(asks, uses, node.uid)
        known = measured if self._taken else None
        self.shortage = Shortage(now - known.age, asks, uses) if known is not None else None
        return None

    def _settings(self) -> Thresholds:
        """Return what the NodeSLO says, or what holds without one."""
        watched = self._watched
        slo = watched.default_slo if watched.slo is None else watched.slo
        if slo is not self._slo:
            # What cannot be meant of it, the enforcer says.
            self._slo, self._thresholds = slo, eviction_of(read_nodeslo(slo).threshold)
            for finding in self._thresholds.findings:
                self._findings.say(f"NodeSLO {watched.node_name}: {finding}")
        return self._thresholds

    def _write(self, asks: tuple[Ask, ...], uses: Mapping[str, Use], node_uid: str) -> None:
        """Apply the request; at the end, and at the start, one that asks for nothing."""
        if not self._applier.due(EVICTION_KIND):
            return
        name = self._watched.node_name
        body = request_body(name, node_uid, self._watched.now(), asks, uses if asks else {})
        again = AGAIN_SECONDS if asks else 0.0
        self._taken = self._applier.apply(EVICTION_KIND, member(REQUESTS, name), body, again)
        if not self._taken:
            return
        if asks and not self._asked:
            _log.warning("asking for evictions: %s", "; ".join(map(str, asks)))
        self._asked = bool(asks)

    def _show(self, asks: tuple[Ask, ...]) -> None:
        self._gauge.clear()
        for ask in asks:
            self._gauge.labels(str(Form(ask.form)), ask.resource).set(ask.release)
