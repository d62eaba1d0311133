"""Limits of BE pods in cgroup version 2: enforced, right again after systemd has undone them, given back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

import pytest
import yaml

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import Release
from tests.e2e.node.workloads.pods import batch, running
from tests.e2e.vm.groups import setting, settings
from tests.e2e.vm.machine.guest import SECONDS, Guest
from tests.e2e.vm.seed import FOUR, bound, enforce, name_of, set_mode

ANNOTATION: Final = "colocation-webhook.io/agent"
PLANNED: Final = {
    "nginx-be": {
        "pod cpu.idle": "1",
        "pod cpu.weight": "0",  # by the kernel, for it is idle
        "pod cpu.max": "200000 100000",
        "pod memory.max": "max",
        "container cpu.weight": "79",
        "container cpu.max": "200000 100000",
        "container memory.max": "max",
    },
    "sized": {
        "pod cpu.idle": "1",
        "pod cpu.weight": "0",
        "pod cpu.max": "10000 100000",
        "pod memory.max": str(64 << 20),
        "container cpu.weight": "4",
        "container cpu.max": "10000 100000",
        "container memory.max": str(64 << 20),
    },
}
"""Of the seed's BE pod, which has no limit of batch-memory, and of one with 100 milli-cores and 64Mi."""
UNDONE: Final = {
    name: {at for at, text in planned.items() if text != "max"} - {"pod cpu.weight"}
    for name, planned in PLANNED.items()
}
"""What `systemctl daemon-reload` undoes: all of that, but for CPU sets."""
LEDGER: Final = "/var/lib/colocation-webhook/ledger/actions.jsonl"


@pytest.fixture
def _enforcing_again(agent: Release) -> Iterator[None]:
    """The agent is left as the next test expects it."""
    yield
    enforce(agent)


@pytest.fixture
def pods(kubectl: Kubectl, guest: Guest, namespace: str) -> dict[str, Object]:
    """The seed's BE pod and another one, both running; the agent may not write to them yet."""
    del guest
    mine = {ANNOTATION: "observe"}
    (seeds,) = [
        each for each in yaml.safe_load_all(FOUR.read_text()) if each["metadata"]["name"] == "nginx-be"
    ]
    seeds["spec"]["template"]["metadata"]["annotations"] |= mine
    sized = batch(namespace, "sized", cpu="100", memory="64Mi")
    sized["metadata"]["annotations"] = mine
    kubectl.create(sized)
    names = {"nginx-be": bound(kubectl, namespace, seeds), "sized": "sized"}
    return {name: running(kubectl, namespace, pod, seconds=SECONDS) for name, pod in names.items()}


def actions(guest: Guest, stored: Object) -> list[Object]:
    """What the agent's ledger has of a pod; `agent log` takes its time under emulation."""
    lines = [json.loads(line) for line in guest.run("cat", LEDGER).splitlines()]
    return [each for each in lines if each.get("why", {}).get("pod") == name_of(stored)]


def assert_same(found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Demand the same settings."""
    assert dict(found.items() - wanted.items()) == dict(wanted.items() - found.items())


@pytest.mark.usefixtures("_enforcing_again")
def test_limits(guest: Guest, kubectl: Kubectl, agent: Release, pods: dict[str, Object]) -> None:
    """As planned at pod and container; after `daemon-reload`, too, of which the ledger says what it undid.

    When the agent only observes again, every setting is as the kubelet and the runtime had made it; but the
    kernel empties no set of CPUs in use, which has those of the group above instead.
    """
    # It undoes settings of the runtime, too, which are nobody's concern here.
    guest.run("systemctl", "daemon-reload")
    before = {name: settings(guest, stored) for name, stored in pods.items()}
    for stored in pods.values():
        where = ("-n", stored["metadata"]["namespace"], "annotate", "pod", stored["metadata"]["name"])
        kubectl.run(*where, f"{ANNOTATION}-")

    def as_planned() -> bool:
        found = {name: settings(guest, stored) for name, stored in pods.items()}
        assert {name: {at: found[name].get(at) for at in PLANNED[name]} for name in pods} == PLANNED
        return True

    eventually(as_planned, seconds=SECONDS, what="the limits")
    after = {name: settings(guest, stored) for name, stored in pods.items()}
    written = {name: len(actions(guest, stored)) for name, stored in pods.items()}
    guest.run("systemctl", "daemon-reload")

    def right_again() -> bool:
        for name, stored in pods.items():
            lines = actions(guest, stored)[written[name] :]
            undone = {setting(stored, each["path"], each["file"]) for each in lines if "expected" in each}
            assert undone >= UNDONE[name], f"{name}: {lines}"
            assert_same(settings(guest, stored), after[name])
        return True

    eventually(right_again, seconds=SECONDS, what="the limits again, and a word of it")
    set_mode(agent, "observe")
    every = guest.run("cat", "/sys/fs/cgroup/cpuset.cpus.effective").strip()
    for name, stored in pods.items():
        empty = {at for at, text in before[name].items() if at.endswith(" cpuset.cpus") and not text}
        assert_same(settings(guest, stored), before[name] | dict.fromkeys(empty, every))
