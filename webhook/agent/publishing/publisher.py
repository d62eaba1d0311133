"""Writes what an agent knows: the status of its node's NodeMetric, and the node's NodeResourceTopology."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from webhook.agent.findings import Findings
from webhook.agent.machine.host import Host
from webhook.agent.measuring.history import History
from webhook.agent.measuring.sampler import SLICES, Policy, Sampler
from webhook.agent.metrics import Publications
from webhook.agent.pods import NodePod
from webhook.agent.publishing.applier import Applier
from webhook.agent.publishing.nodemetric import PERCENTS, Measured, status
from webhook.agent.publishing.topology import describe
from webhook.agent.watched import NODEMETRICS, TOPOLOGIES, KnownMetric, KnownNode, Watched, standby
from webhook.kube.loop import run_loop
from webhook.kube.paths import member
from webhook.protocol import NODEMETRIC_API_VERSION, NODEMETRIC_KIND, TOPOLOGY_KIND

FIRST_SECONDS: Final = 2.0 * SLICES
"""How long an agent looks before it reports: then each pod was looked at twice."""

AGAIN_SECONDS: Final = 600.0
"""A NodeResourceTopology is applied again after so long, also where nothing changed: somebody may have."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Publisher:
    """Publishes for one node; every refusal costs the object it is about, for a while.

    What the kubelet seems to have pinned is published, where nobody says its policy; nothing before it was
    looked for.

    Attributes:
        clock: seconds that never go back.
        standby: why nothing is measured and published; "" while it is.
    """

    _watched: Watched
    _sampler: Sampler
    _history: History
    _publications: Publications
    _applier: Applier
    _host: Host
    _findings: Findings
    _pinned: Callable[[], Mapping[str, frozenset[int]] | None]
    clock: Callable[[], float] = time.monotonic
    standby: str = field(default="", init=False)
    _described: tuple[object, ...] = field(default=(), init=False)
    _applied: dict[str, Any] | None = field(default=None, init=False)
    _applied_at: float = field(default=0.0, init=False)

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Work until ``stop`` is set; meant to run in a thread."""
        run_loop(self.step, stop, name="publishing", interval=interval)

    def step(self) -> float | None:
        """Publish what is due; raises ApiError."""
        watched = self._watched
        if not watched.synced:
            return None
        pods, metric, node = watched.pods_now(), watched.metric, watched.node
        reason = standby(pods, metric)
        if reason != self.standby:
            _log.warning("standing by: %s", reason) if reason else _log.info("working again")
            self.standby = reason
            self._sampler.forget()
        self._publications.standby.set(bool(reason))
        if reason:
            return None
        for finding in (finding for pod in pods for finding in pod.findings):
            self._findings.say(finding)
        if metric is not None:
            self._set_policy(metric)
        self._history.step(pods)
        if metric is not None and self._applier.due(NODEMETRIC_KIND):
            self._publish_metric(metric, node, pods)
        if node is not None and self._applier.due(TOPOLOGY_KIND):
            self._publish_topology(node, pods)
        return None

    def _set_policy(self, metric: KnownMetric) -> None:
        policy = metric.policy
        for finding in policy.findings:
            self._findings.say(f"NodeMetric {self._watched.node_name}: {finding}")
        longest = max((policy.mean_seconds, *policy.durations))
        self._sampler.policy = Policy(policy.mean_seconds, longest, policy.with_cache)

    def _publish_metric(self, metric: KnownMetric, node: KnownNode | None, pods: tuple[NodePod, ...]) -> None:
        policy, sampler, now = metric.policy, self._sampler, self._sampler.now()
        with sampler.lock:
            if sampler.node.seconds < FIRST_SECONDS:
                return
            means = sampler.node.mean(now, policy.mean_seconds)
            windows = [sampler.node.window(now, each, PERCENTS) for each in policy.durations]
            used = [(pod, use) for pod in pods if (use := sampler.pod(pod.uid, policy.mean_seconds))]
        if means is None:
            return
        prediction = self._history.predict(pods, node.allocatable) if node is not None else None
        measured = Measured(*means, [each for each in windows if each is not None], used, prediction)
        self._publications.foreseen(prediction)
        name = self._watched.node_name
        body = {
            "apiVersion": NODEMETRIC_API_VERSION,
            "kind": NODEMETRIC_KIND,
            "metadata": {"name": name},
            "status": status(measured, self._watched.now()),
        }
        path = f"{member(NODEMETRICS, name)}/status"
        self._applier.apply(NODEMETRIC_KIND, path, body, policy.report_seconds)

    def _publish_topology(self, node: KnownNode, pods: tuple[NodePod, ...]) -> None:
        hardware, kubelet = self._host.hardware(), self._host.kubelet()
        pinned = self._pinned()
        if hardware is None or pinned is None:
            return
        seen = (node.object, hardware, kubelet, self._watched.pods.revision, pinned)
        clock = self.clock()
        if seen == self._described and clock - self._applied_at < AGAIN_SECONDS:
            return
        described = describe(node.object, hardware, kubelet, pods, pinned)
        for finding in described.findings:
            self._findings.say(finding)
        if described.body == self._applied and clock - self._applied_at < AGAIN_SECONDS:
            self._described = seen
            return
        path = member(TOPOLOGIES, self._watched.node_name)
        if self._applier.apply(TOPOLOGY_KIND, path, described.body):
            self._described, self._applied, self._applied_at = seen, described.body, clock
