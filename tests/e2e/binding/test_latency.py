"""What a CPU set costs a binding: one of each of three kinds, in an order that dice make, and so on."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.e2e.binding.pods import NOBODY, binding, pod, template
from tests.e2e.binding.service import IN, ledger, nodes, one_process, take_away
from tests.e2e.cluster.apiclient import ApiClient, message
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.figures import show
from tests.e2e.release.installation import Installation

BINDINGS = int(os.environ.get("BINDINGS", "120"))
"""Of each kind; the first ones are not counted."""

_WARM = 20
_PODS = 50
"""With a set, on each node, at the end."""

_PAUSES = {"a pause of 20 ms before each": (0.01, 0.03), "one after another": (0.0, 0.0)}
"""Seconds before each, from and to: a machine that is mostly idle, and one that is not."""


@pytest.fixture(scope="module")
def webhook(release: Installation) -> Iterator[Installation]:
    """The feature on, and one process that the API server calls without anything in between."""
    with one_process(release, "Fail"):
        yield release


@pytest.mark.parametrize("pace", _PAUSES)
def test_latency(
    webhook: Installation, control_plane: ControlPlane, new_namespace: Callable[..., str], pace: str
) -> None:
    """All are bound; those that are to have a set have one. The figures are shown, not judged."""
    inside, outside = new_namespace(IN), new_namespace()
    kinds = {"set": (inside, "LSR"), "no set": (inside, "LS"), "no webhook": (outside, "LSR")}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    shapes = [
        FakeNode(name=f"bench-{inside}-{number}", shape=(2, 2, 16, 2), linux=True)
        for number in range(-(-BINDINGS // _PODS))
    ]
    dice = Random(7)
    with nodes(webhook.kubectl, inside, shapes), contextlib.closing(ApiClient(control_plane)) as calls:
        try:
            uids = {}
            for number in range(BINDINGS):
                for kind, (namespace, qos) in kinds.items():
                    path = f"/api/v1/namespaces/{namespace}/pods"
                    name = f"{kind.replace(' ', '-')}-{number}"
                    made = pod(name, template(qos, "1", pool=inside, schedulerName=NOBODY))
                    code, said = calls.call("POST", path, made)
                    assert code == 201, message(said)
                    uids[namespace, name] = json.loads(said)["metadata"]["uid"]
            for number in range(BINDINGS):
                for kind in dice.sample(list(kinds), len(kinds)):
                    namespace = kinds[kind][0]
                    name = f"{kind.replace(' ', '-')}-{number}"
                    path = f"/api/v1/namespaces/{namespace}/pods/{name}/binding"
                    wanted = binding(name, shapes[number % len(shapes)].name, uid=uids[namespace, name])
                    time.sleep(dice.uniform(*_PAUSES[pace]))
                    started = time.perf_counter()
                    code, said = calls.call("POST", path, wanted)
                    seconds[kind].append(time.perf_counter() - started)
                    assert code == 201, message(said)
            assert sum(len(ledger(webhook.kubectl, node.name)) for node in shapes) == BINDINGS
        finally:
            take_away(webhook.kubectl, inside)
            take_away(webhook.kubectl, outside)
    _show(pace, {kind: sorted(all_of[_WARM:]) for kind, all_of in seconds.items()})


def _show(pace: str, counted: dict[str, list[float]]) -> None:
    table = {
        kind: {percent: 1000 * of[len(of) * percent // 100] for percent in (50, 99)}
        for kind, of in counted.items()
    }
    print(f"\n{pace:30} {'p50 ms':>8} {'p99 ms':>8}")
    for kind, row in table.items():
        print(f"{kind:30} {row[50]:8.2f} {row[99]:8.2f}")
    for more, less in (("set", "no set"), ("no set", "no webhook")):
        row = {percent: table[more][percent] - table[less][percent] for percent in (50, 99)}
        print(f"{f'{more}, more than {less}':30} {row[50]:8.2f} {row[99]:8.2f}")
    figures = {
        kind: {f"p{percent}": round(of, 2) for percent, of in row.items()} for kind, row in table.items()
    }
    show(f"bind latency, ms, {pace}", {"bindings": BINDINGS - _WARM, **figures})
