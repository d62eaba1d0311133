"""The keys of Koordinator's ConfigMap that NodeSLOs are made of: fields, ranges and defaults of each.

Source: ``apis/slo/v1alpha1`` of Koordinator and the checks of its ConfigMap webhook. Where these leave a
field open, the range is that in which the agent does not skip the feature.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.eviction.thresholds import HIGHEST_PRIORITY
from webhook.protocol import PRIORITY_BAND_NAMES, QOS_CLASSES
from webhook.slo.rules import Amount, Bandwidth, Flag, Listed, Rule, Table, Text, Unchecked, Whole

_PERCENT: Final = Whole(0, 100)
_SWITCH: Final = Whole(0, 1)
_FROM_0: Final = Whole(0)
_FROM_1: Final = Whole(1)
_MOST_PERCENT: Final = 100

CPUSET: Final = "cpuset"
CFS_QUOTA: Final = "cfsQuota"
"""Policies of suppression: fewer CPUs for BE pods, or a quota for all of them."""

BY_REAL_LIMIT: Final = "evictByRealLimit"
BY_ALLOCATABLE: Final = "evictByAllocatable"
"""What the satisfaction of BE pods is measured by."""


def _suppression(used: Mapping[str, Any], at: str) -> Iterator[str]:
    """Yield that BE pods would always have more than they may ever have, where both are given."""
    least, most = used.get("cpuSuppressMinPercent"), used.get("cpuSuppressThresholdPercent")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield f"{at}.cpuSuppressMinPercent: {least} is more than cpuSuppressThresholdPercent, which is {most}"


THRESHOLD: Final = Table(
    {
        "enable": Flag(),
        "cpuSuppressThresholdPercent": _PERCENT,
        "cpuSuppressMinPercent": _PERCENT,
        "cpuSuppressPolicy": Text((CPUSET, CFS_QUOTA)),
        "memoryEvictThresholdPercent": _PERCENT,
        "memoryEvictLowerPercent": _PERCENT,
        "cpuEvictBESatisfactionUpperPercent": _PERCENT,
        "cpuEvictBESatisfactionLowerPercent": _PERCENT,
        "cpuEvictBEUsageThresholdPercent": _PERCENT,
        "cpuEvictTimeWindowSeconds": _FROM_1,
        "cpuEvictPolicy": Text((BY_REAL_LIMIT, BY_ALLOCATABLE)),
        "cpuEvictThresholdPercent": _PERCENT,
        "cpuEvictLowerPercent": _PERCENT,
        "evictEnabledPriorityThreshold": Whole(-(2**31), 2**31 - 1),
        "cpuAllocatableEvictThresholdPercent": _FROM_0,
        "cpuAllocatableEvictLowerPercent": _FROM_0,
        "memoryAllocatableEvictThresholdPercent": _FROM_0,
        "memoryAllocatableEvictLowerPercent": _FROM_0,
        "allocatableEvictPriorityThreshold": Whole(-(2**31), HIGHEST_PRIORITY),
    },
    (
        ("memoryEvictLowerPercent", "memoryEvictThresholdPercent"),
        ("cpuEvictBESatisfactionLowerPercent", "cpuEvictBESatisfactionUpperPercent"),
        ("cpuEvictLowerPercent", "cpuEvictThresholdPercent"),
        ("cpuAllocatableEvictLowerPercent", "cpuAllocatableEvictThresholdPercent"),
        ("memoryAllocatableEvictLowerPercent", "memoryAllocatableEvictThresholdPercent"),
    ),
    also=_suppression,
)

_CPU_QOS: Final = Table(
    {"enable": Flag(), "groupIdentity": Whole(-1, 2), "schedIdle": _SWITCH, "coreExpeller": Flag()}
)
MEMORY_QOS: Final = Table(
    {
        "enable": Flag(),
        "minLimitPercent": _PERCENT,
        "lowLimitPercent": _PERCENT,
        "throttlingPercent": _PERCENT,
        "wmarkRatio": _PERCENT,
        "wmarkScalePermill": Whole(1, 1000),
        "wmarkMinAdj": Whole(-25, 50),
        "pageCacheLimitEnable": _SWITCH,
        "pageCacheLimitSize": _FROM_0,
        "pageCacheLimitSync": _SWITCH,
        **dict.fromkeys(("pageCacheEnable", "pageCacheLimitPercent", "pageCacheReclaimSync"), Unchecked()),
        "priorityEnable": _SWITCH,
        "priority": Whole(0, 12),
        "oomKillGroup": _SWITCH,
    }
)
_RESCTRL_QOS: Final = Table(
    {
        "enable": Flag(),
        "catRangeStartPercent": _PERCENT,
        "catRangeEndPercent": _PERCENT,
        "mbaPercent": _PERCENT,
    },
    (("catRangeStartPercent", "catRangeEndPercent"),),
)
_IO: Final = Table(
    {
        **dict.fromkeys(("readIOPS", "writeIOPS", "readBPS", "writeBPS"), _FROM_0),
        "ioWeightPercent": Whole(1, 100),
        **dict.fromkeys(("readLatency", "writeLatency"), _FROM_0),
        **dict.fromkeys(("readLatencyPercent", "writeLatencyPercent"), _PERCENT),
        "enableUserModel": Flag(),
        **dict.fromkeys(
            (
                "modelReadBPS",
                "modelWriteBPS",
                "modelReadSeqIOPS",
                "modelWriteSeqIOPS",
                "modelReadRandIOPS",
                "modelWriteRandIOPS",
            ),
            _FROM_1,
        ),
    }
)
_BLKIO_QOS: Final = Table(
    {
        "enable": Flag(),
        "blocks": Listed(
            Table({"name": Text(), "type": Text(("device", "volumegroup", "podvolume")), "ioCfg": _IO})
        ),
    }
)
_NETWORK: Final = ("ingressRequest", "ingressLimit", "egressRequest", "egressLimit")
_NETWORK_QOS: Final = Table({"enable": Flag(), **dict.fromkeys(_NETWORK, Bandwidth())})
_CLASS: Final = Table(
    {
        "cpuQOS": _CPU_QOS,
        "memoryQOS": MEMORY_QOS,
        "blkioQOS": _BLKIO_QOS,
        "resctrlQOS": _RESCTRL_QOS,
        "networkQOS": _NETWORK_QOS,
    }
)
SHARING: Final = ("lsrClass", "lsClass", "beClass")
"""Strategies of the classes whose pods share a machine's bandwidth and memory; LSE goes by that of LSR."""


def _bandwidths(qos: Mapping[str, Any], at: str) -> Iterator[str]:
    """Yield what is wrong with bandwidths of classes together: they share one line."""
    given = {
        (of, name): value
        for of in SHARING
        for name, value in qos.get(of, {}).get("networkQOS", {}).items()
        if name in _NETWORK
    }
    if len({isinstance(value, int) for value in given.values()}) > 1:
        yield (f"{at}: networkQOS has percentages (numbers) and bits a second (texts): write all of one kind")
        return
    for name in ("ingressRequest", "egressRequest"):
        shares = [value for (_, of), value in given.items() if of == name and isinstance(value, int)]
        if sum(shares) > _MOST_PERCENT:
            whose = " + ".join(map(str, shares))
            yield f"{at}: networkQOS.{name} of {', '.join(SHARING)}: {whose} is more than 100 percent"


_QOS: Final = Table(
    {
        "policies": Table(
            {
                "cpuPolicy": Text(("groupIdentity", "coreSched")),
                "netQOSPolicy": Text(("tc", "terway-qos")),
            }
        ),
        **dict.fromkeys((*SHARING, "systemClass", "cgroupRoot"), _CLASS),
    },
    also=_bandwidths,
)
NO_BURST: Final = "none"
CPU_BURST_ONLY: Final = "cpuBurstOnly"
CFS_QUOTA_BURST_ONLY: Final = "cfsQuotaBurstOnly"
AUTO: Final = "auto"
"""Policies of burst: none; by what a quota left unused; by more quota; both."""

BURST: Final = Table(
    {
        "policy": Text((NO_BURST, CPU_BURST_ONLY, CFS_QUOTA_BURST_ONLY, AUTO)),
        "cpuBurstPercent": Whole(1, 10_000),
        "cfsQuotaBurstPercent": Whole(100),
        "cfsQuotaBurstPeriodSeconds": Whole(-1),
        "sharePoolThresholdPercent": _PERCENT,
    }
)
_SYSTEM: Final = Table(
    {
        "minFreeKbytesFactor": _FROM_1,
        "watermarkScaleFactor": Whole(1, 400),
        "memcgReapBackGround": _SWITCH,
        "schedGroupIdentityEnabled": _SWITCH,
        "schedIdleSaverWmark": _FROM_0,
        "schedFeatures": Unchecked(),
        "pageCacheLimitEnabled": _SWITCH,
        "totalNetworkBandwidth": Amount(),
    }
)
_BASES: Final = ("CgroupRoot", "Kubepods", "KubepodsBurstable", "KubepodsBesteffort")
_APPLICATION: Final = Table(
    {
        "name": Text(needed=True),
        "priority": Text(tuple(sorted(PRIORITY_BAND_NAMES))),
        "qos": Text(tuple(sorted(QOS_CLASSES))),
        "cgroupPath": Table({"base": Text(_BASES), "parentDir": Text(), "relativePath": Text()}),
    }
)


class Key(NamedTuple):
    """A key of the ConfigMap's data.

    Attributes:
        spec: the field of a NodeSLO's spec that it becomes.
        rule: for the cluster's strategy and that of a node.
        cluster: the field with the cluster's strategy.
        nodes: the field with the entries of nodes.
        defaults: below the cluster's strategy, as Koordinator's controller has them.
    """

    spec: str
    rule: Rule
    cluster: str = "clusterStrategy"
    nodes: str = "nodeStrategies"
    defaults: Mapping[str, Any] = {}


THRESHOLD_CONFIG: Final = "resource-threshold-config"
QOS_CONFIG: Final = "resource-qos-config"
BURST_CONFIG: Final = "cpu-burst-config"

KEYS: Final[Mapping[str, Key]] = {
    THRESHOLD_CONFIG: Key(
        "resourceUsedThresholdWithBE",
        THRESHOLD,
        defaults={
            "enable": False,
            "cpuSuppressThresholdPercent": 65,
            "cpuSuppressPolicy": CPUSET,
            "memoryEvictThresholdPercent": 70,
            "cpuEvictPolicy": BY_REAL_LIMIT,
        },
    ),
    QOS_CONFIG: Key("resourceQOSStrategy", _QOS),
    BURST_CONFIG: Key(
        "cpuBurstStrategy",
        BURST,
        defaults={
            "policy": NO_BURST,
            "cpuBurstPercent": 1000,
            "cfsQuotaBurstPercent": 300,
            "cfsQuotaBurstPeriodSeconds": -1,
            "sharePoolThresholdPercent": 50,
        },
    ),
    "system-config": Key("systemStrategy", _SYSTEM, defaults={"totalNetworkBandwidth": "0"}),
    "host-application-config": Key(
        "hostApplications", Listed(_APPLICATION), cluster="applications", nodes="nodeConfigs"
    ),
}
