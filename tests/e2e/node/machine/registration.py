"""What a kubelet has said of its Node."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually


class Registration:
    """The Node of one name, as the API server has it, or does not have it yet."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self._kubectl = kubectl
        self._name = name

    def heartbeat(self) -> str:
        """When the kubelet last said how the Node is, "" before it ever did."""
        return self._condition().get("lastHeartbeatTime", "")

    def register(self) -> None:
        """Make the Node where there is none: a slow kubelet that makes it itself waits two minutes for it."""
        if not self._stored():
            self._kubectl.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._name}})

    def wait_until_ready(self, since: str, working: Callable[[], object], *, seconds: float = 90) -> None:
        """Wait until the kubelet says that the Node is Ready.

        Args:
            since: the heartbeat before it was started: what it said then does not count.
            working: raises where the kubelet has ended.
            seconds: so long at most.
        """

        def ready() -> bool:
            working()
            assert self.heartbeat() != since, "nothing new from the kubelet, see its log"
            return self._condition().get("status") == "True"

        eventually(ready, seconds=seconds, what="the Node Ready")

    def _condition(self) -> dict[str, str]:
        conditions: list[dict[str, str]] = self._stored().get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == "Ready"), {})

    def _stored(self) -> Object:
        said = self._kubectl.run("get", "node", self._name, "--ignore-not-found", "-o", "json").stdout
        found: Object = json.loads(said) if said else {}
        return found
