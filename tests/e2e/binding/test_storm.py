"""CPU sets at binding, in a storm: never twice, never lost, and at the end everything is as it should be."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cpusetchecker.facts import STATUS
from tests.cpusetchecker.rules import Seen, at_rest
from tests.e2e.binding.looker import Looker
from tests.e2e.binding.service import GRACE_SECONDS, IN, binding_cpusets, nodes, take_away
from tests.e2e.binding.storm import PODS, Storm
from tests.e2e.cluster.apiclient import ApiClient
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import ZOO
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.release.installation import Installation
from tests.e2e.release.metrics import counters
from tests.e2e.release.rendering import Helm

RUNS = int(os.environ.get("STORM_RUNS", "1"))
FIRST = int(os.environ.get("STORM_FIRST", "0"))
SEED = int(os.environ.get("STORM_SEED", time.time()))
POLICIES = ("Ignore", "Fail")


@pytest.mark.parametrize("run", range(FIRST, FIRST + RUNS))
def test_storm(
    run: int,
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path: Path,
    new_namespace: Callable[..., str],
) -> None:
    """Two replicas, one killed, and the API server restarted: zero violations, at no moment and at rest."""
    kubectl = release.kubectl
    policy, started = POLICIES[run % len(POLICIES)], time.monotonic()
    inside, outside = new_namespace(IN), new_namespace()
    print(f"STORM_SEED={SEED} run {run} failurePolicy {policy}")
    with (
        binding_cpusets(release, Helm(cache, tmp_path), policy) as service,
        nodes(kubectl, inside, ZOO),
        contextlib.closing(ApiClient(control_plane)) as calls,
    ):
        looker = Looker(calls, kubectl, ZOO, fail_closed=policy == "Fail")
        try:
            with Storm(control_plane, service, looker, ZOO, (inside, outside), SEED + run) as storm:
                at_the_end = _rest(looker)
        finally:
            told = [replica.admin("/metrics")[1] for replica in service.replicas]
            take_away(kubectl, inside)
            take_away(kubectl, outside)
    figures = {
        "run": run,
        "failurePolicy": policy,
        "seed": SEED + run,
        "seconds": round(time.monotonic() - started),
        "pods": PODS,
        **_pods(at_the_end),
        **storm.done,
        "direct": dict(Counter(f"{each.trick}: {each.code}" for each in storm.bound)),
        "counters": counters(told, "cpuset"),
        "looks": storm.looks,
        "violations": len(storm.violations),
    }
    show("storm", figures)
    wrong = Counter(storm.violations)
    assert not wrong, "\n".join(f"in {times} looks: {violation}" for violation, times in wrong.items())
    assert storm.looks > 10
    assert figures["sets"] > 50
    refused = [each for each in storm.bound if "denied the request" in each.message]
    # Who is refused is told what was asked for, and where.
    assert [each for each in refused if each.node not in each.message] == []


def _rest(looker: Looker) -> Seen:
    """Wait until nothing is wrong, and it stays so for as long as an entry may be without its pod."""
    calm_since: float | None = None

    def resting() -> Seen | None:
        nonlocal calm_since
        began = time.monotonic()
        seen = looker.look_at_rest()
        found = at_rest(seen)
        if found:
            calm_since = None
            kinds = dict(Counter(violation.rule for violation in found))
            raise AssertionError(f"{kinds}, for example {found[:5]}")
        calm_since = calm_since or began
        return seen if began - calm_since > GRACE_SECONDS else None

    return eventually(resting, seconds=GRACE_SECONDS + 180, what="everything at rest")


def _pods(seen: Seen) -> dict[str, int]:
    """What became of the pods that are left."""
    bound = [each for each in seen.pods if each["spec"].get("nodeName")]
    live = [each for each in bound if each["status"]["phase"] not in {"Succeeded", "Failed"}]
    return {
        "bound": len(live),
        "sets": sum(STATUS in each["metadata"].get("annotations", {}) for each in live),
        "ended": len(bound) - len(live),
        "unbound": len(seen.pods) - len(bound),
    }
