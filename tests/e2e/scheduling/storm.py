"""What became of the pods of a storm, by the log of the scheduler that placed them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Object
from webhook.pods.quantities import parse

_LINES = re.compile(
    r'"(?:(?P<failed>Error scheduling pod; retrying)|(?P<bound>Successfully bound pod to node))"'
    r'.*? pod="(?P<pod>[^"]+)"'
    r'|"(?P<preempted>Preemptor Pod preempted victim Pod)" preemptor="(?P<preemptor>[^"]+)"'
    r'.* node="(?P<on>[^"]+)"'
)
_DENIED = "denied the request"


class Outcome(NamedTuple):
    """What a scheduler did.

    Attributes:
        denied: bindings that the webhook denied, by pod.
        bound: how many pods it bound.
        evictions: how many pods it evicted for others.
        in_vain: the pods for which others were evicted and whose next binding was denied.
    """

    denied: Counter[str]
    bound: int
    evictions: int
    in_vain: list[str]

    @property
    def denials(self) -> int:
        """How many bindings were denied."""
        return self.denied.total()

    @property
    def most_tries(self) -> int:
        """How often the pod that was denied most often was tried until it was bound."""
        return max(self.denied.values(), default=0) + 1


def outcome(log: str, namespaces: Sequence[str]) -> Outcome:
    """Read a scheduler's log in the order of what happened, as far as it is of these namespaces."""
    denied: Counter[str] = Counter()
    evicted: defaultdict[str, list[str]] = defaultdict(list)
    bound, evictions, in_vain = 0, 0, []
    for line in log.splitlines():
        found = _LINES.search(line)
        if found is None or (found["pod"] or found["preemptor"]).partition("/")[0] not in namespaces:
            continue
        if found["preempted"]:
            evictions += 1
            evicted[found["preemptor"]].append(found["on"])
        elif found["bound"]:
            bound += 1
            evicted.pop(found["pod"], None)
        elif _DENIED in line:
            denied[found["pod"]] += 1
            nodes = evicted.pop(found["pod"], ())
            in_vain += [f"{found['pod']} on {node}" for node in nodes if _names(line, node)]
    return Outcome(denied, bound, evictions, in_vain)


def _names(line: str, node: str) -> bool:
    """Whether the name stands there as a word: names of nodes begin alike."""
    return re.search(rf"(?<![\w-]){re.escape(node)}(?![\w-])", line) is not None


def rooms(nodes: Sequence[FakeNode], pods: Sequence[Object], pod: Object) -> list[str]:
    """Return the nodes on which as much is left as a pod requests; its containers have all of it."""
    wanted = _requests(pod)
    left = {
        node.name: {name: parse(value) for name, value in node.status()["allocatable"].items()}
        for node in nodes
    }
    for each in pods:
        node = each["spec"].get("nodeName")
        if node in left and each["status"].get("phase") not in {"Succeeded", "Failed"}:
            for name, amount in _requests(each).items():
                left[node][name] -= amount
    return [
        name for name, has in left.items() if all(has.get(each, 0) >= much for each, much in wanted.items())
    ]


def _requests(pod: Object) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for container in pod["spec"]["containers"]:
        for name, value in container.get("resources", {}).get("requests", {}).items():
            found[name] += parse(value)
    return found
