"""NUMA zones: what each could offer, computed and explained."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capacity.cluster import GI, NOW, batch_pod, config, inventory, metric, node, ours, pod

CPU = "kubernetes.io/batch-cpu"


def topology(*sizes: tuple[str, str]) -> dict[str, Any]:
    """Return the NodeResourceTopology of ``node-1``; its zones have so much cpu and memory."""
    zones = [
        {
            "name": f"node-{i}",
            "type": "Node",
            "resources": [
                # Only the capacity is looked at: what is reserved is not subtracted twice.
                {"name": "cpu", "capacity": cpu, "allocatable": "1", "available": "1"},
                {"name": "memory", "capacity": memory, "allocatable": "1Gi", "available": "1Gi"},
                {"name": "gpu", "capacity": "8"},
            ],
        }
        for i, (cpu, memory) in enumerate(sizes)
    ]
    return {"kind": "NodeResourceTopology", "metadata": {"name": "node-1"}, "zones": zones}


TWO = topology(("16", "64Gi"), ("16", "64Gi"))


def on_zones(of: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a pod that says on which NUMA nodes it lies."""
    of["metadata"]["annotations"] = {"scheduling.koordinator.sh/resource-status": text}
    return of


def zones(*objects: dict[str, Any], resource: str = CPU) -> dict[str, int]:
    """Return what each zone of ``node-1`` could offer."""
    found = inventory(*objects).explain("node-1", NOW)
    return {each.zone: each.offered for each in found.zones if each.resource == resource}


def test_a_node_divided() -> None:
    """Reserved and system are divided equally, once; a pod lies where it says, else on all alike."""
    whole = node(allocatable={"cpu": "30", "memory": "124Gi"})
    web, other = pod("a/web", {"cpu": "8"}), pod("a/other", {"cpu": "8"})
    pinned = on_zones(web, '{"cpuset": "0-3", "numaNodeResources": [{"node": 0, "resources": {"cpu": "4"}}]}')
    use = metric(("a/web", "3", "1Gi"), ("a/other", "2", "0"), ("a/gone", "1", "0"))
    found = zones(whole, use, TWO, config(), pinned, other)
    assert found == {"node-0": 9600 - 1000 - 3000 - 1000 - 500, "node-1": 9600 - 1000 - 1000 - 500}
    memory = zones(
        whole, use, TWO, config(memoryReclaimThresholdPercent=50), pinned, resource=CPU[:-3] + "memory"
    )
    assert memory == {"node-0": 29 * GI, "node-1": 30 * GI}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ('{"numaNodeResources": [{"node": 1}]}', 9600),
        ('{"numaNodeResources": [{"node": 0}, {"node": 7}]}', 5600),  # there is no seventh
        ('{"numaNodeResources": [{"node": 7}]}', 7600),
        ('{"cpuset": "0-3"}', 7600),
        ("{", 7600),
        ('{"numaNodeResources": [{"node": "x"}]}', 7600),
        ('{"numaNodeResources": 3}', 7600),
        ("[]", 7600),
    ],
)
def test_where_a_pod_lies(text: str, first: int) -> None:
    """Ids that do not exist are ignored; what cannot be read is named, and the pod lies everywhere."""
    web = on_zones(pod("a/web", {"cpu": "8"}), text)
    objects = (node(), metric(("a/web", "4", "0")), TWO, config(), web)
    assert zones(*objects)["node-0"] == first
    warned = "counts to all NUMA zones" in "; ".join(inventory(*objects).explain("node-1", NOW).warnings)
    assert warned == (text in {"{", '{"numaNodeResources": [{"node": "x"}]}', '{"numaNodeResources": 3}'})


@pytest.mark.parametrize(
    ("policy", "first"),
    [
        ({"policy": "static", "static": {"cpuPercent": 25}}, 4000),
        ({"policy": "timeOfDay", "timeOfDay": {"default": {"cpuPercent": 10}}}, 1600),
        ({"policy": "watermark"}, 11200 - 3000),
        ({"policy": "peak"}, 9600 - 4000),
    ],
)
def test_each_policy(policy: dict[str, Any], first: int) -> None:
    """A zone is calculated by the policy of its node, with percentages of its own capacity."""
    web = on_zones(pod("a/web", {"cpu": "4"}), '{"numaNodeResources": [{"node": 0}]}')
    assert zones(node(), metric(("a/web", "3", "0")), TWO, config(**ours(**policy)), web)["node-0"] == first


def test_only_while_figures_are_applied() -> None:
    """A late metric says nothing of zones, either; nor is there anything to say without zones."""
    assert zones(node(), metric(at="2026-01-31T07:50:00Z"), TWO, config()) == {}
    assert zones(node(), metric(), config()) == {}


@pytest.mark.parametrize(
    ("zones_", "named"),
    [
        ("x", "zones: 'x' is no list"),
        ([3], "zones[0].name: null is no name such as node-0"),
        ([{"name": "socket-0"}], "zones[0].name: 'socket-0' is no name"),
        (
            [{"name": "node-0", "resources": [{"name": "cpu", "capacity": "lots"}, 3]}],
            "zones[0].resources[cpu].capacity: 'lots' is not a quantity",
        ),
    ],
)
def test_zones_that_cannot_be_read(zones_: Any, named: str) -> None:
    """They are named with their place; the node's figures are what they were."""
    broken = {"kind": "NodeResourceTopology", "metadata": {"name": "node-1"}, "zones": zones_}
    found = inventory(node(), metric(), config(), broken).explain("node-1", NOW)
    assert f"NodeResourceTopology: {named}" in "; ".join(found.warnings)
    assert found.sums[0].offered == 19200


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.sampled_from([None, 0, 1])), max_size=5),
    st.integers(1, 4),
    st.integers(0, 6000),
)
def test_zones_together_are_no_more_than_the_node(
    pods: list[tuple[int, int | None]], count: int, system: int
) -> None:
    """Unless a zone has nothing left, they are as much as the node, up to rounding."""
    listed = []
    for i, (_, number) in enumerate(pods):
        of = pod(f"a/p{i}", {"cpu": "1"})
        listed.append(
            of if number is None else on_zones(of, f'{{"numaNodeResources": [{{"node": {number}}}]}}')
        )
    use = metric(
        *((f"a/p{i}", f"{used}m", "0") for i, (used, _) in enumerate(pods)), system=(f"{system}m", "0")
    )
    objects = (node(), use, config(), topology(*[(f"{32000 // count}m", "1Gi")] * count), *listed)
    found = inventory(*objects, batch_pod("a/b", "1")).explain("node-1", NOW)
    offered = [each.offered for each in found.zones if each.resource == CPU]
    whole = found.sums[0].offered
    assert whole is not None
    assert len(offered) == count
    assert all(each >= 0 for each in offered)
    if all(offered) and whole > 1:
        assert whole - 3 * count <= sum(offered) <= whole
