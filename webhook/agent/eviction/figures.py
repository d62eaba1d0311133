"""The figures by which a node asks, gathered from what was sampled of it."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from webhook.agent.eviction.belimit import be_limit
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.pods import NodePod
from webhook.agent.watched import KnownNode
from webhook.agent.writing.present import Present
from webhook.eviction.asking import BECpu, Measured, seen_enough
from webhook.eviction.candidates import Use
from webhook.eviction.thresholds import Thresholds
from webhook.protocol import BATCH_CPU, QoSClass

_MILLI: Final = 1000


@dataclass(eq=False)
class Figures:
    """Gathers them; keeps what BE pods could get, requested and used of late."""

    _sampler: Sampler
    _present: Present
    _samples: deque[tuple[float, BECpu]] = field(default_factory=deque, init=False)

    def gather(
        self, node: KnownNode, pods: Sequence[NodePod], thresholds: Thresholds
    ) -> tuple[Measured | None, dict[str, Use]]:
        """Return what is known of the node now, None: nothing; and what pods that may go use, by uid."""
        sampler, window = self._sampler, float(thresholds.window)
        with sampler.lock:
            now, last, machine = sampler.now(), sampler.node.last, sampler.machine
            mean, seconds = sampler.node.mean(now, window), sampler.node.seconds
            totals = sampler.pods()
            means = {pod.uid: sampler.pod(pod.uid, window) for pod in pods if pod.work and pod.uid in totals}
        uses = {
            pod.object_uid: Use(int(use.cpu * _MILLI), totals[pod.uid].memory)
            for pod in pods
            if (use := means.get(pod.uid)) is not None
        }
        if last is None or machine is None:
            self._samples.clear()
            return None, uses
        if thresholds.satisfaction is not None:
            self._sample(now, node, pods, uses, thresholds)
        else:
            self._samples.clear()
        be, be_mean, be_seconds = self._of_be(now, window)
        return Measured(
            age=now - last.at,
            cpus=int(machine.cpu * _MILLI),
            memory=int(machine.memory),
            cpu_used=int(mean[0].cpu * _MILLI) if mean is not None and seen_enough(seconds, window) else None,
            memory_used=int(last.node.memory),
            be=be,
            be_mean=be_mean,
            be_seconds=be_seconds,
            pods=[pod.work for pod in pods if pod.work is not None and not pod.finished],
            offered=node.offered,
        ), uses

    def _sample(
        self,
        now: float,
        node: KnownNode,
        pods: Iterable[NodePod],
        uses: dict[str, Use],
        thresholds: Thresholds,
    ) -> None:
        """Keep what BE pods can get, request and use now, as far as it is known."""
        be = [pod for pod in pods if pod.work and pod.label == QoSClass.BE and pod.uid and not pod.finished]
        if thresholds.satisfaction is not None and thresholds.satisfaction.by_allocatable:
            limit = node.offered.get(BATCH_CPU)
        else:
            limit = be_limit(self._present, [self._present.group(pod.planned) for pod in be])
        if limit is None or not all(pod.object_uid in uses for pod in be):
            return
        requested = sum(pod.work.requests.get(BATCH_CPU, 0) for pod in be if pod.work is not None)
        used = sum(uses[pod.object_uid].cpu for pod in be)
        self._samples.append((now, BECpu(limit, requested, used)))

    def _of_be(self, now: float, window: float) -> tuple[BECpu | None, BECpu | None, float]:
        """Return the newest sample, the mean, and how long was sampled."""
        while self._samples and self._samples[0][0] < now - window:
            self._samples.popleft()
        if not self._samples or now - self._samples[-1][0] > 1.0:
            return None, None, 0.0
        found = [sample for _, sample in self._samples]
        mean = BECpu(*(sum(each) // len(found) for each in zip(*found, strict=True)))
        return found[-1], mean, self._samples[-1][0] - self._samples[0][0]
