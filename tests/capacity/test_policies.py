"""The policies: Koordinator's worked example, the seed's table, and the times of the day."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capacity.cluster import GI, MEASURED, NOW, capacity, config, metric, node, offered, ours, pod
from webhook.capacity.amounts import Amounts, total
from webhook.capacity.extension import Extension, Policy, Watermark, read_extension
from webhook.capacity.node import Node
from webhook.capacity.nodemetric import NodeMetric, PodUsage
from webhook.capacity.policies import batch_terms
from webhook.capacity.situation import Situation, situation_of
from webhook.capacity.strategy import Strategy, merged
from webhook.pods.quantities import NANO

EXAMPLE = [
    node(
        allocatable={"cpu": "30", "memory": "124Gi"},
        annotations={"node.koordinator.sh/reservation": '{"resources": {"cpu": "1"}}'},
    ),
    metric(("a/ls", "3", "10Gi"), ("a/lsr", "1", "4Gi"), ("a/lse", "500m", "2Gi"), system=("1500m", "6Gi")),
    pod("a/ls", {"cpu": "8", "memory": "16Gi"}),
    pod("a/lsr", {"cpu": "4", "memory": "8Gi"}, "LSR"),
    pod("a/lse", {"cpu": "2", "memory": "4Gi"}, "LSE"),
    pod("a/new", {"cpu": "1", "memory": "2Gi"}),
]


@pytest.mark.parametrize(
    ("settings", "cpu", "memory"),
    [
        ({}, 10200, 63565515981),
        ({"memoryCalculatePolicy": "request"}, 10200, 52828097741),
        (
            {"cpuCalculatePolicy": "maxUsageRequest", "memoryCalculatePolicy": "maxUsageRequest"},
            2200,
            50680614093,
        ),
        ({"batchCPUThresholdPercent": 30}, 9600, 63565515981),
        ({"cpuReclaimThresholdPercent": 0}, 0, 63565515981),
        ({"memoryReclaimThresholdPercent": 300}, 10200, 128 * GI),
    ],
)
def test_koordinators_example(settings: dict[str, object], cpu: int, memory: int) -> None:
    """The worked example; under maxUsageRequest the pod without a metric counts, too."""
    assert offered(capacity(*EXAMPLE, config(**settings))) == (cpu, memory)


@pytest.mark.parametrize(
    ("settings", "mid"),
    [
        ({}, 6000),
        ({"midUnallocatedPercent": 50}, 13500),
        ({"midUnallocatedPercent": 50, "midCPUThresholdPercent": 40}, 12800),
        ({"midReclaimMode": "static", "midStaticCPUReservedPercent": 25}, 8000),
    ],
)
def test_mid(settings: dict[str, object], mid: int) -> None:
    """Mid work gets what is predicted to stay unused, a part of what nobody requests, up to a threshold."""
    reclaimable = {"prodReclaimableMetric": {"resource": {"resources": {"cpu": "6", "memory": "1Gi"}}}}
    measured = metric(
        ("a/ls", "3", "10Gi"), ("a/lsr", "1", "4Gi"), system=("1500m", "6Gi"), status=reclaimable
    )
    measured["status"]["nodeMetric"]["nodeUsage"]["resources"]["cpu"] = "9"
    found = capacity(EXAMPLE[0], measured, *EXAMPLE[2:], config(**settings))
    assert found.figures["kubernetes.io/mid-cpu"].offered == mid


TABLE = [
    # cores, GiB, online cpu %, online memory % (tenths), batch cores (hundredths), batch GiB (tenths)
    (96, 376, 0, 0, 6720, 1192),
    (96, 376, 5, 200, 6240, 1192),
    (96, 376, 17, 346, 5088, 1192),
    (96, 376, 20, 250, 2880, 252),
    (96, 376, 25, 250, 2400, 252),
    (96, 376, 35, 346, 1440, 0),
    (96, 376, 60, 400, 0, 0),
    (48, 256, 17, 100, 2544, 652),
    (16, 64, 10, 100, 960, 0),
]


@pytest.mark.parametrize("row", TABLE)
def test_watermark_table(row: tuple[int, ...]) -> None:
    """Each line of the seed's table, exactly: what it calls the YARN share is what batch work gets."""
    cores, memory, cpu_percent, memory_tenths, batch_cores, batch_memory = row
    at = watermark(cores, memory, cpu_percent, memory_tenths, Watermark(reserved_memory=50 * GI * NANO))
    assert total(batch_terms(at, "cpu")) == batch_cores * NANO // 100
    # The memory share is rounded down to a byte.
    assert 0 <= batch_memory * GI * NANO // 10 - total(batch_terms(at, "memory")) < 2 * NANO


def watermark(
    cores: int, memory: int, cpu_percent: int, memory_tenths: int, mark: Watermark, *, high: bool = False
) -> Situation:
    """Return a node whose online pods use so many percent of its CPU, and tenths of a percent of memory."""
    size = Amounts(cores * NANO, memory * GI * NANO)
    used = Amounts(size.cpu * cpu_percent // 100, size.memory * memory_tenths // 1000)
    strategy = Strategy(merged(), enabled=True, extension=Extension(Policy.WATERMARK, watermark=mark))
    measured = NodeMetric(pods={("a", "web"): PodUsage(used, "koord-prod")})
    return situation_of(Node("n", size), measured, [], strategy, NOW, was_high=high)


def test_watermark_hysteresis() -> None:
    """Between the two percentages, the band stays what it was."""
    mark = Watermark(band_percent=20, leave_percent=18)
    bands = [
        watermark(96, 376, percent, 0, mark, high=high).high_band
        for percent, high in itertools.product((17, 18, 19, 20), (False, True))
    ]
    assert bands == [False, False, False, True, False, True, True, True]


@given(st.integers(0, 100), st.integers(0, 1000), st.integers(0, 64))
def test_watermark_ceiling(cpu_percent: int, memory_tenths: int, reserved: int) -> None:
    """Online memory, batch memory and the reserved one are never above 90 % together."""
    at = watermark(32, 128, cpu_percent, memory_tenths, Watermark(reserved_memory=reserved * GI * NANO))
    batch = total(batch_terms(at, "memory"))
    assert batch >= 0
    assert batch == 0 or batch + at.demand.used.memory + reserved * GI * NANO <= 128 * GI * NANO * 9 // 10


def test_static() -> None:
    """The static policy gives its shares, whatever is used."""
    found = capacity(
        *EXAMPLE, config(**ours(policy="static", static={"cpuPercent": 25, "memoryPercent": 50}))
    )
    assert offered(found) == (8000, 64 * GI)
    shares = {"cpuPercent": 25, "memoryPercent": 50}
    assert offered(capacity(node(), config(**ours(policy="static", static=shares)))) == (8000, 64 * GI)


@pytest.mark.parametrize(
    ("moment", "percent"),
    [
        ("2026-01-30T21:59:59+08:00", 5),
        ("2026-01-30T22:00:00+08:00", 60),  # a Friday
        ("2026-01-31T05:59:00+08:00", 60),  # the night that began on Friday
        ("2026-01-31T06:00:00+08:00", 5),
        ("2026-01-31T22:00:00+08:00", 0),  # Saturday: off all night
        ("2026-02-01T05:00:00+08:00", 0),
        ("2026-01-30T14:00:00+00:00", 60),  # the same moment as 22:00 there
    ],
)
def test_time_of_day(moment: str, percent: int) -> None:
    """Periods are half-open, may pass midnight, and belong to the day on which they begin."""
    night = {"start": "22:00", "end": "06:00"}
    table = {
        "timeZone": "Asia/Shanghai",
        "periods": [
            {**night, "days": ["Sat", "Sun"], "off": True},
            {**night, "cpuPercent": 60, "memoryPercent": 40},
        ],
        "default": {"cpuPercent": 5, "memoryPercent": 5},
    }
    now = dt.datetime.fromisoformat(moment)
    measured = metric(at=now.isoformat())
    found = capacity(node(), measured, config(**ours(policy="timeOfDay", timeOfDay=table)), now=now)
    assert offered(found)[0] == 320 * percent


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"policy": "best"}, ".policy: 'best' is unknown: write one of koordinator, static"),
        ({"holdSeconds": -1}, ".holdSeconds: -1 is no whole number from 0"),
        ({"stepPercent": 0}, ".stepPercent: 0 is no whole number from 1 to 100"),
        ({"static": {"cpu": 3}}, ".static.cpu: is unknown: the fields are cpuPercent, memoryPercent"),
        ({"timeOfDay": {"timeZone": "Mars/Base"}}, "'Mars/Base' is no time zone"),
        ({"timeOfDay": {"periods": [{"start": "25:00", "end": "6:00"}]}}, "'25:00' is no time of the form"),
        (
            {"timeOfDay": {"periods": [{"start": "01:00", "end": "02:00", "days": ["Fry"]}]}},
            "'Fry' is none of",
        ),
        ({"watermark": {"reservedMemory": "much"}}, ".watermark.reservedMemory: 'much' is not a quantity"),
        ({"watermark": {"leavePercent": 50}}, ".watermark.leavePercent: 50 is no whole number from 0 to 20"),
        ([], "[] is no JSON object"),
    ],
)
def test_settings_of_ours_are_checked(settings: object, named: str) -> None:
    """What cannot be used is named with its field and value."""
    assert named in "; ".join(read_extension(settings, "x").problems)


def test_metrics_time_is_read() -> None:
    """The metric of the examples is 42 s old."""
    found = capacity(*EXAMPLE, config())
    assert found.age == NOW - dt.datetime.fromisoformat(MEASURED)
