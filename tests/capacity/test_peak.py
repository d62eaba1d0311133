"""The policy peak: what online pods are predicted to need at most."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capacity.cluster import (
    MEASURED,
    NOW,
    capacity,
    config,
    inventory,
    metric,
    node,
    offered,
    ours,
    pod,
)

PEAK = ours(policy="peak")
WINDOWS = {"avg": "9", "p95": "9500m", "p99": "10"}
RESOURCES = {"cpu": "8", "memory": "16Gi"}


def measured(*pods: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """Return a NodeMetric with a system of 1.5 cores; ``peak`` and ``window`` are of cpu."""
    found = metric(*pods, system=("1500m", "6Gi"), priority=more.get("priority", "koord-prod"))
    if peak := more.get("peak"):
        found["status"]["prodPeakMetric"] = {"resource": {"resources": {"cpu": peak}}}
    if window := more.get("window"):
        usage = {name: {"resources": {"cpu": cpu}} for name, cpu in window.items()}
        found["status"]["nodeMetric"]["aggregatedNodeUsages"] = [
            {"duration": "5m0s", "usage": {"avg": {"resources": {"cpu": "99"}}}},
            {"duration": more.get("duration", "30m0s"), "usage": usage},
        ]
    return found


def peak(*objects: dict[str, Any], **fields: Any) -> tuple[int, str, float]:
    """Return the peak above what pods use, from where it is known, and batch-cpu."""
    found = inventory(node(), config(**PEAK, **fields), *objects).explain("node-1", NOW).sums[0]
    amount, why = next((amount, why) for _, name, amount, why in found.terms if name == "peak")
    assert found.offered is not None
    assert sum(each.amount for each in found.pods) == next(
        term[2] for term in found.terms if term[1] == "pods"
    )
    return int(amount), why, found.offered


WEB = pod("a/web", RESOURCES)


def test_a_prediction_is_taken_first() -> None:
    """It has the system in it, which is subtracted by a term of its own, and a margin: no other is added."""
    use = measured(("a/web", "3", "1Gi"), peak="12", window=WINDOWS)
    assert peak(WEB, use) == (7500, "prodPeakMetric, above what they use", 19200 - 1500 - 3000 - 7500)


def test_a_prediction_below_what_is_used() -> None:
    """What is used now counts."""
    use = measured(("a/web", "3", "1Gi"), peak="4")
    assert peak(WEB, use) == (0, "prodPeakMetric, above what they use", 19200 - 1500 - 3000)


@pytest.mark.parametrize(
    ("more", "priority", "batch"),
    [
        (pod("a/new", {"cpu": "2"}), "koord-prod", 19200 - 1500 - 10500 - 2000),  # no metric: not predicted
        (pod("a/mid", {}, priority="koord-mid"), "koord-mid", 19200 - 1500 - 10500 - 1000),
        (None, "koord-mid", 19200 - 1500 - 10500 - 1000),  # gone
        (None, "koord-prod", 19200 - 1500 - 10500),  # gone: the prediction had it
    ],
)
def test_what_a_prediction_leaves_out(more: dict[str, Any] | None, priority: str, batch: int) -> None:
    """Pods that it does not know, and those of class mid, are subtracted next to it."""
    use = measured(
        ("a/web", "3", "1Gi"), *([] if more and "new" in str(more) else [("a/mid", "1", "0")]), peak="12"
    )
    for each in use["status"]["podsMetric"][1:]:
        each["priority"] = priority
    assert peak(WEB, *([more] if more else []), use)[2] == batch


def test_sigmas_of_the_longest_window() -> None:
    """Five standard deviations above use, as the node's percentiles show them."""
    use = measured(("a/web", "3", "1Gi"), window=WINDOWS)
    above, why, batch = peak(WEB, use)
    assert (above, why) == (2149, "5 sigma of 30 min, no prodPeakMetric")  # 5 x 1000 / 2.3263
    assert batch == 19200 - 1500 - 3000 - 2150  # rounded down


def test_sigmas_end_where_requests_end() -> None:
    """A guess is bounded by what pods request; what was seen is not."""
    use = measured(("a/web", "7", "1Gi"), window=WINDOWS)
    assert peak(WEB, use)[:2] == (1000, "p99 of 30 min, no prodPeakMetric")
    calm = measured(("a/web", "7900m", "1Gi"), window={"avg": "9", "p99": "9040m"})
    assert peak(WEB, calm)[0] == 85  # of 100 that are requested and not used
    assert peak(WEB, measured(("a/web", "7950m", "1Gi"), window={"avg": "9", "p99": "9040m"}))[0] == 50


@pytest.mark.parametrize(("age", "batch"), [(119, 19200 - 1500 - 8000), (120, 19200 - 1500 - 3000 - 2150)])
def test_young_pods_count_with_their_limit(age: int, batch: int) -> None:
    """A pod is known after two hours."""
    started = (NOW - dt.timedelta(minutes=age)).isoformat()
    web = pod("a/web", RESOURCES, started=started)
    assert peak(web, measured(("a/web", "3", "1Gi"), window=WINDOWS))[2] == batch


@pytest.mark.parametrize(
    "window",
    [
        None,
        {"avg": "9"},
        {"p99": "10"},
        {"avg": "9", "p99": "lots"},
    ],
)
def test_without_history(window: dict[str, str] | None) -> None:
    """Each pod counts with the greater of use and request, and the sum says that nothing is known."""
    found = peak(WEB, pod("a/new", {"cpu": "2"}), measured(("a/web", "3", "1Gi"), window=window))
    assert found == (0, "no prodPeakMetric and no history", 19200 - 1500 - 8000 - 2000)


@pytest.mark.parametrize(
    ("break_", "named"),
    [
        ({"aggregatedNodeUsages": {}}, "aggregatedNodeUsages: {} is no list"),
        ({"aggregatedNodeUsages": [3]}, "aggregatedNodeUsages[0]: 3 is no object"),
        ({"aggregatedNodeUsages": [{"duration": "soon"}]}, "[0].duration: 'soon' is no duration"),
        (
            {"aggregatedNodeUsages": [{"duration": "5m", "usage": {"avg": {"resources": {"cpu": "-1"}}}}]},
            "[0].usage.avg.resources[cpu]: -1 is negative",
        ),
    ],
)
def test_history_that_cannot_be_read(break_: dict[str, Any], named: str) -> None:
    """It is named and left out; the figures go on by what else is known."""
    use = measured(("a/web", "3", "1Gi"))
    use["status"]["nodeMetric"].update(break_)
    found = capacity(node(), config(**PEAK), WEB, use)
    assert offered(found)[0] == 19200 - 1500 - 8000
    assert named in "; ".join(found.warnings)


def test_bounds_and_thresholds_hold() -> None:
    """Margin and upper bound are those of Koordinator's fields, by name."""
    use = measured(("a/web", "3", "1Gi"), peak="12")
    assert peak(WEB, use, cpuReclaimThresholdPercent=80)[2] == 25600 - 1500 - 3000 - 7500
    assert peak(WEB, use, batchCPUThresholdPercent=10)[2] == 3200
    found = inventory(node(), config(**PEAK), WEB, measured(("a/web", "3", "1Gi"))).explain("node-1", NOW)
    assert any("prodPeakMetric" in each for each in found.changes)


USES = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2000), st.booleans()), max_size=6)


@given(USES, st.integers(0, 9000), st.integers(0, 9000), st.integers(0, 9000))
def test_between_use_and_requests(
    pods: list[tuple[int, int, bool]], average: int, above: int, more: int
) -> None:
    """Never more than by use; falls with use and with spread; without spread as by use of older pods."""

    def batch(policy: dict[str, Any], extra: int, spread: int) -> int:
        listed = [
            pod(f"a/p{i}", {"cpu": f"{request}m"}, started=MEASURED if young else "2026-01-30T00:00:00Z")
            for i, (_, request, young) in enumerate(pods)
        ]
        uses = [(f"a/p{i}", f"{use + extra}m", "0") for i, (use, _, _) in enumerate(pods)]
        window = {"avg": f"{average}m", "p99": f"{average + spread}m"}
        found = offered(capacity(node(), config(**policy), *listed, measured(*uses, window=window)))[0]
        assert found is not None
        return found

    by_peak = batch(PEAK, 0, above)
    assert by_peak <= batch({}, 0, above)
    assert by_peak <= batch(PEAK, 0, 0)
    assert batch(PEAK, more, above) <= by_peak
    assert batch(PEAK, 0, 0) >= batch({"cpuCalculatePolicy": "maxUsageRequest"}, 0, 0)
