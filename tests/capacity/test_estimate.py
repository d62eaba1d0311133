"""What is published follows the policy with care."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.capacity.cluster import (
    GI,
    NOW,
    batch_pod,
    capacity,
    config,
    inventory,
    metric,
    node,
    offered,
    ours,
    pod,
)
from webhook.capacity.amounts import UNIT, total
from webhook.capacity.estimate import Before, Capacity, State, estimate
from webhook.capacity.sloconfig import strategy_of

BATCH_CPU, BATCH_MEMORY = "kubernetes.io/batch-cpu", "kubernetes.io/batch-memory"


def test_colocation_is_off_without_configuration() -> None:
    """Without a ConfigMap nothing is offered but what bound pods request."""
    found = capacity(node(), metric(), batch_pod("a/b", "500"))
    assert (found.state, offered(found)) == (State.OFF, (500, None))


@pytest.mark.parametrize(
    ("settings_", "labels", "on"),
    [
        ({"enable": True}, {}, True),
        ({"enable": False, "nodeConfigs": [{"nodeSelector": {}, "enable": True}]}, {}, False),
        ({"nodeConfigs": [{"nodeSelector": {"matchLabels": {"pool": "web"}}, "enable": False}]}, {}, True),
        (
            {"nodeConfigs": [{"nodeSelector": {"matchLabels": {"pool": "web"}}, "enable": False}]},
            {"pool": "web"},
            False,
        ),
    ],
)
def test_enable(settings_: dict[str, Any], labels: dict[str, str], on: bool) -> None:  # noqa: FBT001 — a column
    """Both the cluster's level and the node's have to enable it."""
    assert (capacity(node(labels=labels), metric(), config(**settings_)).state is not State.OFF) is on


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (0, "applied"),
        (180, "applied"),
        (181, "held"),
        (900, "held"),
        (901, "withdrawn"),
        (-180, "applied"),
        (-181, "held"),
    ],
)
def test_stale_metrics(age: int, state: str) -> None:
    """A late metric: nothing new fits. An old one: the same, and the keys go with the last batch pod."""
    measured = metric(at=(NOW - dt.timedelta(seconds=age)).isoformat())
    found = capacity(node(), measured, config(), batch_pod("a/b", "700", "3Gi"))
    assert found.state == state
    assert offered(found) == ((19200, 89335319757) if state == "applied" else (700, 3 * GI))
    empty = capacity(node(), measured, config())
    assert offered(empty)[0] == {"applied": 19200, "held": 0, "withdrawn": None}[state]


@pytest.mark.parametrize(
    "broken",
    [None, {}, {"updateTime": "yesterday", "nodeMetric": {}}, {"updateTime": "2026-01-31T08:00:00Z"}],
)
def test_no_measurement(broken: dict[str, Any] | None) -> None:
    """Without a metric, or with one that says nothing, bound pods keep what they request."""
    objects = (
        [] if broken is None else [{"kind": "NodeMetric", "metadata": {"name": "node-1"}, "status": broken}]
    )
    found = capacity(node(), *objects, config(), batch_pod("a/b", "700"))
    assert (found.state, offered(found)) == (State.WITHDRAWN, (700, None))


def test_floor() -> None:
    """Online pods that need everything do not take away what bound batch pods request."""
    busy = metric(("a/web", "32", "128Gi"))
    found = capacity(node(), busy, config(), pod("a/web", {"cpu": "1"}), batch_pod("a/b", "700", "3Gi"))
    assert offered(found) == (700, 3 * GI)
    assert found.figures[BATCH_CPU].calculated == 0
    gone = capacity(
        node(),
        busy,
        config(),
        pod("a/web", {"cpu": "1"}),
        pod("a/b", {BATCH_CPU: "700"}, "BE", phase="Succeeded"),
    )
    assert offered(gone) == (0, 0)


def test_third_parties_and_the_ratio() -> None:
    """The CPU model's ratio comes first, then what others hold; a ratio that is no number changes nothing."""
    held = '{"allocations": [{"priority": "koord-batch", "resources": {"kubernetes.io/batch-cpu": "3k"}}]}'
    notes = {
        "node.koordinator.sh/thirdPartyAllocations": held,
        "node.koordinator.sh/cpu-normalization-ratio": "1.5",
    }
    found = capacity(node(annotations=notes), metric(), config())
    assert (offered(found)[0], found.figures[BATCH_CPU].origin) == (25800, 28800)
    wrong = capacity(
        node(annotations={"node.koordinator.sh/cpu-normalization-ratio": "fast"}), metric(), config()
    )
    assert offered(wrong)[0] == 19200
    assert "'fast' is no ratio" in wrong.warnings[0]


@pytest.mark.parametrize("usage", ["garbage", "-6", str(10**20)])
def test_nonsense_does_not_raise_the_offer(usage: str) -> None:
    """A pod with an unreadable metric counts with its request; the system's lets nothing new in."""
    web = pod("a/web", {"cpu": "6"})
    assert offered(capacity(node(), metric(("a/web", usage, "1Gi")), config(), web))[0] == 13200
    found = capacity(node(), metric(system=(usage, "1Gi")), config(), batch_pod("a/b", "700"))
    assert (found.state, offered(found)) == (State.HELD, (700, 0))


@pytest.mark.parametrize(
    ("capacity_", "state", "named"),
    [
        (None, "held", "states no capacity of cpu and memory"),
        ({"cpu": "32"}, "held", "states no capacity of memory"),
        ({"cpu": "-1", "memory": "1Gi"}, "held", "states no capacity of cpu"),
        ({"cpu": "many", "memory": "1Gi"}, "held", "states no capacity of cpu"),
        ({"cpu": str(10**20), "memory": "1Gi"}, "held", "states no capacity of cpu"),
    ],
)
@pytest.mark.parametrize("policy", ["koordinator", "peak", "watermark", "static", "timeOfDay"])
def test_a_node_without_capacity(capacity_: Any, state: str, named: str, policy: str) -> None:
    """Nothing new is offered under any policy, and bound pods keep what they request."""
    bare = node()
    bare["status"] = {"capacity": capacity_} if capacity_ else {}
    shares = {"cpuPercent": 50, "memoryPercent": 50}
    settings_ = ours(policy=policy, static=shares, timeOfDay={"default": shares})
    found = capacity(bare, metric(), config(**settings_), batch_pod("a/b", "700"))
    if policy in {"static", "timeOfDay"}:
        assert capacity(bare, config(**settings_), batch_pod("a/b", "700")).state is State.WITHDRAWN
    assert (found.state, offered(found)) == (state, (700, 0))
    assert named in found.why


@pytest.mark.parametrize(
    ("settings_", "named"),
    [
        ({"cpuCalculatePolicy": "best"}, "cpuCalculatePolicy: 'best' is unknown for cpu and counts as usage"),
        ({"cpuCalculatePolicy": "request"}, "write usage or maxUsageRequest"),
        ({"memoryReclaimThresholdPercent": 101}, "above 100 offers what online pods may need"),
    ],
)
def test_settings_that_look_wrong(settings_: dict[str, Any], named: str) -> None:
    """They hold as Koordinator takes them, and are named."""
    found = capacity(node(), metric(), config(**settings_))
    assert found.state is State.APPLIED
    assert named in "; ".join(found.warnings)


def test_third_parties_that_cannot_be_read_raise_nothing() -> None:
    """The offer is what it was, or what bound pods request."""
    resources = {"kubernetes.io/batch-cpu": "10 k"}
    text = json.dumps({"allocations": [{"priority": "koord-batch", "resources": resources}]})
    noted = node(annotations={"node.koordinator.sh/thirdPartyAllocations": text})
    found = inventory(noted, metric())
    assert offered(capacity(noted, metric(), config()))[0] == 0
    before = Before({BATCH_CPU: 9200})
    later = estimate(found.nodes["node-1"], found.metrics["node-1"], [], strategy(), NOW, before)
    assert later.figures[BATCH_CPU].offered == 9200


def test_of_third_parties_that_can_be_read_in_part_that_part_is_held() -> None:
    """It lowers what was offered before; nothing is raised."""
    resources = {"kubernetes.io/batch-cpu": "10 k", "kubernetes.io/batch-memory": "50Gi"}
    text = json.dumps({"allocations": [{"priority": "koord-batch", "resources": resources}]})
    plain, noted = node(), node(annotations={"node.koordinator.sh/thirdPartyAllocations": text})
    memory = offered(capacity(plain, metric(), config()))[1]
    found = inventory(noted, metric())
    for before, after in ((memory, memory - 50 * 2**30), (2**30, 2**30)):
        known = Before({BATCH_CPU: 9200, BATCH_MEMORY: before})
        later = estimate(found.nodes["node-1"], found.metrics["node-1"], [], strategy(), NOW, known)
        assert (later.figures[BATCH_CPU].offered, later.figures[BATCH_MEMORY].offered) == (9200, after)


def test_mid_needs_a_fresh_metric_under_each_policy() -> None:
    """A share of batch that needs no metric says nothing of mid."""
    reclaimable = {"prodReclaimableMetric": {"resource": {"resources": {"cpu": "6", "memory": "6Gi"}}}}
    shares = config(**ours(policy="static", static={"cpuPercent": 25, "memoryPercent": 25}))
    found = capacity(node(), metric(at="2025-01-31T08:00:00Z", status=reclaimable), shares)
    assert offered(found)[0] == 8000
    assert found.figures["kubernetes.io/mid-cpu"].offered is None
    fresh = capacity(node(), metric(status=reclaimable), shares)
    assert fresh.figures["kubernetes.io/mid-cpu"].offered == 6000


def test_young_pods() -> None:
    """A pod that is younger than its metric counts with its request; one that is gone, with its use."""
    young = pod("a/web", {"cpu": "4"}, started="2026-01-31T08:00:30Z")
    assert offered(capacity(node(), metric(), config(), young))[0] == 19200 - 4000
    again = capacity(node(), metric(("a/web", "1", "1Gi")), config(), young)
    assert offered(again)[0] == 19200 - 4000
    assert offered(capacity(node(), metric(("a/web", "1", "1Gi")), config()))[0] == 19200 - 1000


@pytest.mark.parametrize(
    ("pods", "cpu"),
    [
        ([pod("a/p", {"cpu": "4"}, priority="koord-mid")], 15200),
        ([pod("a/p", {"cpu": "4"}, priority="koord-batch")], 19200),
        ([pod("a/p", {"cpu": "4"}, priority="koord-free")], 19200),
        ([pod("a/p", {"cpu": "4"}, priority="misspelled")], 15200),
        ([pod("a/p", {"cpu": "4"}, "BE", priority="misspelled")], 19200),
        ([pod("a/p", {"cpu": "4"}, phase="Failed")], 19200),
        ([pod("a/p", {"cpu": "4"}, phase="Unknown")], 19200),
    ],
)
def test_who_counts(pods: list[dict[str, Any]], cpu: int) -> None:
    """Prod and mid pods are kept from batch work, and pods of no class unless they are BE."""
    assert offered(capacity(node(), metric(), config(), *pods))[0] == cpu


def test_an_unlabelled_best_effort_pod_is_batch() -> None:
    """A pod without labels is what Kubernetes' QoS class says of it."""
    bare = {
        "kind": "Pod",
        "metadata": {"namespace": "a", "name": "p"},
        "spec": {"nodeName": "node-1", "containers": [{}]},
        "status": {"phase": "Running"},
    }
    measured = metric(("a/p", "5", "1Gi"))
    assert offered(capacity(node(), measured, config(), bare))[0] == 19200
    bare["spec"]["containers"] = [{"resources": {"requests": {"cpu": "1"}}}]
    assert offered(capacity(node(), measured, config(), bare))[0] == 14200


@pytest.mark.parametrize(
    ("break_", "named"),
    [
        (
            lambda m: m["podsMetric"].append({"name": "x", "podUsage": {"resources": {"cpu": "-1"}}}),
            "podsMetric[0].podUsage.resources[cpu]: -1 is negative",
        ),
        (lambda m: m["podsMetric"].append(7), "podsMetric[0]: 7 is no object"),
        (lambda m: m.update(podsMetric={}), "podsMetric: {} is no list"),
        (
            lambda m: m["nodeMetric"].update(systemUsage={"resources": {"cpu": "lots"}}),
            "systemUsage.resources[cpu]: 'lots' is not a quantity",
        ),
        (lambda m: m["nodeMetric"].update(nodeUsage=[]), "nodeUsage: [] is no object"),
        (
            lambda m: m.update(hostApplicationMetric=[{"usage": {"resources": 3}}]),
            "hostApplicationMetric[0].usage.resources: is no map",
        ),
        (
            lambda m: m.update(updateTime="2026-01-31T08:00:00"),
            "updateTime: '2026-01-31T08:00:00' is no time",
        ),
    ],
)
def test_what_is_wrong_with_a_metric_is_named(break_: Any, named: str) -> None:
    """A part that cannot be read is left out and named with its place."""
    measured = metric()
    break_(measured["status"])
    assert named in "; ".join(capacity(node(), measured, config()).warnings)


@pytest.mark.parametrize(
    "annotation",
    ["{", "[]", '{"cpuReclaimThresholdPercent": "60"}', '{"midCPUThresholdPercent": 101, "enable": false}'],
)
def test_a_wrong_annotation_is_ignored_whole(annotation: str) -> None:
    """It counts as an entry of nodeConfigs: its ranges are checked, and it is named."""
    found = capacity(
        node(annotations={"node.koordinator.sh/colocation-strategy": annotation}), metric(), config()
    )
    assert offered(found)[0] == 19200
    assert "colocation-strategy" in found.warnings[0]


def strategy(**fields: Any) -> Any:
    """Return the strategy of a node without labels."""
    return strategy_of(inventory(config(**fields)).configuration, {}, {})


class Story(RuleBasedStateMachine):
    """A node whose online use changes, whose metrics stop, whose clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.measured = NOW
        self.used = 4000
        self.batch = 0
        self.before: Before | None = None
        self.last: Capacity | None = None
        self.step = 0

    @rule(used=st.integers(0, 40_000))
    def use(self, used: int) -> None:
        """Online pods use more or less, and it is measured."""
        self.used, self.measured = used, self.now

    @rule(batch=st.integers(0, 20_000))
    def bind(self, batch: int) -> None:
        """Batch pods come or go, as far as there is room."""
        if self.last is not None:
            room = self.last.figures[BATCH_CPU].offered or 0
            self.batch = min(batch, room)

    @rule(seconds=st.integers(-600, 1200))
    def pass_time(self, seconds: int) -> None:
        """Time passes, or a clock is put back."""
        self.now += dt.timedelta(seconds=seconds)

    @rule()
    def publish(self) -> None:
        """The controller estimates and publishes."""
        found = inventory(
            node(),
            metric(("a/web", f"{self.used}m", "1Gi"), at=self.measured.isoformat()),
            pod("a/web", {"cpu": "1"}),
            *([batch_pod("a/b", str(self.batch))] if self.batch else []),
            config(),
        )
        before = self.before
        capacity_now = estimate(
            found.nodes["node-1"], found.metrics["node-1"], found.pods["node-1"], strategy(), self.now, before
        )
        figure = capacity_now.figures[BATCH_CPU]
        if before is not None and figure.offered is not None and BATCH_CPU in before.offered:
            rise = figure.offered - before.offered[BATCH_CPU]
            assert rise <= max(3200, self.batch - before.offered[BATCH_CPU])
            if capacity_now.state is State.APPLIED and rise > 0 and figure.offered > self.batch:
                since = before.greater_since[BATCH_CPU]
                assert (self.now - since).total_seconds() >= 120
        self.before, self.last = capacity_now.next, capacity_now

    @invariant()
    def safe(self) -> None:
        """What is offered is what its terms say, not negative, and enough for the pods that are bound."""
        if self.last is None:
            return
        for name, figure in self.last.figures.items():
            if figure.offered is None:
                assert self.last.state in {State.OFF, State.WITHDRAWN}
                continue
            unit = UNIT["cpu" if name.endswith("cpu") else "memory"]
            assert figure.offered == total(figure.terms) // unit >= 0
            if name == BATCH_CPU:
                assert figure.offered <= 32_000


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(st.integers(0, 9_000), max_size=6), st.integers(0, 40_000), st.integers(0, 9_000))
def test_bounds(uses: list[int], batch: int, more: int) -> None:
    """An offer is between the floor and the greater of capacity and floor, and falls with use."""
    pods = [pod(f"a/p{i}", {"cpu": "1"}) for i in range(len(uses))]
    bound = [batch_pod("b/b", str(batch))] if batch else []

    def cpu(extra: int) -> int:
        measured = metric(*((f"a/p{i}", f"{use + extra}m", "1Gi") for i, use in enumerate(uses)))
        found = offered(capacity(node(), measured, config(), *pods, *bound))[0]
        assert found is not None
        assert batch <= found <= max(32_000, batch)
        return found

    assert cpu(more) <= cpu(0)


def test_down_at_once_up_slowly() -> None:
    """A smaller figure is published at once; a greater one after it lasted, in steps of ten percent."""
    plan = strategy(**ours(holdSeconds=60, stepPercent=10))
    found = inventory(node())
    before, seen = None, []
    for second, used in [
        (0, 0),
        (30, 10_000),
        (60, 2_000),
        (90, 2_000),
        (120, 2_000),
        (150, 2_000),
        (180, 2_000),
        (210, 9_000),
        (240, 2_000),
    ]:
        now = NOW + dt.timedelta(seconds=second)
        measured = inventory(metric(("a/web", f"{used}m", "0"), at=now.isoformat())).metrics["node-1"]
        now_offered = estimate(found.nodes["node-1"], measured, [], plan, now, before)
        before = now_offered.next
        seen.append(now_offered.figures[BATCH_CPU].offered)
    assert seen == [19_200, 9_200, 9_200, 9_200, 12_400, 15_600, 17_200, 10_200, 10_200]


def test_a_clock_that_was_put_back_does_not_hold_for_ever() -> None:
    """The time since when more is given is never in the future."""
    plan = strategy()
    found = inventory(node(), metric())
    held = Before({BATCH_CPU: 0}, {BATCH_CPU: NOW + dt.timedelta(days=9)})
    first = estimate(found.nodes["node-1"], found.metrics["node-1"], [], plan, NOW, held)
    assert first.next.greater_since[BATCH_CPU] == NOW
    metric_later = replace(found.metrics["node-1"], update_time=NOW + dt.timedelta(seconds=120))
    later = estimate(
        found.nodes["node-1"], metric_later, [], plan, NOW + dt.timedelta(seconds=120), first.next
    )
    assert later.figures[BATCH_CPU].offered == 3200
