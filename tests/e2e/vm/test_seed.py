"""The seed's four deployments, unchanged, on real nodes of 16 CPUs, by the chart's parts alone."""

from __future__ import annotations

from typing import Final

import pytest

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.vm.machine.guest import Guest
from tests.e2e.vm.machine.shape import NUMA, PLAIN, VERSION_1, Shape
from tests.e2e.vm.seed import assert_said, assert_shown, deploy, name_of, wait_for_sets

SEEN: Final = {"nginx-lse": "0-1", "nginx-lsr": "2-3", "nginx-ls": "4-15", "nginx-be": "2,4-12"}
"""What the seed shows of `cpuset.cpus`."""
APART: Final = {"nginx-lse": "0,2", "nginx-lsr": "4,6", "nginx-ls": "1,3,5,7-15", "nginx-be": "4-5,8-15"}
"""Where a core has two threads: one of each, as `SpreadByPCPUs` asks for; BE has whole cores, one of them in
LSR's."""
SHAPES: Final[dict[Shape, dict[str, str]]] = {PLAIN: SEEN, VERSION_1: SEEN, NUMA: APART}


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("guest", SHAPES, ids=str, indirect=True)
def test_the_four_have_the_cpus_that_the_seed_shows(guest: Guest, kubectl: Kubectl, namespace: str) -> None:
    """In the kernel's files, by the seed's script and by its successor; also after `daemon-reload`."""
    expected = SHAPES[guest.shape]
    pods = deploy(kubectl, namespace)
    wait_for_sets(guest, pods, expected)
    assert_shown(guest, pods, expected)
    for name, stored in pods.items():
        assert_said(kubectl, {name: stored}, expected, name_of(stored))
    # It writes again what it believes to know of each group.
    guest.run("systemctl", "daemon-reload")
    wait_for_sets(guest, pods, expected)
    assert_shown(guest, pods, expected)
    assert_said(kubectl, pods, expected)
