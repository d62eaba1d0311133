"""Parity with Koordinator's batch and mid amounts and its effective strategies.

The reference names for each case the quirks on which Koordinator's answer depends. A case
without one has to be equal; another may differ on purpose, and is listed with its quirks. After
a change on purpose, write the list again::

    COLOCATION_REFERENCE=… python -m tests.capacity.test_parity
"""

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.reference import reference
from webhook.capacity.amounts import UNIT, Step, total
from webhook.capacity.demand import read_pod
from webhook.capacity.estimate import FLOOR, Capacity, State, estimate
from webhook.capacity.node import read_node
from webhook.capacity.nodemetric import read_nodemetric
from webhook.capacity.situation import Situation, situation_of
from webhook.capacity.sloconfig import Configuration, read_configuration, strategy_of
from webhook.capacity.strategy import StrategyError
from webhook.capacity.zones import read_zones, zone_figures
from webhook.pods.quantities import NANO, parse, text_of

DATA = Path(__file__).parents[1] / "data"
LISTED = DATA / "capacity_differences.txt"
EXCERPT = DATA / "reference" / "capacity"
AMOUNTS, CONFIGS = "koordinator_batch_mid.jsonl", "koordinator_config.jsonl"
NAMES = ("batch-cpu", "batch-memory", "mid-cpu", "mid-memory")
ROUNDING = {"float", "round-up"}
FRESH = {"extensions": {"colocation-webhook.io": {"staleSeconds": 86_400}}}
"""Koordinator does not hold: with this a metric is fresh, or too old."""

MEANINGS = {
    "above-capacity": "a threshold above 100 gives at most the node's capacity, with a warning",
    "negative-result": "nothing below 0 is published",
    "new-pod-not-in-max": "maxUsageRequest subtracts the request of a pod without metric, too",
    "minutes-overflow": "degradeTimeMinutes does not wrap round",
    "ratio-not-finite": "a label that is no finite ratio is ignored",
    "strategy-out-of-range": "the node's annotation is held to the ranges, else ignored as a whole",
    "round-up": "a negative usage counts as 0",
    "third-party-unparsable": "third parties that cannot be read do not raise the offer",
    "held": "a metric from far in the future, one with a negative system usage, and a node that states no "
    "capacity let nothing new in",
    "named-twice": "a pod that names a NUMA node twice lies there with both parts",
    "ratio": "a normalization ratio above 5 is ignored, as Koordinator's own configuration refuses it",
}
"""Why ours differs, by quirk of the reference; ``held``, ``named-twice`` and ``ratio`` are our words."""

ABOUT_BATCH = {"above-capacity", "new-pod-not-in-max", "third-party-unparsable"}
"""Quirks that explain no difference of a mid amount."""


def lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the recorded cases of a file."""
    for line in (folder / name).read_text().splitlines():
        yield json.loads(line)


def answered_situation(case: dict[str, Any]) -> Situation:
    """Return what our policies look at in a case."""
    configuration = read_configuration({"colocation-config": json.dumps(case["strategy"] | FRESH)})
    node = read_node(case["node"])
    return situation_of(
        node,
        read_nodemetric(case["nodeMetric"]),
        [read_pod(each) for each in case["pods"]],
        strategy_of(configuration, node.labels, node.annotations),
        dt.datetime.fromisoformat(case["now"]),
    )


def answered(case: dict[str, Any]) -> Capacity:
    """Return our answer to a case."""
    obj = case["node"]
    if ratio := case.get("cpuNormalizationRatio"):
        noted = {"node.koordinator.sh/cpu-normalization-ratio": ratio}
        obj["metadata"]["annotations"] = (obj["metadata"].get("annotations") or {}) | noted
    configuration = read_configuration({"colocation-config": json.dumps(case["strategy"] | FRESH)})
    node = read_node(obj)
    return estimate(
        node,
        read_nodemetric(case["nodeMetric"]) if case["nodeMetric"] else None,
        [read_pod(each) for each in case["pods"]],
        strategy_of(configuration, node.labels, node.annotations),
        dt.datetime.fromisoformat(case["now"]),
    )


def zone_differences(folder: Path) -> Iterator[str]:
    """Yield a line for each case whose figures of NUMA zones differ; theirs are rounded up."""
    for case in lines(folder, AMOUNTS):
        if not (wanted := case["expected"].get("zones")):
            continue
        at = answered_situation(case)
        topology = read_zones({"zones": case["zones"]})
        assert not topology.findings
        found = {
            (each.zone, each.resource): total(each.terms[: -1 if each.terms[-1].step is Step.TIMES else None])
            for each in zone_figures(at, topology.zones)
        }
        for zone, resources in wanted.items():
            differing = [
                name.partition("/")[2]
                for name, raw in resources.items()
                if abs(found[zone, name] // UNIT["cpu" if "cpu" in name else "memory"] - parse(raw) // NANO)
                > (2 if "cpu" in name else 1)
            ]
            if differing:
                twice = any(len(set(each.zones)) < len(each.zones) for each in at.pods)
                quirks = [*case["quirks"], *(["named-twice"] if twice else [])]
                yield f"zones {case['id']} {zone} {','.join(differing)}: {','.join(quirks)}"


def amount_differences(folder: Path) -> Iterator[str]:
    """Yield a line for each case whose amounts differ from Koordinator's."""
    for case in lines(folder, AMOUNTS):
        expected = case["expected"]
        if "error" in expected:
            answered(case)  # no crash here
            continue
        slack = (2, 1, 2, 1) if ROUNDING & set(case["quirks"]) else (0, 0, 0, 0)
        capacity = answered(case)
        found = capacity.figures
        quirks = [*case["quirks"], *(["held"] if capacity.state is State.HELD else [])]
        ours = [found[f"kubernetes.io/{name}"].calculated for name in NAMES]
        theirs = [expected[name] for name in NAMES]
        differing = [
            name for name, *values in zip(NAMES, ours, theirs, slack, strict=True) if not near(*values)
        ]
        if differing:
            yield f"amounts {case['id']} {','.join(differing)}: {','.join(quirks)}"
            continue
        published = {
            name: total(term for term in figure.terms if term.name != FLOOR)
            // UNIT["cpu" if name.endswith("cpu") else "memory"]
            for name, figure in found.items()
            if figure.calculated is not None
        }
        wanted = {name: parse(text_of(raw)) // NANO for name, raw in expected["node"]["allocatable"].items()}
        # A ratio multiplies what was rounded before: at most 5 times 1, and 1 more.
        if published.keys() != wanted.keys() or any(abs(published[n] - wanted[n]) > 6 for n in published):
            quirks += ["ratio"] if case.get("cpuNormalizationRatio") else []
            yield f"published {case['id']}: {','.join(quirks)}"


def near(ours: int | None, theirs: int | None, slack: int) -> bool:
    """Whether two amounts are equal, or as near as rounding explains."""
    if ours is None or theirs is None:
        return ours is theirs
    return abs(ours - theirs) <= slack


def config_differences(folder: Path) -> Iterator[str]:
    """Yield a line for each case whose effective strategy differs from Koordinator's."""
    for case in lines(folder, CONFIGS):
        expected = case["expected"]
        found = None
        for data in (case[each] for each in ("previousConfigMap", "configMap") if each in case):
            try:
                found = read_configuration(data) if data is not None or found is None else found
            except StrategyError:
                continue
        if "error" in expected:
            assert found == read_configuration(case["previousConfigMap"])  # it crashed; we keep the last one
            continue
        metadata = case["node"]["metadata"]
        strategy = strategy_of(
            found or Configuration(), metadata.get("labels") or {}, metadata.get("annotations") or {}
        )
        equal = (
            expected["available"] == (found is not None)
            and expected["enabled"] == strategy.enabled
            and plain(expected["strategy"]) == plain(strategy.values)
        )
        if not equal:
            yield f"config {case['id']}: {','.join(case['quirks'])}"


def plain(strategy: Any) -> dict[str, Any]:
    """Return a strategy with durations in seconds and without what is absent."""
    values = {name: value for name, value in strategy.items() if value not in (None, {})}
    listed = values.pop("metricAggregatePolicy", None) or {}
    texts = listed.get("durations", []) if isinstance(listed, dict) else [f"{d.seconds}s" for d in listed]
    scale = {"h": 3600, "m": 60, "s": 1}
    values["durations"] = [
        sum(float(number) * scale[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text))
        for text in texts
    ]
    return values


def differences(folder: Path) -> list[str]:
    """Return all differences."""
    return [*amount_differences(folder), *zone_differences(folder), *config_differences(folder)]


def listing(found: list[str]) -> str:
    """Return the list of differences, with the meaning of each quirk."""
    return "\n".join(
        [
            "# Where our capacity differs from Koordinator's, and by which quirk of the recorded answers.",
            "# Written by tests/capacity/test_parity.py.",
            *(f"# {quirk}: {meaning}" for quirk, meaning in sorted(MEANINGS.items())),
            *found,
            "",
        ]
    )


def test_excerpt() -> None:
    """Of the cases that are part of this repository, only listed ones differ."""
    assert sum(1 for _ in lines(EXCERPT, AMOUNTS)) >= 30
    listed = LISTED.read_text().splitlines()
    assert [each for each in differences(EXCERPT) if each not in listed] == []


def test_each_difference_is_explained() -> None:
    """A listed case has a quirk by which ours differs on purpose; a case without one never differs."""
    for line in LISTED.read_text().splitlines():
        if not line.startswith("#"):
            what, _, quirks = line.rpartition(": ")
            explaining = set(quirks.split(",")) & set(MEANINGS)
            assert explaining - (ABOUT_BATCH if "mid-" in what else set()), line


def test_all_cases() -> None:
    """Of all recorded cases, exactly the listed ones differ."""
    assert listing(differences(reference("capacity"))) == LISTED.read_text()


if __name__ == "__main__":
    LISTED.write_text(listing(differences(reference("capacity"))))
