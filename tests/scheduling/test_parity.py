"""Parity with Koordinator's plugin LoadAwareScheduling: may a pod go to a node, its score, and figures.

Ours differs on purpose in one point, listed case by case. After a change on purpose, write the list again::

    COLOCATION_REFERENCE=… python -m tests.scheduling.test_parity
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reference import reference
from webhook.pods.moments import read_moment
from webhook.pods.qosclass import priority_class
from webhook.pods.requests import pod_limit, pod_request
from webhook.protocol import MID, MID_CPU, MID_MEMORY, NODEMETRIC_KIND
from webhook.scheduling.cluster.snapshot import KINDS, cluster_of
from webhook.scheduling.loadaware.nodeload import scores
from webhook.scheduling.settings import read_settings

DATA = Path(__file__).parents[1] / "data"
LISTED = DATA / "scheduling_differences.txt"
EXCERPT = DATA / "reference" / "scheduling"
NAME = "koordinator_loadaware.jsonl"
MID_POINT = "a mid pod that asks for nothing is expected to use what any other such pod is"


def cases(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the recorded cases."""
    for line in (folder / NAME).read_text().splitlines():
        yield json.loads(line)


def ours(case: dict[str, Any]) -> dict[str, Any]:
    """Our answer to a recorded case, in the form of its ``expected``: asked as the endpoints ask."""
    now, node = read_moment(case["now"]), case["node"]["metadata"]["name"]
    settings = read_settings({"loadAware": case["args"], "cpuSets": False})
    metrics = [{**case["nodeMetric"], "metadata": {"name": node}}] if case["nodeMetric"] else []
    objects: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    objects |= {"Node": [case["node"]], "Pod": case["pods"], NODEMETRIC_KIND: metrics}
    cluster = cluster_of(objects, settings, lambda: now)
    visit = cluster.visit(case["pod"])
    found = cluster.rankings.filter(visit, [node], now.timestamp())
    loads, pod = visit.loads(), visit.asked.load
    score = next(scores(loads, [node], pod, settings.load, now.timestamp()))
    points = cluster.rankings.prioritize(visit, [node], now.timestamp())[node]
    assert points == (score + 5) // 10, "what the scheduler gets is this score"
    answer = {
        "filter": found.unresolvable.get(node, "ok"),
        "score": score,
        "estimatedPod": dict(zip(settings.load.resources, pod.estimate, strict=True)),
    }
    usage = cluster.loads.metrics.values.get(("", node))
    if usage is not None and usage.measured:
        side = loads[node].side(prod=pod.prod)
        uses = {"filter": side.filter_use, "score": side.score_use}
        answer["estimatedNode"] = {
            name: dict(zip(settings.load.resources, use, strict=True)) for name, use in uses.items()
        }
    return answer


def theirs(case: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """What Koordinator answered, as far as ours says anything."""
    return {name: case["expected"][name] for name in answer}


def point(case: dict[str, Any]) -> str:
    """The point of the specification by which ours may differ; "": none."""
    for pod in (*case["pods"], case["pod"]):
        asks = [pod_request(pod, each) or pod_limit(pod, each) for each in (MID_CPU, MID_MEMORY)]
        if priority_class(pod) == MID and not all(asks):
            return MID_POINT
    return ""


def differences(folder: Path) -> str:
    """The cases in which ours differs, with the point for it."""
    lines = []
    for case in cases(folder):
        answer = ours(case)
        wanted = theirs(case, answer)
        if answer != wanted:
            fields = ",".join(name for name in answer if answer[name] != wanted[name])
            lines.append(f"{case['id']}: {fields}: {point(case)}\n")
    return "".join(lines)


@pytest.mark.parametrize("case", list(cases(EXCERPT)), ids=lambda case: str(case["id"]))
def test_excerpt(case):
    """The cases that come with the code have Koordinator's answer."""
    answer = ours(case)
    assert answer == theirs(case, answer)


def test_all_cases():
    """Every recorded case has Koordinator's answer, but for those that are listed with their point."""
    found = differences(reference("scheduling"))
    assert found == LISTED.read_text()
    assert all(line.endswith(f": {MID_POINT}") for line in found.splitlines())


if __name__ == "__main__":
    folder = reference("scheduling")
    LISTED.write_text(differences(folder))
    chosen = [case for case in cases(folder) if not point(case)]
    by_answer: dict[str, list[dict[str, Any]]] = {}
    for case in chosen:
        by_answer.setdefault(f"{case['kind']} {case['expected']['filter']}", []).append(case)
    EXCERPT.mkdir(parents=True, exist_ok=True)
    excerpt = sorted((found[0] for found in by_answer.values()), key=lambda case: case["id"])
    (EXCERPT / NAME).write_text("".join(json.dumps(case, separators=(",", ":")) + "\n" for case in excerpt))
