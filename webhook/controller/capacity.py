"""The capacity controller: looks at each node when something about it changed, and writes what is due."""

import datetime as dt
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event
from typing import Any, Final, NamedTuple

from webhook.capacity.estimate import Before, Capacity, State, estimate, late_after
from webhook.capacity.extension import Policy
from webhook.capacity.sloconfig import Configuration, strategy_of
from webhook.capacity.strategy import Strategy
from webhook.controller.metrics import CapacityMetrics
from webhook.controller.publication import LEAST_SECONDS, apply_body, is_due
from webhook.controller.state import State as Watched
from webhook.kube.client import APPLY_PATCH, MERGE_PATCH, ApiError
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop
from webhook.kube.paths import NODES, collection, member
from webhook.protocol import (
    CAPACITY_MANAGER,
    KOORD_MANAGER_LEASE,
    NODEMETRIC_API_VERSION,
    NODEMETRIC_KIND,
    NODEMETRIC_RESOURCE,
)

_log = logging.getLogger(__name__)

_NODEMETRICS: Final = collection(NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE)
_LEASE_LASTS: Final = dt.timedelta(seconds=60)
"""Without a renewal for so long, another controller counts as gone."""

_CONFLICT_SECONDS: Final = 600.0
_REFUSED_SECONDS: Final = 60.0
_OWNERS: Final = re.compile(r'conflicts? with "([^"]+)"')


class _Look(NamedTuple):
    """The last look at a node: at what, and what was found."""

    seen: tuple[object, ...]
    again_at: dt.datetime
    strategy: Strategy
    capacity: Capacity


@dataclass(eq=False)
class CapacityController:
    """Publishes figures while it holds its Lease, and no other controller does so.

    Attributes:
        standby: why it does nothing at the moment; "" while it works.
    """

    _watched: Watched
    _lease: Lease
    _metrics: CapacityMetrics
    standby: str = field(default="not elected", init=False)
    _looks: dict[str, _Look] = field(default_factory=dict, init=False)
    _written_at: dict[str, float] = field(default_factory=dict, init=False)
    _not_before: dict[str, float] = field(default_factory=dict, init=False)

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Work until ``stop`` is set; meant to run in a thread."""
        run_loop(self.step, stop, name="publishing capacity", interval=interval, lease=self._lease)

    def step(self) -> float | None:
        """Look at the nodes once, if this replica is to; raises ApiError."""
        self.standby = self._standby()
        self._metrics.leader.set(not self.standby)
        if self.standby:
            # Whoever acts meanwhile writes figures that are not ours: what was known is old afterwards.
            self._looks.clear()
            self._written_at.clear()
            return None
        watched = self._watched
        configuration = watched.configuration
        for key in [name for name in self._looks if ("", name) not in watched.nodes.values]:
            for of in (self._looks, self._written_at, self._not_before):
                of.pop(key, None)
        for name in self._changed(configuration):
            self._look(name, configuration)
            self._write(name)
        self._metrics.observe(look.capacity for look in self._looks.values())
        return None

    def _standby(self) -> str:
        if not self._watched.synced:
            return "not everything has been read yet"
        if not self._lease.elected():
            return "not elected"
        now = self._watched.now()
        for (namespace, name), renewed in self._watched.leases.values.items():
            if name == KOORD_MANAGER_LEASE and now - renewed < _LEASE_LASTS:
                return f"koord-manager renews its Lease {namespace}/{name}: it publishes"
        return ""

    def _changed(self, configuration: Configuration) -> Iterator[str]:
        """Yield the nodes that have to be looked at again, or written."""
        now = self._watched.now()
        for _, name in list(self._watched.nodes.values):
            look = self._looks.get(name)
            if (
                look is None
                or now >= look.again_at
                or self._due(name, look)
                or any(a is not b for a, b in zip(look.seen, self._seen(name, configuration), strict=True))
            ):
                yield name

    def _seen(self, name: str, configuration: Configuration) -> tuple[object, ...]:
        """Return what a look depends on; it is made again when one of them is another object."""
        watched = self._watched
        return (
            watched.nodes.values.get(("", name)),
            watched.metrics.values.get(("", name)),
            watched.pods.on_node(name),
            configuration,
        )

    def _look(self, name: str, configuration: Configuration) -> None:
        watched, now = self._watched, self._watched.now()
        seen = self._seen(name, configuration)
        known, metric = watched.nodes.values[("", name)], watched.metrics.values.get(("", name))
        strategy = strategy_of(configuration, known.node.labels, known.node.annotations)
        before = self._looks[name].capacity.next if name in self._looks else None
        if before is None and known.owned:
            before = Before(known.node.published)
        capacity = estimate(
            known.node, metric and metric.metric, watched.pods.on_node(name), strategy, now, before
        )
        self._looks[name] = _Look(seen, _again(capacity, strategy, now), strategy, capacity)
        if strategy.enabled:
            self._keep_metric(name, strategy)

    def _keep_metric(self, name: str, strategy: Strategy) -> None:
        """Create the node's NodeMetric, or bring its policy up to date; raises ApiError."""
        watched = self._watched
        policy = _collect_policy(strategy)
        known = watched.metrics.values.get(("", name))
        if known is None and not watched.nodemetrics_served:
            return
        if known is None:
            uid = watched.nodes.values[("", name)].uid
            owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
            body = {
                "apiVersion": NODEMETRIC_API_VERSION,
                "kind": NODEMETRIC_KIND,
                # Deleted by the garbage collector together with its node.
                "metadata": {"name": name, "ownerReferences": [owner]},
                "spec": {"metricCollectPolicy": policy},
            }
            try:
                watched.api.call("POST", _NODEMETRICS, body=body)
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT:  # the watch has not brought it yet
                    raise
        elif {key: known.policy.get(key) for key in policy} != policy:
            change = {"spec": {"metricCollectPolicy": policy}}
            watched.api.call("PATCH", member(_NODEMETRICS, name), body=change, content_type=MERGE_PATCH)

    def _due(self, name: str, look: _Look) -> bool:
        clock = self._watched.clock()
        if clock < self._not_before.get(name, 0.0):
            return False
        known = self._watched.nodes.values[("", name)]
        written = self._written_at.get(name)
        since = None if written is None else clock - written
        return is_due(known, look.capacity, look.strategy, since)

    def _write(self, name: str) -> None:
        look = self._looks[name]
        if not self._due(name, look):
            return
        watched = self._watched
        known = watched.nodes.values[("", name)]
        body = apply_body(known, look.capacity, watched.now())
        clock = watched.clock()
        self._not_before[name] = clock + LEAST_SECONDS
        try:
            answer = watched.api.call(
                "PATCH",
                f"{member(NODES, name)}/status",
                body=body,
                content_type=APPLY_PATCH,
                query={"fieldManager": CAPACITY_MANAGER, "force": "false"},
            )
        except ApiError as error:
            self._refused(name, error, clock)
        else:
            self._metrics.writes.inc()
            self._written_at[name] = clock
            watched.nodes.learn(answer, known)

    def _refused(self, name: str, error: ApiError, clock: float) -> None:
        """One node's refusal costs that node only; without an answer the round ends."""
        if error.status in {0, HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS} or (
            error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            raise error
        if error.status == HTTPStatus.NOT_FOUND:
            return
        owners = _OWNERS.findall(str(error)) if error.status == HTTPStatus.CONFLICT else []
        self._not_before[name] = clock + (_CONFLICT_SECONDS if owners else _REFUSED_SECONDS)
        self._metrics.refused.labels("conflict" if owners else "other").inc()
        if owners:
            _log.warning(
                "node %s: its batch resources belong to %s: nothing is written there for %g minutes; "
                "switch one of the two off",
                name,
                " and ".join(sorted(set(owners))),
                _CONFLICT_SECONDS / 60,
            )
        else:
            _log.warning("node %s: %s", name, error)


def _again(capacity: Capacity, strategy: Strategy, now: dt.datetime) -> dt.datetime:
    """Return when a node has to be looked at again although nothing changed."""
    moments = [now + dt.timedelta(seconds=strategy.values["updateTimeThresholdSeconds"])]
    if capacity.next.greater_since:
        moments.append(now + dt.timedelta(seconds=LEAST_SECONDS))
    if strategy.extension.policy is Policy.TIME_OF_DAY:
        moments.append(now.replace(second=0, microsecond=0) + dt.timedelta(minutes=1))
    if capacity.age is not None and capacity.state is not State.OFF:
        measured, soon = now - capacity.age, dt.timedelta(seconds=1)
        late = measured + dt.timedelta(seconds=late_after(strategy)) + soon
        moments += [each for each in (late, measured + strategy.degrade_after + soon) if each > now]
    return min(moments)


def _collect_policy(strategy: Strategy) -> Mapping[str, Any]:
    """Return what a NodeMetric says of how to measure."""
    values = strategy.values
    return {
        "aggregateDurationSeconds": values["metricAggregateDurationSeconds"],
        "reportIntervalSeconds": values["metricReportIntervalSeconds"],
        "nodeAggregatePolicy": {"durations": [_duration(each) for each in values["metricAggregatePolicy"]]},
        "nodeMemoryCollectPolicy": values["metricMemoryCollectPolicy"],
    }


def _duration(of: dt.timedelta) -> str:
    """Return a duration as Go writes it: ``5m0s``."""
    seconds = int(of.total_seconds())
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds % 60}s"
