"""The seed's four deployments, unchanged, on a real node of 16 CPUs, by the chart's parts alone."""

from __future__ import annotations

from typing import Final

import pytest

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.vm.machine.guest import Guest
from tests.e2e.vm.seed import assert_said, assert_shown, deploy, name_of, wait_for_sets

SEEN: Final = {"nginx-lse": "0-1", "nginx-lsr": "2-3", "nginx-ls": "4-15", "nginx-be": "2,4-12"}
"""What the seed shows of `cpuset.cpus`."""


@pytest.mark.usefixtures("agent")
def test_the_four_have_the_cpus_that_the_seed_shows(guest: Guest, kubectl: Kubectl, namespace: str) -> None:
    """In the kernel's files, by the seed's script and by its successor; also after `daemon-reload`."""
    pods = deploy(kubectl, namespace)
    wait_for_sets(guest, pods, SEEN)
    assert_shown(guest, pods, SEEN)
    for name, stored in pods.items():
        assert_said(kubectl, {name: stored}, SEEN, name_of(stored))
    # It writes again what it believes to know of each group.
    guest.run("systemctl", "daemon-reload")
    wait_for_sets(guest, pods, SEEN)
    assert_shown(guest, pods, SEEN)
    assert_said(kubectl, pods, SEEN)
