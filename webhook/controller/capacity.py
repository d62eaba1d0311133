"""The capacity controller: looks at each node when something about it changed, and writes what is due."""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from threading import Event
from typing import Final, NamedTuple

from webhook.capacity.demand import PodDemand
from webhook.capacity.estimate import LONGEST_SECONDS, Before, Capacity, State, estimate, late_after
from webhook.capacity.extension import Policy
from webhook.capacity.sloconfig import Configuration, strategy_of
from webhook.capacity.strategy import Strategy
from webhook.controller.caches import KnownMetric, KnownNode
from webhook.controller.metrics import CapacityMetrics
from webhook.controller.nodemetrics import keep_nodemetric
from webhook.controller.nodeslos import NodeSLOs
from webhook.controller.publication import LEAST_SECONDS, due_in, publish
from webhook.controller.standby import Standby
from webhook.controller.state import State as Watched
from webhook.kube.apply import CONFLICT_SECONDS, REFUSED_SECONDS, Pauses
from webhook.kube.client import ApiError
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop
from webhook.protocol import KOORD_MANAGER_LEASE

_log = logging.getLogger(__name__)

_LEASE_LASTS: Final = dt.timedelta(seconds=60)
"""Without a renewal for so long, another controller counts as gone."""


class _Seen(NamedTuple):
    """What a look at a node depends on; it is made again when one of them is another object."""

    node: KnownNode | None
    metric: KnownMetric | None
    pods: tuple[PodDemand, ...]
    configuration: Configuration


class _Look(NamedTuple):
    """The last look at a node: at what, and what was found.

    Attributes:
        seen: at what.
        again_at: when it is old although nothing changed.
        due_at: from when on the node is to be written, by the clock that never goes back.
        strategy: of the node.
        capacity: what it should offer.
    """

    seen: _Seen
    again_at: dt.datetime
    due_at: float
    strategy: Strategy
    capacity: Capacity


@dataclass(eq=False)
class CapacityController:
    """Publishes figures while it holds its Lease, and no other controller does so."""

    _watched: Watched
    _lease: Lease
    _metrics: CapacityMetrics
    _slos: NodeSLOs = field(init=False)
    _standby: Standby = field(init=False)
    _looks: dict[str, _Look] = field(default_factory=dict, init=False)
    _written_at: dict[str, float] = field(default_factory=dict, init=False)
    _pauses: Pauses = field(init=False)
    _metric_pauses: Pauses = field(init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        watched, leader = self._watched, self._metrics.leader
        self._slos = NodeSLOs(watched, self._lease, self._metrics)
        self._standby = Standby(lambda: watched.synced, self._lease.elected, leader, self._other)
        self._pauses, self._metric_pauses = Pauses(self._watched.clock), Pauses(self._watched.clock)

    @property
    def standby(self) -> str:
        """Return why it does nothing at the moment; "" while it works."""
        return self._standby.reason

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Work until ``stop`` is set; meant to run in a thread."""
        run_loop(self.step, stop, name="publishing capacity", interval=interval, lease=self._lease)

    def step(self) -> float | None:
        """Look at the nodes once, if this replica is to; raises ApiError."""
        if self._standby.look():
            # Whoever acts meanwhile writes figures that are not ours: what was known is old afterwards.
            self._looks.clear()
            self._written_at.clear()
            self._slos.forget()
            return None
        watched = self._watched
        configuration = watched.configuration
        gone = [name for name in self._looks if ("", name) not in watched.nodes.values]
        for name in gone:
            for of in (self._looks, self._written_at):
                of.pop(name, None)
            for pauses in (self._pauses, self._metric_pauses):
                pauses.forget(name)
        for name in self._changed(configuration):
            if not self._lease.elected():
                break
            self._publish(name, configuration)
        self._slos.step()
        return None

    def capacities(self) -> list[Capacity]:
        """Return what nodes should offer, as far as this replica looked at them; from any thread."""
        return [look.capacity for look in list(self._looks.values())]

    def _other(self) -> str:
        """Say who else publishes; "" where nobody does."""
        now = self._watched.now()
        for (namespace, name), renewed in self._watched.leases.values.items():
            # One from the future is a wrong clock: whoever wrote it renews it again, if he is there.
            if name == KOORD_MANAGER_LEASE and abs(now - renewed) < _LEASE_LASTS:
                return f"koord-manager renews its Lease {namespace}/{name}: it publishes"
        return ""

    def _changed(self, configuration: Configuration) -> Iterator[str]:
        """Yield the nodes that have to be looked at again, or written."""
        watched = self._watched
        now, clock = watched.now(), watched.clock()
        metrics, on_node = watched.metrics.values, watched.pods.on_node
        for key, known in list(watched.nodes.values.items()):
            name, look = key[1], self._looks.get(key[1])
            if look is None:
                if self._pauses.over(name):
                    yield name
                continue
            seen = look.seen
            same = seen.node is known and seen.metric is metrics.get(key) and seen.pods is on_node(name)
            same = same and seen.configuration is configuration and now < look.again_at
            if not same or (look.due_at <= clock and self._pauses.over(name)):
                yield name

    def _seen(self, name: str, configuration: Configuration) -> _Seen:
        watched = self._watched
        return _Seen(
            watched.nodes.values.get(("", name)),
            watched.metrics.values.get(("", name)),
            watched.pods.on_node(name),
            configuration,
        )

    def _publish(self, name: str, configuration: Configuration) -> None:
        """Look at a node and write what is due; a fault or a refusal costs that node only."""
        known = self._watched.nodes.values.get(("", name))
        if known is None:  # deleted a moment ago
            return
        try:
            look = self._looks[name] = self._look(known, configuration)
            self._write(known, look)
            if look.strategy.enabled and self._metric_pauses.over(name):
                keep_nodemetric(self._watched, known, look.strategy)
        except ApiError as error:
            self._metric_pauses.refused(name, error)
            _log.warning("NodeMetric %s: %s", name, error)
        except Exception:  # noqa: BLE001 — one node's objects must not cost the others anything
            self._pauses.pause(name, REFUSED_SECONDS)
            _log.exception("node %s is passed over for %g s", name, REFUSED_SECONDS)

    def _look(self, known: KnownNode, configuration: Configuration) -> _Look:
        now, name = self._watched.now(), known.node.name
        seen = self._seen(name, configuration)
        strategy = strategy_of(configuration, known.node.labels, known.node.annotations)
        before = self._looks[name].capacity.next if name in self._looks else None
        if known.owned:  # steps are taken from what stands there
            before = before or Before()
            before = replace(before, offered={**before.offered, **known.node.published})
        metric = seen.metric and seen.metric.metric
        capacity = estimate(known.node, metric, seen.pods, strategy, now, before)
        clock, written = self._watched.clock(), self._written_at.get(name)
        due_at = clock + due_in(known, capacity, strategy, None if written is None else clock - written)
        return _Look(seen, now + _again(capacity, strategy, now), due_at, strategy, capacity)

    def _write(self, known: KnownNode, look: _Look) -> None:
        watched, name = self._watched, known.node.name
        clock = watched.clock()
        if look.due_at > clock or not self._pauses.over(name):
            return
        self._pauses.pause(name, LEAST_SECONDS)
        try:
            answer = publish(watched.api, known, look.capacity, watched.now())
        except ApiError as error:
            self._refused(name, error)
        else:
            self._metrics.writes.inc()
            self._written_at[name] = clock
            # What stands there now is another thing.
            self._looks[name] = look._replace(again_at=watched.now())
            watched.nodes.learn(answer, known)

    def _refused(self, name: str, error: ApiError) -> None:
        """One node's refusal costs that node only; without an answer the round ends."""
        owners = self._pauses.refused(name, error)
        if error.status == HTTPStatus.NOT_FOUND:  # it was deleted a moment ago
            return
        self._metrics.refused.labels("conflict" if owners else "other").inc()
        if owners:
            _log.warning(
                "node %s: its batch resources belong to %s: nothing is written there for %g minutes; "
                "switch one of the two off",
                name,
                " and ".join(owners),
                CONFLICT_SECONDS / 60,
            )
        else:
            _log.warning("node %s: %s", name, error)


def _again(capacity: Capacity, strategy: Strategy, now: dt.datetime) -> dt.timedelta:
    """Return after how long a node has to be looked at again although nothing changed."""
    seconds = [float(strategy.values["updateTimeThresholdSeconds"]), LONGEST_SECONDS]
    if capacity.next.greater_since:
        seconds.append(LEAST_SECONDS)
    if strategy.extension.policy is Policy.TIME_OF_DAY:
        seconds.append(60.0 - now.second)
    if capacity.age is not None and capacity.state is not State.OFF:
        age = capacity.age.total_seconds()
        ends = (late_after(strategy), strategy.degrade_after.total_seconds())
        seconds += [end - age + 1 for end in ends if end > age]
    return dt.timedelta(seconds=min(seconds))
