"""What kubelet, endpoints and Deployment controller do for replicas, as the rendered chart says it.

Replicas are probed as the probes say. The ready ones are the forwarder's backends. A replica that is told to
end is no backend from that moment on, sleeps as preStop says, gets SIGTERM, and SIGKILL when its grace period
is over. One that ended by itself, or hangs for the liveness probe, is started again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from tests.e2e.cluster.forwarder import Forwarder
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.replicas import Replica

PROPAGATION_SECONDS = 1.0
"""From a change of a pod's readiness to the last node's rules: what preStop is there for."""

_LOOK_SECONDS = 0.5
"""After which a node notices at the latest that a container has ended."""


class Probe(NamedTuple):
    """How often, how long, and how many failures."""

    path: str
    period: float
    timeout: float
    failures: int

    @classmethod
    def read(cls, raw: Object) -> Self:
        """A probe of a container; Kubernetes' defaults stand for what is left out."""
        return cls(
            raw["httpGet"]["path"],
            raw.get("periodSeconds", 10),
            raw.get("timeoutSeconds", 1),
            raw.get("failureThreshold", 3),
        )


class Rules(NamedTuple):
    """What a Deployment says about its pods' lives."""

    replicas: int
    readiness: Probe
    liveness: Probe
    pre_stop: float
    grace: float
    surge: int
    flags: tuple[str, ...]

    @classmethod
    def read(cls, objects: Iterable[Object]) -> Self:
        """Take them from the Deployment among rendered objects."""
        spec = next(each["spec"] for each in objects if each["kind"] == "Deployment")
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        rolling = spec["strategy"]["rollingUpdate"]
        assert rolling["maxUnavailable"] == 0
        return cls(
            replicas=spec["replicas"],
            readiness=Probe.read(container["readinessProbe"]),
            liveness=Probe.read(container["livenessProbe"]),
            pre_stop=container["lifecycle"]["preStop"]["sleep"]["seconds"],
            grace=pod["terminationGracePeriodSeconds"],
            surge=rolling["maxSurge"],
            flags=tuple(each for each in container["args"] if each.startswith(("--grace=", "--workers="))),
        )


class _Pod:
    """A replica and what its endpoint knows of it."""

    def __init__(self, replica: Replica, flags: tuple[str, ...]) -> None:
        self.replica = replica
        self.flags = flags
        self.ready = False
        self.ending = False
        self.restarts = 0


class Kubelet:
    """Runs replicas behind a forwarder, from entering to leaving."""

    def __init__(self, rules: Rules, forwarder: Forwarder, *, restarts: bool = True) -> None:
        """Take what the chart says; ``restarts``: whether what ends or hangs is started again."""
        self.rules = rules
        self._forwarder = forwarder
        self._restarts = restarts
        self._pods: list[_Pod] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every replica at once."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for pod in self._pods:
            pod.replica.stop()

    @property
    def replicas(self) -> list[Replica]:
        """Those that are not ending."""
        with self._lock:
            return [pod.replica for pod in self._pods if not pod.ending]

    def restarts(self, replica: Replica) -> int:
        """How often it was started again."""
        return self._pod(replica).restarts

    def is_backend(self, replica: Replica) -> bool:
        """Whether new connections go to it."""
        return replica.port in self._forwarder.backends

    def run(self, replica: Replica, *flags: str) -> None:
        """Start a replica with the chart's flags and these, and begin to probe it."""
        pod = _Pod(replica, (*self.rules.flags, *flags))
        replica.start(*pod.flags)
        with self._lock:
            self._pods.append(pod)
        # A readiness probe that hangs keeps no liveness probe waiting.
        for probing in (self._probe_readiness, self._probe_liveness):
            thread = threading.Thread(target=probing, args=(pod,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait_until_backends(self, replicas: Sequence[Replica] | None = None) -> None:
        """Wait until new connections go to these replicas (all, unless they are given)."""
        for replica in self.replicas if replicas is None else replicas:
            eventually(lambda each=replica: self.is_backend(each), seconds=90, what=f"{replica.name} backend")

    def end(self, replica: Replica) -> float:
        """Delete its pod, the way Kubernetes does; return the seconds from SIGTERM to its end."""
        pod = self._pod(replica)
        with self._lock:
            pod.ending = True
        self._publish()
        started = time.monotonic()
        time.sleep(self.rules.pre_stop)
        sent = time.monotonic()
        replica.terminate()
        if not replica.process.ended(self.rules.grace - (sent - started)):
            replica.kill()
            raise AssertionError(
                f"{replica.name} was killed: its drain took longer than {self.rules.grace} s"
            )
        took = time.monotonic() - sent
        with self._lock:
            self._pods.remove(pod)
        replica.stop()
        return took

    def roll(self, new: Sequence[Replica], *flags: str) -> list[float]:
        """Replace all replicas, each new one ready before an old one goes; return how long drains took."""
        assert self.rules.surge == 1
        drains = []
        for old, replica in zip(self.replicas, new, strict=True):
            self.run(replica, *flags)
            self.wait_until_backends([replica])
            drains.append(self.end(old))
        return drains

    def _pod(self, replica: Replica) -> _Pod:
        with self._lock:
            return next(pod for pod in self._pods if pod.replica is replica)

    def _probe_readiness(self, pod: _Pod) -> None:
        probe, failures = self.rules.readiness, 0
        while not pod.ending:
            good = _asked(pod.replica, probe)
            failures = 0 if good else failures + 1
            self._judge(pod, ready=good or (pod.ready and failures < probe.failures))
            if self._stop.wait(probe.period):
                return

    def _probe_liveness(self, pod: _Pod) -> None:
        probe, failures, due = self.rules.liveness, 0, time.monotonic()
        while not self._stop.wait(_LOOK_SECONDS) and not pod.ending:
            if pod.replica.running and time.monotonic() >= due:
                due = time.monotonic() + probe.period
                failures = 0 if _asked(pod.replica, probe) else failures + 1
            if self._restarts and (failures >= probe.failures or not pod.replica.running):
                failures = 0
                self._restart(pod)

    def _judge(self, pod: _Pod, *, ready: bool) -> None:
        if pod.ready != ready:
            pod.ready = ready
            self._publish()

    def _restart(self, pod: _Pod) -> None:
        self._judge(pod, ready=False)
        pod.replica.kill()
        pod.restarts += 1
        pod.replica.start(*pod.flags)

    def _publish(self) -> None:
        """Let new connections go to what is ready, after as long as a cluster needs for it."""
        timer = threading.Timer(PROPAGATION_SECONDS, self._apply)
        timer.daemon = True
        timer.start()

    def _apply(self) -> None:
        with self._lock:
            self._forwarder.backends = tuple(
                pod.replica.port for pod in self._pods if pod.ready and not pod.ending
            )


def _asked(replica: Replica, probe: Probe) -> bool:
    try:
        return replica.admin(probe.path, timeout=probe.timeout)[0] == 200
    except OSError:
        return False
