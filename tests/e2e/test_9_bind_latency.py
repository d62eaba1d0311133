"""What a CPU set costs a binding: three kinds of bindings, one after another, at one API server."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.e2e.apicalls import Calls, message
from tests.e2e.controlplane import ControlPlane
from tests.e2e.cpusetpods import NOBODY, binding, pod, template
from tests.e2e.cpusetservice import IN, binding_cpusets, empty, nodes
from tests.e2e.fakenodes import FakeNode
from tests.e2e.figures import write
from tests.e2e.installation import Installation
from tests.e2e.rendering import Helm

BINDINGS = 200
"""Of each kind; the first ones are not counted."""

_WARM = 20
_NODE = FakeNode(name="bench-node", shape=(2, 2, 64, 2), linux=True)


def test_latency(
    release: Installation, control_plane: ControlPlane, helm: Helm, new_namespace: Callable[..., str]
) -> None:
    """All are bound; those that are to have a set have one. The figures are shown, not judged."""
    inside, outside = new_namespace(IN), new_namespace()
    kinds = {"set": (inside, "LSR"), "no set": (inside, "LS"), "no webhook": (outside, "LSR")}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with (
        binding_cpusets(release, helm, "Fail"),
        nodes(release.kubectl, inside, [_NODE]),
        Calls(control_plane) as calls,
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
                    code, said = calls.call("POST", path, binding(name, _NODE.name))
                    seconds[kind].append(time.perf_counter() - started)
                    assert code == 201, message(said)
            (ledger,) = release.kubectl.items("nodecpuallocations")
            assert ledger["status"]["pods"] == BINDINGS
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
    write("bind latency, ms", {"bindings": BINDINGS - _WARM, **table})
