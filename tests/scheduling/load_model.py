"""Load awareness a second time, from its specification: one pod, one node and one resource at a time.

Without code of ``webhook/``: a case is drawn in the model's own terms and written as the API's objects.
Times are seconds before now, cpu is in milli-cores, memory in bytes.
"""

import datetime as dt
import json
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import floor

from hypothesis import strategies as st

NOW = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
RESOURCES = ("cpu", "memory")
PROD, BATCH, FREE = "koord-prod", "koord-batch", "koord-free"
EXPIRED = "node(s) nodeMetric expired"
TYPES = ("avg", "p50", "p95")
DURATIONS = {"": 0, "0s": 0, "5m0s": 300, "5m": 300, "10m0s": 600, "7m": 420}
NOTED = "scheduling.koordinator.sh/load-estimated-"


def moment(age):
    """A time so many seconds before now."""
    return (NOW - dt.timedelta(seconds=age)).isoformat().replace("+00:00", "Z")


def text(resource, amount):
    """A quantity."""
    return f"{amount}m" if resource == "cpu" else str(amount)


@dataclass
class Work:
    """A pod: what its containers and its init container ask for, by section, and what was measured of it."""

    name: str
    of: str
    containers: list
    init: dict
    scheduled: int | None
    initialized: int | None
    phase: str
    noted: dict
    used: dict | None
    reported: str

    def asked(self, section, resource):
        """All containers together, or the init container where that is more."""
        together = sum(each.get(section, {}).get(resource, 0) for each in self.containers)
        return max(together, self.init.get(section, {}).get(resource, 0))

    def expected(self, args, resource):
        """Part of what it asks for."""
        if self.of == FREE:
            return 0
        factor = {"cpu": 85, "memory": 70, **args.get("estimatedScalingFactors", {})}[resource]
        if args.get("allowCustomizeEstimation") and self.noted.get("scaling-factors", "{")[-1] == "}":
            factor = json.loads(self.noted["scaling-factors"]).get(resource, factor)
        request, limit = (self.asked(section, resource) for section in ("requests", "limits"))
        most = max(request, limit)
        if not most:
            return {"cpu": 250, "memory": 200 * 2**20}[resource]
        part = floor(Fraction(most * factor, 100) + Fraction(1, 2))
        return min(part, limit) if limit else part

    def hidden(self, args, updated, interval):
        """Whether a metric of then does not show it yet."""
        since = self.scheduled if self.scheduled is not None else 0
        if updated is None or since < updated + interval:
            return True
        after = {}
        for end, name in (("pod-scheduled", "PodScheduled"), ("initialized", "Initialized")):
            after[end] = args.get(f"estimatedSecondsAfter{name}", 0)
            stated = self.noted.get(f"seconds-after-{end}", "x")
            if args.get("allowCustomizeEstimation") and stated.isdecimal():
                after[end] = int(stated)
        if self.initialized is not None and after["initialized"] > 0:
            return self.initialized - after["initialized"] < updated
        return after["pod-scheduled"] > 0 and since - after["pod-scheduled"] < updated

    def written(self):
        """The v1 Pod."""
        prefix = "kubernetes.io/batch-" if self.of == BATCH else ""

        def container(of):
            return {"resources": {
                section: {prefix + each: str(amount) if prefix else text(each, amount)
                          for each, amount in amounts.items()}
                for section, amounts in of.items()
            }}  # fmt: skip

        since = {"PodScheduled": self.scheduled, "Initialized": self.initialized}
        return {
            "metadata": {
                "name": self.name, "namespace": "shop", "uid": self.name,
                "labels": {"koordinator.sh/priority-class": self.of},
                "annotations": {NOTED + name: value for name, value in self.noted.items()},
            },
            "spec": {
                "nodeName": "node-1",
                "containers": [container(each) for each in self.containers],
                "initContainers": [container(self.init)] if self.init else [],
            },
            "status": {"phase": self.phase, "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": moment(age)}
                for kind, age in since.items() if age is not None
            ]},
        }  # fmt: skip


@dataclass
class Place:
    """A node, what was measured of it, the pods there, and settings."""

    has: dict
    raw_cpu: int | None
    noted: dict
    updated: int | None
    interval: int
    mean: dict
    system: dict
    recorded: dict
    pods: list = field(default_factory=list)
    args: dict = field(default_factory=dict)

    def usage(self, wanted, resource):
        """What the node used, by the mean or by a type and a duration; None: that was not recorded."""
        if wanted is None:
            return self.mean[resource]
        kind, over = wanted
        lengths = [length for of, length in self.recorded if of == kind]
        if not over:
            return self.recorded[kind, max(lengths)][resource] if lengths else self.mean[resource]
        return self.recorded[kind, over][resource] if over in lengths else None

    def use(self, wanted, resource):
        """What is in use, with what no metric shows yet."""
        there = [pod for pod in self.pods if pod.of != FREE and pod.phase != "Succeeded"]
        measured = self.usage(wanted, resource)
        if measured is None:
            return sum(pod.expected(self.args, resource) for pod in there)
        return measured + sum(self.beyond(pod, resource) for pod in there)

    def beyond(self, pod, resource):
        """What a pod is expected to use beyond what was measured of it."""
        expected = pod.expected(self.args, resource)
        if pod.used is None:
            return expected
        late = pod.hidden(self.args, self.updated, self.interval)
        return max(0, expected - pod.used[resource]) if late else 0

    def prod_use(self, resource):
        """The same of prod pods, as far as they were measured as such."""
        total = self.system[resource] if self.args.get("prodUsageIncludeSys") else 0
        for pod in self.pods:
            if pod.of != PROD or pod.phase == "Succeeded":
                continue
            if pod.used is None or pod.reported != PROD:
                total += pod.expected(self.args, resource)
            else:
                total += pod.used[resource] + self.beyond(pod, resource)
        return total

    def answers(self, new):
        """Why a pod may not go there, and the score."""
        limits, use, kind = self.limits(new)
        age = float("inf") if self.updated is None else self.updated
        expired = age >= self.args.get("nodeMetricExpirationSeconds", 180)
        has = {**self.has, **({"cpu": self.raw_cpu} if self.raw_cpu else {})}
        return self.reason(new, limits, use, kind, has, expired=expired), self.score(new, has) * (not expired)

    def limits(self, new):
        """The thresholds that hold for a pod, of which use, and how the reason calls that."""
        prod = self.noted.get("prodUsageThresholds") or self.args.get("prodUsageThresholds") or {}
        if new.of == PROD and any(prod.values()):
            return prod, self.prod_use, "usage"
        for of in (self.noted.get("aggregatedUsage") or {}, self.args.get("aggregated") or {}):
            if of.get("usageThresholds") and of.get("usageAggregationType"):
                wanted = of["usageAggregationType"], DURATIONS[of.get("usageAggregatedDuration", "")]
                return of["usageThresholds"], partial(self.use, wanted), "aggregated usage"
        default = self.args.get("usageThresholds") or {"cpu": 65, "memory": 95}
        return self.noted.get("usageThresholds") or default, partial(self.use, None), "usage"

    def reason(self, new, limits, use, kind, has, *, expired):
        """The first resource by name of which too much would be in use."""
        if not any(limits.values()):
            return ""
        if expired and self.args.get("filterExpiredNodeMetrics", True):
            return (
                "" if self.args.get("enableScheduleWhenNodeMetricsExpired") else "node(s) nodeMetric expired"
            )
        for each in RESOURCES:
            limit, together = limits.get(each, 0), use(each) + new.expected(self.args, each)
            if limit and floor(Fraction(100 * together, has[each]) + Fraction(1, 2)) > limit:
                return f"node(s) {each} {kind} exceed threshold"
        return ""

    def score_use(self, new, resource):
        """What is in use as the score counts it."""
        if new.of == PROD and self.args.get("scoreAccordingProdUsage"):
            return self.prod_use(resource)
        of = self.args.get("aggregated") or {}
        kind, over = of.get("scoreAggregationType"), DURATIONS[of.get("scoreAggregatedDuration", "")]
        return self.use((kind, over) if kind else None, resource)

    def uses(self, new):
        """What is in use as the filter and the score count it, and what the pod is expected to use."""
        _, use, _ = self.limits(new)
        return tuple(
            tuple(map(of, RESOURCES))
            for of in (use, partial(self.score_use, new), partial(new.expected, self.args))
        )

    def score(self, new, has):
        """How much would be free, weighted."""
        args = self.args
        dominant = args.get("dominantResourceWeight", 0)
        weights = args.get("resourceWeights") or ({} if dominant else dict.fromkeys(RESOURCES, 1))
        free = {}
        for each in RESOURCES:
            left = has[each] - self.score_use(new, each) - new.expected(args, each)
            free[each] = max(0, floor(Fraction(100 * left, has[each])))
        total = sum(weight * free[each] for each, weight in weights.items()) + dominant * min(free.values())
        return floor(Fraction(total, sum(weights.values()) + dominant))

    def written(self):
        """The Node and its NodeMetric."""
        noted = {"scheduling.koordinator.sh/usage-thresholds": json.dumps(self.noted)} if self.noted else {}
        if self.raw_cpu:
            noted["node.koordinator.sh/raw-allocatable"] = json.dumps({"cpu": text("cpu", self.raw_cpu)})
        allocatable = {each: text(each, amount) for each, amount in self.has.items()}
        node = {
            "metadata": {"name": "node-1", "annotations": noted},
            "status": {"allocatable": allocatable},
        }

        def resources(of):
            return {"resources": {each: text(each, amount) for each, amount in of.items()}}

        longest: dict = {}
        for (kind, seconds), amounts in self.recorded.items():
            longest.setdefault(seconds, {})[kind] = resources(amounts)
        status = {
            "nodeMetric": {
                "nodeUsage": resources(self.mean),
                "systemUsage": resources(self.system),
                "aggregatedNodeUsages": [{"duration": f"{s}s", "usage": of} for s, of in longest.items()],
            },
            "podsMetric": [
                {"name": pod.name, "namespace": "shop", "priority": pod.reported,
                 "podUsage": resources(pod.used)}
                for pod in self.pods if pod.used is not None
            ],
        }  # fmt: skip
        if self.updated is not None:
            status["updateTime"] = moment(self.updated)
        return node, {
            "spec": {"metricCollectPolicy": {"reportIntervalSeconds": self.interval}},
            "status": status,
        }


def _maybe(**fields):
    """Some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _amounts(cores, gib):
    return st.fixed_dictionaries({
        "cpu": st.integers(0, 1000 * cores), "memory": st.integers(0, gib * 2**30),
    })  # fmt: skip


PERCENTS = st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 100), max_size=2)
FACTORS = st.dictionaries(st.sampled_from(RESOURCES), st.integers(1, 100), max_size=2)
SECONDS = st.sampled_from([0, 30, 120, 900])
ASKED = _maybe(
    requests=_maybe(cpu=st.integers(0, 6000), memory=st.integers(0, 2**34)),
    limits=_maybe(cpu=st.integers(0, 6000), memory=st.integers(0, 2**34)),
)
SECONDS_NOTED = st.sampled_from(["0", "120", "900", "-5", "soon"])
CLASSES = st.sampled_from([PROD, PROD, BATCH, FREE])
AGE = st.sampled_from([70, 71, 69, 600, 0, None])


def works(name):
    """Pods of this name."""
    return st.builds(
        Work,
        st.just(name),
        CLASSES,
        st.lists(ASKED, min_size=1, max_size=2),
        st.just({}) | ASKED,
        AGE,
        AGE,
        st.sampled_from(["Running", "Running", "Pending", "Succeeded"]),
        st.fixed_dictionaries({}, optional={
            "scaling-factors": FACTORS.map(json.dumps) | st.just("{"),
            "seconds-after-pod-scheduled": SECONDS_NOTED, "seconds-after-initialized": SECONDS_NOTED,
        }),
        _amounts(6, 16) | _amounts(1, 1) | st.none(),
        CLASSES,
    )  # fmt: skip


def _aggregated(**more):
    return _maybe(
        usageThresholds=PERCENTS,
        usageAggregationType=st.sampled_from(TYPES),
        usageAggregatedDuration=st.sampled_from([each for each in DURATIONS if each]),
        **more,
    )


ARGS = _maybe(
    usageThresholds=PERCENTS,
    prodUsageThresholds=PERCENTS,
    aggregated=_aggregated(
        scoreAggregationType=st.sampled_from(TYPES),
        scoreAggregatedDuration=st.sampled_from([each for each in DURATIONS if each]),
    ),
    estimatedScalingFactors=FACTORS,
    resourceWeights=st.dictionaries(st.sampled_from(RESOURCES), st.integers(1, 9), max_size=2),
    dominantResourceWeight=st.integers(0, 5),
    estimatedSecondsAfterPodScheduled=SECONDS,
    estimatedSecondsAfterInitialized=SECONDS,
    allowCustomizeEstimation=st.booleans(),
    scoreAccordingProdUsage=st.booleans(),
    prodUsageIncludeSys=st.booleans(),
    filterExpiredNodeMetrics=st.booleans(),
    enableScheduleWhenNodeMetricsExpired=st.booleans(),
    nodeMetricExpirationSeconds=st.sampled_from([60, 180, 300]),
)
PLACES = st.builds(
    Place,
    has=st.sampled_from([{"cpu": 10_000, "memory": 2**35}, {"cpu": 7_900, "memory": 33_311_162_625}]),
    raw_cpu=st.none() | st.just(6_000),
    noted=_maybe(usageThresholds=PERCENTS, prodUsageThresholds=PERCENTS, aggregatedUsage=_aggregated()),
    updated=st.sampled_from([10, 10, 10, 0, 1, 59, 60, 179, 180, 300, None]),
    interval=st.sampled_from([60, 60, 30]),
    mean=_amounts(12, 40),
    system=_amounts(3, 4),
    recorded=st.dictionaries(
        st.tuples(st.sampled_from(TYPES), st.sampled_from([300, 600])), _amounts(12, 40), max_size=4
    ),
    pods=st.sampled_from([1, 2, 3, 3, 0]).flatmap(
        lambda count: st.tuples(*(works(f"pod-{i}") for i in range(count)))
    ),
    args=ARGS,
)
