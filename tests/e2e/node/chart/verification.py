"""What ``agent cpusets`` says in the agent's pod on the node."""

from __future__ import annotations

import json
from typing import Final

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.node.chart.release import NAMESPACE

AGENT: Final = ("daemonset/release-colocation-webhook-agent", "--", "colocation-webhook", "agent")
"""Runs a command of the agent in its pod."""


def verified(kubectl: Kubectl, *arguments: str) -> dict[str, Object]:
    """What it says of pods, by their namespaces and names; an AssertionError where a set differs.

    Args:
        kubectl: the administrator's.
        arguments: further ones, such as one pod's name.
    """
    command = ("exec", *AGENT, "cpusets", "--in-cluster", "-o", "json", *arguments)
    said = kubectl.run("-n", NAMESPACE, *command).stdout
    return {each["pod"]: each for each in json.loads(said)["pods"]}
