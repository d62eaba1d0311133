"""What an administrator asks of all nodes, in Koordinator's ConfigMap."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.machine.node import NAME
from webhook.slo.keys import KEYS

_CONFIG: Final = "slo-controller-config"


def ask(kubectl: Kubectl, strategy: Mapping[str, Any], key: str = "resource-threshold-config") -> None:
    """Ask for suppression or eviction, or what another key says: the controller makes the NodeSLO of it."""
    text = json.dumps({"clusterStrategy": strategy})
    patch = json.dumps({"data": {key: text}})
    kubectl.run("-n", NAMESPACE, "patch", "configmap", _CONFIG, "--type=merge", "-p", patch)

    def made() -> bool:
        spec = kubectl.get("nodeslo", NAME)["spec"][KEYS[key].spec]
        assert spec.items() >= strategy.items(), spec
        return True

    eventually(made, seconds=60, what="the NodeSLO")
