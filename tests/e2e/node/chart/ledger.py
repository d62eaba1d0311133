"""What ``agent log`` says in the agent's pod on the node."""

from __future__ import annotations

import json

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.chart.verification import AGENT


def actions(kubectl: Kubectl, pod: str, rule: str = "") -> list[Object]:
    """The lines of the ledger of actions about a pod; of one rule, or of all.

    A kubelet that has just started does not know its pods yet: so it is asked again.

    Args:
        kubectl: the administrator's.
        pod: NAMESPACE/NAME.
        rule: of the lines; "": of any.
    """
    command = ("-n", NAMESPACE, "exec", *AGENT, "log", "--pod", pod, "-o", "json")
    said = eventually(lambda: kubectl.run(*command), seconds=90, what="the ledger").stdout
    lines: list[Object] = [json.loads(line) for line in said.splitlines()]
    return [each for each in lines if rule in ("", each["why"]["rule"])]
