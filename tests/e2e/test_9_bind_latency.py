"""What a CPU set costs a binding: three kinds of bindings, one after another, at one API server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from tests.e2e.apiclient import ApiClient, message
from tests.e2e.controlplane import ControlPlane
from tests.e2e.cpusetpods import NOBODY, binding, pod, template
from tests.e2e.cpusetservice import IN, empty, ledger, nodes, one_process
from tests.e2e.fakenodes import FakeNode
from tests.e2e.figures import show
from tests.e2e.installation import Installation

BINDINGS = 200
"""Of each kind; the first ones are not counted."""

_WARM = 20
_NODES = [FakeNode(name=f"bench-{number}", shape=(2, 2, 16, 2), linux=True) for number in range(4)]
"""Of 128 CPUs; each has 50 pods with a set at the end, and a kubelet takes 110 pods at all."""


def test_latency(
    release: Installation, control_plane: ControlPlane, new_namespace: Callable[..., str]
) -> None:
    """All are bound; those that are to have a set have one. The figures are shown, not judged."""
    inside, outside = new_namespace(IN), new_namespace()
    kinds = {"set": (inside, "LSR"), "no set": (inside, "LS"), "no webhook": (outside, "LSR")}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with (
        one_process(release, "Fail"),
        nodes(release.kubectl, inside, _NODES),
        contextlib.closing(ApiClient(control_plane)) as calls,
    ):
        try:
            for number in range(BINDINGS):
                for kind, (namespace, qos) in kinds.items():
                    path = f"/api/v1/namespaces/{namespace}/pods"
                    name = f"{kind.replace(' ', '-')}-{number}"
                    made = pod(name, template(qos, "1", pool=inside, schedulerName=NOBODY))
                    code, said = calls.call("POST", path, made)
                    assert code == 201, message(said)
            for number in range(BINDINGS):
                for kind, (namespace, _) in kinds.items():
                    name = f"{kind.replace(' ', '-')}-{number}"
                    path = f"/api/v1/namespaces/{namespace}/pods/{name}/binding"
                    started = time.perf_counter()
                    code, said = calls.call("POST", path, binding(name, _NODES[number % len(_NODES)].name))
                    seconds[kind].append(time.perf_counter() - started)
                    assert code == 201, message(said)
            ledgers = [ledger(release.kubectl, node.name) for node in _NODES]
            assert sum(map(len, ledgers)) == BINDINGS
        finally:
            empty(release.kubectl, inside)
            empty(release.kubectl, outside)
    counted = {kind: sorted(all_of[_WARM:]) for kind, all_of in seconds.items()}
    table = {
        kind: {f"p{percent}": round(1000 * of[len(of) * percent // 100], 2) for percent in (50, 99)}
        for kind, of in counted.items()
    }
    print(f"\n{'binding':12} {'p50 ms':>8} {'p99 ms':>8}")
    for kind, row in table.items():
        print(f"{kind:12} {row['p50']:8.2f} {row['p99']:8.2f}")
    show("bind latency, ms", {"bindings": BINDINGS - _WARM, **table})
