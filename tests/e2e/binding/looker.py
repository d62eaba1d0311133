"""Looks at a cluster for the checker of CPU sets."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

from tests.cpusetchecker.facts import NodeTopology, entries, read_topology
from tests.cpusetchecker.rules import Seen
from tests.e2e.cluster.apiclient import ApiClient, message
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Kubectl, Object

LEDGERS = "/apis/colocation-webhook.io/v1alpha1/nodecpuallocations"
TOPOLOGIES = "/apis/topology.node.k8s.io/v1alpha1/noderesourcetopologies"
OPTED_IN = "colocation-webhook.io/cpuset"

YOUNG_SECONDS = 15
"""A pod that kube-scheduler evicts for another one, which is denied then, is made again and bound again,
perhaps for good and all: of those some are always without a node, each for a second or so.
"""


class Looker:
    """Reads pods, ledgers, pods: each list is of one moment, a list after another."""

    def __init__(
        self, calls: ApiClient, kubectl: Kubectl, nodes: Sequence[FakeNode], *, fail_closed: bool
    ) -> None:
        """Read the namespaces, which are to stay as they are; ``calls`` is for the lists."""
        self.calls = calls
        self._fail_closed = fail_closed
        self._names = [node.name for node in nodes]
        self._opted_in = frozenset(
            each["metadata"]["name"]
            for each in kubectl.items("namespaces")
            if each["metadata"].get("labels", {}).get(OPTED_IN) == "enabled"
        )

    def pods(self) -> list[Object]:
        """Return all pods of all namespaces."""
        return self._list("/api/v1/pods")

    def look(self) -> Seen:
        """Look; raises OSError where the API server does not answer."""
        return Seen(
            self._topologies(),
            self._opted_in,
            pods=self.pods(),
            ledgers=[{**each, "spec": {"allocations": entries(each)}} for each in self._list(LEDGERS)],
            later=self.pods(),
            fail_closed=self._fail_closed,
        )

    def look_at_rest(self) -> Seen:
        """Look, and read the Events, too."""
        events = self._list("/api/v1/events")
        reported = frozenset(each["involvedObject"].get("uid", "") for each in events if _ours(each))
        since = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=YOUNG_SECONDS)).isoformat()
        seen = self.look()
        # Both texts are of the same form as far as the second.
        young = frozenset(
            each["metadata"]["uid"] for each in seen.pods if each["metadata"]["creationTimestamp"] > since
        )
        stuck = frozenset(
            each["involvedObject"].get("uid", "")
            for each in events
            if _ours(each) and each["reason"] == "CPUSetMissing"
        )
        return seen._replace(reported=reported, young=young, stuck=stuck)

    def _topologies(self) -> dict[str, NodeTopology | None]:
        stored = {each["metadata"]["name"]: each for each in self._list("/api/v1/nodes")}
        described = {each["metadata"]["name"]: each for each in self._list(TOPOLOGIES)}
        return {
            name: read_topology(stored[name], described[name]) if name in described else None
            for name in self._names
        }

    def _list(self, path: str) -> list[Object]:
        # Without a limit and a resourceVersion the answer is what was stored at one moment, all of it.
        code, body = self.calls.call("GET", path)
        if code != 200:
            raise OSError(f"{path}: {code}: {message(body)}")
        items: list[Object] = json.loads(body)["items"]
        return items


def _ours(event: Object) -> bool:
    """Whether the webhook reported it, not the scheduler or a controller."""
    told = (event.get("source", {}).get("component"), event.get("reportingComponent"))
    return any("colocation-webhook" in (name or "") for name in told)
