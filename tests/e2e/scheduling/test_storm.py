"""The storm of bindings under koord-scheduler: without the extender, and with it.

What binding denies then is what changes between a scheduler's question and its binding.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cpusetchecker.rules import at_rest
from tests.e2e.binding.looker import Looker
from tests.e2e.binding.service import IN, binding_cpusets, nodes, take_away
from tests.e2e.binding.storm import Storm
from tests.e2e.cluster.apiclient import ApiClient
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import ZOO
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import Process, eventually
from tests.e2e.figures import show
from tests.e2e.release.installation import Installation
from tests.e2e.release.rendering import Helm
from tests.e2e.scheduling.pool import ask
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, answering, extender_flags
from tests.e2e.scheduling.storm import Outcome, outcome, rooms

RUNS = int(os.environ.get("STORM_RUNS", "1"))
FIRST = int(os.environ.get("STORM_FIRST", "0"))
SEED = int(os.environ.get("STORM_SEED", time.time()))
SIZE = float(os.environ.get("STORM_SIZE", "0.3"))
"""Of a whole storm; `make storm EXTENDER=1` raises whole ones."""

POLICIES = ("Ignore", "Fail")
TRIES = 3
SHARE = 0.1


class Stage:
    """Where storms are raised."""

    def __init__(self, release: Installation, control_plane: ControlPlane, cache: Path, folder: Path) -> None:
        self.release = release
        self.control_plane = control_plane
        self.cache = cache
        self.folder = folder

    @contextlib.contextmanager
    def scheduler(self, *, asks: bool) -> Iterator[Process]:
        """Whoever answers to koord-scheduler: the chart's, or a stock one that asks nobody."""
        if not asks:
            yield self.control_plane.process("kube-scheduler")
            return
        with answering(self.release, self.control_plane, self.cache, self.folder) as process:
            yield process

    def storm(self, policy: str, seed: int, spaces: tuple[str, str], *, asks: bool) -> Outcome:
        """Raise one and wait until nothing is wrong; with the extender, until no pod is left that fits."""
        kubectl, flags = self.release.kubectl, extender_flags(self.release, self.folder)
        with (
            binding_cpusets(self.release, Helm(self.cache, self.folder), policy, *flags) as service,
            nodes(kubectl, spaces[0], ZOO),
            contextlib.closing(ApiClient(self.control_plane)) as calls,
        ):
            looker = Looker(calls, kubectl, ZOO, fail_closed=policy == "Fail")
            try:
                with self.scheduler(asks=asks) as process:
                    before = len(process.log())
                    storm = Storm(
                        self.control_plane,
                        service,
                        looker,
                        ZOO,
                        spaces,
                        seed,
                        scheduler=KOORD_SCHEDULER,
                        size=SIZE,
                    )
                    with storm:
                        eventually(lambda: _resting(looker), seconds=180, what="everything at rest")
                        if asks:
                            port = service.forwarder.port
                            eventually(lambda: _all_placed(looker, port), seconds=120, what="what fits bound")
                    assert storm.violations == [], storm.violations
                    return outcome(process.log()[before:], spaces)
            finally:
                for each in spaces:
                    take_away(kubectl, each)


def _resting(looker: Looker) -> bool:
    assert at_rest(looker.look_at_rest()) == []
    return True


def _all_placed(looker: Looker, port: int) -> bool:
    """Whether no pod waits that one of the nodes would take, by requests and by the webhook."""
    pods = looker.pods()
    left = {each["metadata"]["name"]: fitting(each, pods, port) for each in pods if _waits(each)}
    assert not any(left.values()), {name: places for name, places in left.items() if places}
    return True


def _waits(pod: Object) -> bool:
    """Whether a pod waits for the scheduler."""
    spec = pod["spec"]
    waits = spec["schedulerName"] == KOORD_SCHEDULER and not spec.get("nodeName")
    return waits and "deletionTimestamp" not in pod["metadata"]


def fitting(pod: Object, pods: list[Object], port: int) -> list[str]:
    """The nodes that would take a pod."""
    names = rooms(ZOO, pods, pod)
    passed: list[str] = ask(port, pod, names)["NodeNames"] if names else []
    return passed


@pytest.mark.usefixtures("installed_scheduler")
@pytest.mark.parametrize("run", range(FIRST, FIRST + RUNS))
def test_storm_with_the_extender(
    run: int,
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path: Path,
    new_namespace: Callable[..., str],
) -> None:
    """A tenth of the denied bindings at most; nobody evicted in vain; what fits is bound in three tries."""
    stage = Stage(release, control_plane, cache, tmp_path)
    policy, seed, started = POLICIES[run % len(POLICIES)], SEED + run, time.monotonic()
    print(f"STORM_SEED={SEED} run {run} failurePolicy {policy} size {SIZE}")
    without, within = (
        stage.storm(policy, seed, (new_namespace(IN), new_namespace()), asks=asks) for asks in (False, True)
    )
    figures = {
        "run": run,
        "seed": seed,
        "failurePolicy": policy,
        "size": SIZE,
        "seconds": round(time.monotonic() - started),
        "denied": [without.denials, within.denials],
        "bound": [without.bound, within.bound],
        "evicted": [without.evictions, within.evictions],
        "evicted in vain": [len(without.in_vain), len(within.in_vain)],
        "most tries": [without.most_tries, within.most_tries],
    }
    show("storm with the extender", figures)
    assert without.denials > 0
    assert within.denials <= SHARE * without.denials, within.denied
    assert within.in_vain == []
    assert within.most_tries <= TRIES, within.denied
