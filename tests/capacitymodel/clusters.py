"""Random clusters, as an API server gives their objects."""

import datetime as dt
import json
from typing import Any

from hypothesis import strategies as st

NOW = dt.datetime(2026, 1, 31, 8, 0, 42, tzinfo=dt.UTC)  # a Saturday
BATCH = ("kubernetes.io/batch-cpu", "kubernetes.io/batch-memory")
MID = ("kubernetes.io/mid-cpu", "kubernetes.io/mid-memory")
PERCENT = st.integers(0, 100)
CPUS = st.sampled_from(["0", "7", "250m", "1500m", "333333u", "2", "3.1"])
SIZES = st.sampled_from(["0", "123456789", "1Gi", "1.5Gi", "7G", "1234567890123m"])
MANY_CPUS = st.sampled_from(["1500m", "6", "12", "30"])
GREAT_SIZES = st.sampled_from(["6Gi", "20Gi", "100G", "300Gi"])
CLASSES = st.sampled_from(["koord-prod", "koord-mid", "koord-batch", "koord-free", "", "misspelled"])
ONE_IN_TWO = st.booleans()
ONE_IN_THREE = st.sampled_from([True, False, False])
ONE_IN_TEN = st.sampled_from([True, *[False] * 9])


def resources(cpus: Any = CPUS, sizes: Any = SIZES, names: tuple[str, str] = ("cpu", "memory")) -> Any:
    """Return maps of quantities, of which any may be absent."""
    return st.fixed_dictionaries({}, optional={names[0]: cpus, names[1]: sizes})


def times(least: int, most: int) -> Any:
    """Return times from so many seconds before NOW to so many before."""
    return st.integers(least, most).map(lambda s: (NOW - dt.timedelta(seconds=s)).isoformat())


NATIVE = resources()
USAGE = st.fixed_dictionaries({"resources": NATIVE})
COLOCATED = st.one_of(
    st.just({}), *(resources(st.sampled_from(["500", "1k", "7"]), SIZES, names) for names in (BATCH, MID))
)
THIRD_PARTY = resources(st.sampled_from(["3k", "500", "1 k"]), SIZES, BATCH)
STARTED = times(7000, 90_000) | times(-100, 8000)
UPDATED = times(0, 90) | times(0, 180) | times(-300, 1200)
WHOLE = st.fixed_dictionaries(
    {"resources": st.fixed_dictionaries({"cpu": MANY_CPUS | CPUS, "memory": GREAT_SIZES | SIZES})}
)
STATISTICS = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("avg", "p50", "p90", "p95", "p99"), USAGE)),
    st.fixed_dictionaries({"avg": WHOLE, "p99": WHOLE}, optional={"p90": WHOLE, "p95": WHOLE}),
)
DURATIONS = st.lists(st.sampled_from(["5m0s", "30m0s", "2h0m0s"]), unique=True, max_size=2)
QOS = st.sampled_from(["", "LSE", "LSR", "LS", "BE", "SYSTEM", "none"])
PRIORITIES = st.sampled_from([None, None, 0, 9500, 7500, 5500, 3500])
PHASES = st.sampled_from(["Running", "Running", "Pending", "Succeeded", "Unknown"])
NATIVE_QOS = st.sampled_from(["Guaranteed", "Burstable", "BestEffort"])
ZONES = st.sampled_from([None, [0], [1], [0, 1], [1, 1], [0, 9]])
SIDECAR = st.sampled_from([{}, {"restartPolicy": "Always"}])
HOSTS = st.lists(
    st.fixed_dictionaries({"name": st.just("h"), "priority": CLASSES, "usage": USAGE}), max_size=3
)
MACHINES = st.sampled_from([(16, 64), (32, 128), (96, 376)])
RESERVED_CPUS = st.sampled_from([{}, {"reservedCPUs": "0-1,3"}])
SPEEDS = st.sampled_from(["1.2", "0.8", "9", "fast", "1.33"])
STRATEGIES = st.sampled_from(
    ['{"cpuReclaimThresholdPercent": 77}', '{"midCPUThresholdPercent": 101}', "{", "null"]
)
POOLS = st.sampled_from(["a", "b"])
RATIOS = st.sampled_from(["0.57", "0.29", "-1", "nan", "1.5"])
SELECTORS: Any = st.sampled_from(
    [
        None,
        {},
        {"matchLabels": {"pool": "a"}},
        {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["b"]}]},
    ]
)
SHARES = st.fixed_dictionaries({}, optional={"cpuPercent": PERCENT, "memoryPercent": PERCENT})
PERIODS = st.fixed_dictionaries(
    {
        "start": st.sampled_from(["00:00", "08:00", "16:00", "22:00"]),
        "end": st.sampled_from(["06:00", "16:01", "24:00"]),
    },
    optional={
        "days": st.sampled_from([["Sat"], ["Fri", "Sun"], ["Mon"]]),
        "off": st.booleans(),
        "cpuPercent": PERCENT,
        "memoryPercent": PERCENT,
    },
)
TIME_OF_DAY = st.fixed_dictionaries(
    {"periods": st.lists(PERIODS, max_size=3), "default": SHARES},
    optional={"timeZone": st.sampled_from(["Asia/Shanghai", "UTC", "America/New_York"])},
)
WATERMARK = st.fixed_dictionaries(
    {},
    optional={
        "lowPercent": PERCENT,
        "highPercent": PERCENT,
        "bandPercent": st.integers(10, 40),
        "leavePercent": st.integers(0, 10),
        "memoryPercent": PERCENT,
        "ceilingPercent": PERCENT,
        "reservedMemory": SIZES,
    },
)
OURS: dict[str, Any] = {
    "koordinator": st.just({}),
    "peak": st.fixed_dictionaries({"policy": st.just("peak")}, optional={"staleSeconds": st.just(600)}),
    "static": st.fixed_dictionaries({"policy": st.just("static"), "static": SHARES}),
    "timeOfDay": st.fixed_dictionaries({"policy": st.just("timeOfDay"), "timeOfDay": TIME_OF_DAY}),
    "watermark": st.fixed_dictionaries({"policy": st.just("watermark"), "watermark": WATERMARK}),
}
"""Our own settings, by policy."""

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "metricReportIntervalSeconds": st.sampled_from([30, 60, 300]),
        "degradeTimeMinutes": st.sampled_from([1, 5, 15]),
        "cpuReclaimThresholdPercent": st.integers(0, 120),
        "memoryReclaimThresholdPercent": st.integers(0, 120),
        "cpuCalculatePolicy": st.sampled_from(["usage", "maxUsageRequest", "request", "", "Usage"]),
        "memoryCalculatePolicy": st.sampled_from(["usage", "maxUsageRequest", "request", "other"]),
        "midReclaimMode": st.sampled_from(["static", "dynamic", None]),
        "midCPUThresholdPercent": PERCENT,
        "midMemoryThresholdPercent": PERCENT,
        "midUnallocatedPercent": PERCENT,
        "midStaticCPUReservedPercent": PERCENT,
        "midStaticMemoryReservedPercent": PERCENT,
        "batchCPUThresholdPercent": PERCENT,
        "batchMemoryThresholdPercent": PERCENT,
    },
)


@st.composite
def pods(draw: Any, name: str, node: str) -> dict[str, Any]:
    """Return a pod of the node, of any class and phase."""
    native = draw(NATIVE)
    container: dict[str, Any] = {"resources": {"requests": native | draw(COLOCATED)}}
    if draw(ONE_IN_TWO):
        container["resources"]["limits"] = native
    labels, annotations = {}, {}
    if qos := draw(QOS):
        labels["koordinator.sh/qosClass"] = qos
    if of := draw(CLASSES):
        labels["koordinator.sh/priority-class"] = of
    spec: dict[str, Any] = {"nodeName": node, "containers": [container, {"resources": {}}]}
    if draw(ONE_IN_THREE):
        spec["initContainers"] = [{"resources": {"requests": draw(NATIVE)}} | draw(SIDECAR)]
    if draw(ONE_IN_THREE):
        spec["overhead"] = draw(NATIVE)
    if draw(ONE_IN_THREE):
        spec["resources"] = {"requests": draw(NATIVE)}
    if (value := draw(PRIORITIES)) is not None:
        spec["priority"] = value
    status = {"phase": draw(PHASES)}
    if draw(ONE_IN_TWO):
        status["startTime"] = draw(STARTED)
    if draw(ONE_IN_TWO):
        status["qosClass"] = draw(NATIVE_QOS)
    if (zones := draw(ZONES)) is not None:
        given = json.dumps({"numaNodeResources": [{"node": each} for each in zones]})
        annotations["scheduling.koordinator.sh/resource-status"] = given
    metadata = {"namespace": "a", "name": name, "labels": labels, "annotations": annotations}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


@st.composite
def metrics(draw: Any, name: str, there: list[str]) -> dict[str, Any]:
    """Return a NodeMetric of pods that are there or are not."""
    listed = [
        {"namespace": "a", "name": each, "priority": draw(CLASSES), "podUsage": draw(USAGE)}
        for each in [*there, "gone-1", "gone-2"]
        if draw(ONE_IN_TWO)
    ]
    node: dict[str, Any] = {"nodeUsage": draw(WHOLE | USAGE)}
    if draw(ONE_IN_TWO):
        node["systemUsage"] = draw(USAGE)
    if not draw(ONE_IN_THREE):
        windows = [{"duration": each, "usage": draw(STATISTICS)} for each in draw(DURATIONS)]
        node["aggregatedNodeUsages"] = windows
    status = {"updateTime": draw(UPDATED), "nodeMetric": node, "podsMetric": listed}
    for field, chance in (("prodReclaimableMetric", ONE_IN_TWO), ("prodPeakMetric", ONE_IN_THREE)):
        if draw(chance):
            status[field] = {"resource": draw(WHOLE | USAGE)}
    if draw(ONE_IN_THREE):
        status["hostApplicationMetric"] = draw(HOSTS)
    return {"kind": "NodeMetric", "metadata": {"name": name}, "status": status}


@st.composite
def nodes(draw: Any, name: str) -> dict[str, Any]:
    """Return a node with or without annotations."""
    cpu, gi = draw(MACHINES)
    notes, labels = {}, {"pool": draw(POOLS)}
    if draw(ONE_IN_THREE):
        reservation = {"resources": draw(NATIVE)} | draw(RESERVED_CPUS)
        notes["node.koordinator.sh/reservation"] = json.dumps(reservation)
    if draw(ONE_IN_THREE):
        held = draw(THIRD_PARTY)
        allocations = [{"priority": of, "resources": held} for of in ("koord-batch", "koord-mid")]
        notes["node.koordinator.sh/thirdPartyAllocations"] = json.dumps({"allocations": allocations})
    if draw(ONE_IN_THREE):
        notes["node.koordinator.sh/cpu-normalization-ratio"] = draw(SPEEDS)
    if draw(ONE_IN_THREE):
        notes["node.koordinator.sh/colocation-strategy"] = draw(STRATEGIES)
    if draw(ONE_IN_THREE):
        labels["node.koordinator.sh/cpu-reclaim-ratio"] = draw(RATIOS)
    whole = {"cpu": str(cpu), "memory": f"{gi}Gi"}
    less = {"cpu": f"{cpu * 950}m", "memory": f"{gi - 2}Gi"}
    status = {"capacity": whole, "allocatable": less if draw(ONE_IN_TWO) else whole}
    metadata = {"name": name, "labels": labels, "annotations": notes}
    return {"kind": "Node", "metadata": metadata, "status": status}


@st.composite
def configurations(draw: Any, policy: str) -> dict[str, Any] | None:
    """Return the ConfigMap, or that there is none."""
    if draw(ONE_IN_TEN):
        return None
    cluster = {"enable": not draw(ONE_IN_TEN), **draw(FIELDS)}
    cluster["extensions"] = {"colocation-webhook.io": draw(OURS[policy])}
    if draw(ONE_IN_TWO):
        entry = {"nodeSelector": draw(SELECTORS), **draw(FIELDS)}
        if draw(ONE_IN_TWO):
            entry["extensions"] = {"colocation-webhook.io": draw(OURS[policy])}
        if draw(ONE_IN_THREE):
            entry["midCPUThresholdPercent"] = 101
        cluster["nodeConfigs"] = [entry]
    data = {"colocation-config": json.dumps(cluster)}
    return {"kind": "ConfigMap", "metadata": {"name": "slo-controller-config"}, "data": data}


@st.composite
def topologies(draw: Any, node: dict[str, Any]) -> dict[str, Any]:
    """Return the NodeResourceTopology of a node with some zones."""
    count = draw(st.sampled_from([1, 2, 4]))
    cpu = int(node["status"]["capacity"]["cpu"])
    gi = int(node["status"]["capacity"]["memory"].removesuffix("Gi"))
    zones = [
        {
            "name": f"node-{i}",
            "type": "Node",
            "resources": [
                {"name": "cpu", "capacity": str(cpu // count), "allocatable": "1", "available": "1"},
                {"name": "memory", "capacity": f"{gi // count}Gi", "allocatable": "1Gi", "available": "0"},
            ],
        }
        for i in range(count)
    ]
    return {"kind": "NodeResourceTopology", "metadata": {"name": node["metadata"]["name"]}, "zones": zones}


@st.composite
def clusters(draw: Any, policy: str) -> tuple[list[Any], list[Any], list[Any], dict[str, Any] | None]:
    """Return nodes, pods, NodeMetrics and the ConfigMap with a policy."""
    names = ["node-0", "node-1"] if draw(ONE_IN_THREE) else ["node-0"]
    listed, measured = [], []
    for name in names:
        own = [f"{name}-p{i}" for i in range(draw(st.integers(0, 4)))]
        listed += [draw(pods(each, name)) for each in own]
        if not draw(ONE_IN_TEN):
            measured.append(draw(metrics(name, own)))
    return [draw(nodes(name)) for name in names], listed, measured, draw(configurations(policy))
