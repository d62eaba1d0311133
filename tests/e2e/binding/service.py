"""The webhook with CPU sets at binding: the chart's values, two replicas, and nodes to bind to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from tests.cpusetchecker.facts import entries
from tests.e2e.binding.looker import LEDGERS, OPTED_IN
from tests.e2e.cluster.fakenodes import FakeNode, make, unmake
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import CHART, RELEASE, Installation
from tests.e2e.release.rendering import Helm
from tests.e2e.release.service import Service, serving

GRACE_SECONDS = 15
"""Longer than a binding takes from the webhook's answer to its end, on a busy machine."""

FLAGS = ("--cpusets", f"--cpusets-grace={GRACE_SECONDS}")
IN = {OPTED_IN: "enabled"}


@contextlib.contextmanager
def switched_on(release: Installation, failure_policy: str) -> Iterator[None]:
    """The feature on, by the chart; off again afterwards. What serves needs the FLAGS."""
    _upgrade(release, enabled="true", installTopologyCRD="true", failurePolicy=failure_policy)
    try:
        yield
    finally:
        _upgrade(release, enabled="false")


@contextlib.contextmanager
def binding_cpusets(release: Installation, helm: Helm, failure_policy: str, *flags: str) -> Iterator[Service]:
    """The feature on, and the chart's replicas, with further flags."""
    with switched_on(release, failure_policy), serving(release, helm, *FLAGS, *flags) as service:
        yield service


@contextlib.contextmanager
def one_process(release: Installation, failure_policy: str) -> Iterator[None]:
    """The feature on, and one process that the API server calls without anything in between."""
    release.stop()
    with switched_on(release, failure_policy):
        release.serve(*FLAGS)
        yield
        release.stop()
    release.serve()


@contextlib.contextmanager
def nodes(kubectl: Kubectl, pool: str, made: Sequence[FakeNode]) -> Iterator[None]:
    """Nodes with their topologies, which go afterwards."""
    try:
        make(kubectl, pool, made)
        yield
    finally:
        unmake(kubectl, made)


def take_away(kubectl: Kubectl, namespace: str) -> None:
    """Take a namespace away, and its pods: without a kubelet nobody confirms the end of a bound pod."""
    # Nothing is made in a namespace that ends; controllers would go on making pods until they are gone.
    kubectl.delete("namespace", namespace)

    def emptied() -> bool:
        # One call: kubectl's own is one for each pod, which takes a minute where the machine is busy.
        kubectl.run("delete", "--raw", f"/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0")
        left = [each["metadata"] for each in kubectl.items("pods", namespace=namespace)]
        assert not left, [(each["name"], each.get("finalizers")) for each in left[:5]]
        return True

    # A Job's pods go only when its controller has taken its finalizer off each of them.
    eventually(emptied, seconds=180, what=f"{namespace} empty")


def ledger(kubectl: Kubectl, node: str) -> list[Object]:
    """The entries of a node's ledger, as kubectl shows it; none where there is no ledger."""
    found = {each["metadata"]["name"]: each for each in kubectl.items(LEDGERS.rsplit("/", 1)[1])}
    return entries(found.get(node, {}))


def _upgrade(release: Installation, **values: str) -> None:
    settings = [f"--set=cpusets.{name}={value}" for name, value in values.items()]
    release.helm("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", *settings)
