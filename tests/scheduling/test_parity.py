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
from webhook.protocol import MID, MID_CPU, MID_MEMORY
from webhook.scheduling.loadaware.loadsettings import read_load_settings
from webhook.scheduling.loadaware.nodeload import judge, scores, why_not
from webhook.scheduling.loadaware.nodeshape import read_shape
from webhook.scheduling.loadaware.nodeusage import read_usage
from webhook.scheduling.loadaware.podload import is_of_daemonset, read_assigned, read_pod

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
    """Our answer to a recorded case, in the form of its ``expected``."""
    settings, now = read_load_settings(case["args"]), read_moment(case["now"]).timestamp()
    usage = read_usage(case["nodeMetric"], settings.resources) if case["nodeMetric"] else None
    assigned = [pod for each in case["pods"] if (pod := read_assigned(each, settings, now))]
    load = judge(read_shape(case["node"], settings.resources), usage, assigned, settings)
    incoming = read_pod(case["pod"], settings, now)
    reason = "" if is_of_daemonset(case["pod"]) else why_not(load, incoming, settings, now)
    answer = {
        "filter": reason or "ok",
        "score": next(scores({"n": load}, ["n"], incoming, settings, now)),
        "estimatedPod": dict(zip(settings.resources, incoming.estimate, strict=True)),
    }
    if usage is not None and usage.measured:
        side = load.side(prod=incoming.prod)
        uses = {"filter": side.filter_use, "score": side.score_use}
        answer["estimatedNode"] = {
            name: dict(zip(settings.resources, use, strict=True)) for name, use in uses.items()
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
