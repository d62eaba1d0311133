"""What a CPU set costs a binding: one of each of three kinds, in an order that dice make, and so on.

With BEFORE, another checkout that has a virtual environment of its own, the two are measured in turns:
a machine is slow by the minute, so figures of two runs cannot be compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from tests.e2e.binding.pods import NOBODY, binding, pod, template
from tests.e2e.binding.service import FLAGS, IN, ledger, nodes, switched_on, take_away
from tests.e2e.cluster.apiclient import ApiClient, message
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.figures import show
from tests.e2e.release.installation import Installation
from tests.e2e.release.readme import install

BINDINGS = int(os.environ.get("BINDINGS", "120"))
"""Of each kind and in each turn; the first ones are not counted."""

BEFORE = os.environ.get("BEFORE", "")
TURNS = int(os.environ.get("TURNS", "8")) if BEFORE else 1

_WARM = 20
_PODS = 50
"""With a set, on each node, at the end."""

_PAUSES = {"a pause of 20 ms before each": (0.01, 0.03), "one after another": (0.0, 0.0)}
"""Seconds before each, from and to: a machine that is mostly idle, and one that is not."""

Seconds = dict[str, list[float]]
"""By kind."""


@pytest.fixture(scope="module")
def webhook(release: Installation) -> Iterator[Installation]:
    """The feature on, and one process at a time that the API server calls without anything in between."""
    release.stop()
    with switched_on(release, "Fail"):
        yield release
        release.stop()
    release.serve()


@pytest.mark.parametrize("pace", _PAUSES)
def test_latency(
    webhook: Installation, control_plane: ControlPlane, new_namespace: Callable[..., str], pace: str
) -> None:
    """All are bound; those that are to have a set have one. The figures are shown, not judged."""
    dice = Random(7)
    sides = {"before": _of(Path(BEFORE)), "now": ""} if BEFORE else {"now": ""}
    counted: dict[str, list[Seconds]] = {side: [] for side in sides}
    for turn in range(TURNS):
        for side in sorted(sides, reverse=bool(turn % 2)):
            inside, outside = new_namespace(IN), new_namespace()
            webhook.serve(*FLAGS, command=sides[side])
            counted[side].append(_bound(webhook, control_plane, (inside, outside), pace, dice))
            webhook.stop()
    tables = {side: _table(turns) for side, turns in counted.items()}
    for side, table in tables.items():
        _show(f"{pace}, {side}" if BEFORE else pace, table)
    if BEFORE:
        _compare(pace, counted["before"], counted["now"])


def _of(checkout: Path) -> str:
    """The README's command, of another checkout."""
    path = f"{checkout / '.venv' / 'bin'}:$PATH"
    return f'env PYTHONPATH={checkout} PATH="{path}" {install().serving.strip()}'


def _bound(
    webhook: Installation, control_plane: ControlPlane, namespaces: tuple[str, str], pace: str, dice: Random
) -> Seconds:
    """Make pods, bind them, and take them away; the seconds that each binding took."""
    inside, outside = namespaces
    kinds = {"set": (inside, "LSR"), "no set": (inside, "LS"), "no webhook": (outside, "LSR")}
    seconds: Seconds = {kind: [] for kind in kinds}
    shapes = [
        FakeNode(name=f"bench-{inside}-{number}", shape=(2, 2, 16, 2), linux=True)
        for number in range(-(-BINDINGS // _PODS))
    ]
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
    return {kind: all_of[_WARM:] for kind, all_of in seconds.items()}


def _table(turns: list[Seconds]) -> dict[str, dict[int, float]]:
    """Milliseconds at p50 and p99 of all turns together, by kind."""
    together = {kind: sorted(each for turn in turns for each in turn[kind]) for kind in turns[0]}
    return {
        kind: {percent: 1000 * of[len(of) * percent // 100] for percent in (50, 99)}
        for kind, of in together.items()
    }


def _compare(pace: str, before: list[Seconds], now: list[Seconds]) -> None:
    """Show the median of the turns' ratios of medians, and how far these are apart."""
    ratios = {
        kind: sorted(
            statistics.median(last[kind]) / statistics.median(first[kind])
            for first, last in zip(before, now, strict=True)
        )
        for kind in before[0]
    }
    print(f"\n{f'{pace}, now / before':50} {'median':>8} {'least':>8} {'most':>8}")
    for kind, of in ratios.items():
        print(f"{kind:50} {statistics.median(of):8.3f} {of[0]:8.3f} {of[-1]:8.3f}")
    figures = {kind: round(statistics.median(of), 3) for kind, of in ratios.items()}
    show(f"bind latency, now / before, {pace}", {"turns": TURNS, "bindings": BINDINGS - _WARM, **figures})


def _show(pace: str, table: Mapping[str, Mapping[int, float]]) -> None:
    print(f"\n{pace:50} {'p50 ms':>8} {'p99 ms':>8}")
    for kind, row in table.items():
        print(f"{kind:50} {row[50]:8.2f} {row[99]:8.2f}")
    for more, less in (("set", "no set"), ("no set", "no webhook")):
        row = {percent: table[more][percent] - table[less][percent] for percent in (50, 99)}
        print(f"{f'{more}, more than {less}':50} {row[50]:8.2f} {row[99]:8.2f}")
    figures = {
        kind: {f"p{percent}": round(of, 2) for percent, of in row.items()} for kind, row in table.items()
    }
    show(f"bind latency, ms, {pace}", {"turns": TURNS, "bindings": BINDINGS - _WARM, **figures})
