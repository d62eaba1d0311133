"""Pods under koord-scheduler go where their CPU set is, off hot nodes, and nobody is evicted in vain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.binding.service import ledger
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.processes import NotInTimeError, eventually
from tests.e2e.release.installation import Installation
from tests.e2e.scheduling.pool import SECONDS, Pool
from tests.e2e.scheduling.scheduler import scheduling

Scene = Callable[[Pool], tuple[str, str]]
"""Makes nodes and pods; returns the node that is right, and the one that was taken."""


def one_node_fits(pool: Pool) -> tuple[str, str]:
    """Nodes of three sizes, one hot, one without a topology, one reserved: the fullest is left."""
    pool.add("small", 2)
    pool.add("reserved", 16, reserved="0-27")
    pool.add("bare", 16, topology=False)
    pool.add("hot", 16, used=30)
    fits = pool.add("fits", 8)
    # By requests it is the least attractive one.
    pool.send("filler", "LS", "6", on=fits)
    pool.send("whole", "LSR", "8")
    return fits, pool.bound("whole")


def a_hot_node_is_left(pool: Pool) -> tuple[str, str]:
    """By requests the hot node is the better one."""
    pool.add("hot", 16, used=30)
    cool = pool.add("cool", 8, used=0)
    pool.send("filler", "LS", "6", on=cool)
    pool.send("web", "LS", "2")
    return cool, pool.bound("web")


def nobody_is_evicted_in_vain(pool: Pool) -> tuple[str, str]:
    """Both nodes are full: on one the victims' CPUs help, on the one that is preferred they do not."""
    useless = pool.add("useless", 8, reserved="0-13")
    useful = pool.add("useful", 8)
    pool.send("idle", "", "16", on=useless)
    pool.send("batch", "LSR", "14", on=useful)
    pool.send("filler", "LS", "2", on=useful, priorityClassName="koord-prod")
    # By the replica that holds the Lease, for which one that has just been started may wait a while.
    eventually(lambda: ledger(pool.kubectl, useful), seconds=4 * SECONDS, what="the CPUs of batch")
    pool.kubectl.create(
        {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": f"above-{pool.namespace}"}, "value": 9999,
        }
    )  # fmt: skip
    try:
        pool.send("new", "LSR", "8", priorityClassName=f"above-{pool.namespace}")

        def evicted() -> str:
            for name, node in (("idle", useless), ("batch", useful)):
                if pool.stored(name)["metadata"].get("deletionTimestamp"):
                    return node
            return ""

        return useful, eventually(evicted, seconds=SECONDS, what="an eviction")
    finally:
        pool.kubectl.delete("priorityclass", f"above-{pool.namespace}")


SCENES = [
    ("cpuSets", one_node_fits),
    ("load", one_node_fits),
    ("load", a_hot_node_is_left),
    ("preemption", nobody_is_evicted_in_vain),
]
DENIED = "denied the request"


# First, for one scheduler at a time leads.
@pytest.mark.usefixtures("installed_scheduler")
@pytest.mark.parametrize("case", SCENES)
def test_placement_needs_the_check(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    folder: Path,
    pool: Pool,
    case: tuple[str, Scene],
) -> None:
    """With a check switched off pods go elsewhere, or are denied at binding: the test below would fail."""
    check, scene = case
    with scheduling(release, control_plane, cache, folder / f"{check}-{scene.__name__}", **{check: False}):
        try:
            wanted, found = scene(pool)
        except NotInTimeError:
            # The scheduler has chosen a node, and binding found no set there.
            assert check == "cpuSets"
            assert DENIED in pool.why("whole", "SchedulerError")
        else:
            assert found != wanted


@pytest.mark.parametrize("scene", dict.fromkeys(scene for _, scene in SCENES))
@pytest.mark.usefixtures("running")
def test_placement(pool: Pool, scene: Scene) -> None:
    """With all checks pods go where they should."""
    wanted, found = scene(pool)
    assert found == wanted


@pytest.mark.usefixtures("running")
def test_reasons(pool: Pool) -> None:
    """Why a pod waits stands in its status, counted by cause."""
    for number in (1, 2):
        pool.add(f"hot-{number}", 8, used=15)
    pool.add("bare", 8, topology=False)
    pool.add("small", 2)
    pool.send("p", "LSR", "4")
    message = pool.why("p")
    assert "2 node(s) cpu usage exceed threshold" in message
    assert "1 no NodeResourceTopology" in message
    assert "1 too few whole CPU cores for FullPCPUs" in message
    assert "Preemption is not helpful" in message
