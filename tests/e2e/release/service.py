"""The chart's Deployment and Service, acted out: replicas behind one address that the configurations name."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.cluster.forwarder import Forwarder
from tests.e2e.release.installation import CHART, RELEASE, Installation
from tests.e2e.release.kubelet import Kubelet, Rules
from tests.e2e.release.rendering import DEFAULT, Helm
from tests.e2e.release.replicas import Replica
from tests.ports import free_ports

NEWEST_VERSION = "1.37.0"


class Service:
    """Replicas behind a forwarder; `serving` makes one.

    Attributes:
        forwarder: the one address.
        kubelet: what runs the replicas.
        clock: a file that moves the clocks of replicas made from now on; None: they have the machine's.
    """

    def __init__(
        self, installation: Installation, rules: Rules, forwarder: Forwarder, kubelet: Kubelet
    ) -> None:
        """Take the parts; no replica runs yet."""
        self.forwarder = forwarder
        self.kubelet = kubelet
        self.kubectl = installation.kubectl
        self._installation = installation
        self._count = rules.replicas
        self._numbers = itertools.count(1)
        self.clock: Path | None = None

    @property
    def replicas(self) -> list[Replica]:
        """Those that are not ending."""
        return self.kubelet.replicas

    def new_replica(self) -> Replica:
        """A replica with ports of its own; it does not run."""
        return self._installation.replica(f"replica-{next(self._numbers)}", *free_ports(2), clock=self.clock)

    def start(self, *flags: str) -> None:
        """Start as many as the chart says and wait until new connections go to all."""
        for _ in range(self._count):
            self.kubelet.run(self.new_replica(), *flags)
        self.kubelet.wait_until_backends()

    def roll(self, *flags: str) -> list[float]:
        """Replace every replica by a new one; return how long each drain took."""
        return self.kubelet.roll([self.new_replica() for _ in self.replicas], *flags)


@contextlib.contextmanager
def serving(
    installation: Installation, helm: Helm, *flags: str, restarts: bool = True, clock: Path | None = None
) -> Iterator[Service]:
    """The service with the chart's replicas, ready, and configurations that name it, under ``Fail``."""
    rules = Rules.read(helm.render(DEFAULT, NEWEST_VERSION))
    with Forwarder() as forwarder, Kubelet(rules, forwarder, restarts=restarts) as kubelet:
        service = Service(installation, rules, forwarder, kubelet)
        service.clock = clock
        service.start(*flags)
        point_to(installation, forwarder.port, "Fail")
        try:
            yield service
        finally:
            point_to(installation, installation.port, "Ignore")


def point_to(installation: Installation, port: int, failure_policy: str) -> None:
    """Have the API server call a port of localhost, by an upgrade of the release."""
    installation.helm(
        "upgrade",
        RELEASE,
        str(CHART),
        "--reset-then-reuse-values",
        f"--set=webhook.url=https://localhost:{port}",
        f"--set=webhook.mutating.failurePolicy={failure_policy}",
        f"--set=webhook.validating.failurePolicy={failure_policy}",
    )
