"""What a NodeSLO asks for that this agent does not do.

Source: Koordinator's ``slo.koordinator.sh/v1alpha1`` NodeSLO and its controller's defaults.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.pods.pod import mapping
from webhook.slo.keys import KEYS, QOS_CONFIG, SHARING, THRESHOLD_CONFIG

_CLASSES: Final = (*SHARING, "systemClass", "cgroupRoot")
_QOS: Final = {
    "resctrlQOS": "shares of the last-level cache and of memory bandwidth (resctrl)",
    "blkioQOS": "limits of disks (blkio)",
    "networkQOS": "limits of the network (net_cls, tc)",
}
_USED: Final = KEYS[THRESHOLD_CONFIG].spec
_STRATEGIES: Final = KEYS[QOS_CONFIG].spec
_CPU_POLICIES: Final = {
    "coreSched": "core scheduling",
    "groupIdentity": "group identity (cpu.bvt_warp_ns); cpu.idle does what it is meant for",
}
_MEMORY: Final = frozenset({"enable", "minLimitPercent", "lowLimitPercent", "throttlingPercent"})


def unbuilt(slo: Mapping[str, Any], *, suppressed: bool = False) -> list[str]:
    """Return what a NodeSLO's spec asks for that is not done, each with its field.

    Args:
        slo: the spec.
        suppressed: whether the agent may suppress BE pods.
    """
    found = [f"{field}: {what}: not built" for field, what in _asked(slo)]
    if not suppressed and mapping(slo.get(_USED)).get("enable") is True:
        found.append(f"{_USED}: suppression of BE pods: is off: start the agent with --suppress-be")
    return found


def _asked(slo: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    qos = mapping(slo.get(_STRATEGIES))
    policy = str(mapping(qos.get("policies")).get("cpuPolicy") or "groupIdentity")
    for name in _CLASSES:
        strategy = mapping(qos.get(name))
        at = f"{_STRATEGIES}.{name}"
        if mapping(strategy.get("cpuQOS")).get("enable") is True:
            yield f"{at}.cpuQOS", _CPU_POLICIES.get(policy, f"the CPU policy {policy}")
        for key, what in _QOS.items():
            if mapping(strategy.get(key)).get("enable") is True:
                yield f"{at}.{key}", what
        memory = mapping(strategy.get("memoryQOS"))
        known = _MEMORY if name in SHARING else {"enable"}
        more = sorted(key for key, value in memory.items() if value and key not in known)
        if memory.get("enable") is True and more:
            yield f"{at}.memoryQOS", ", ".join(more)
    if any(value not in (None, "0", 0) for value in mapping(slo.get("systemStrategy")).values()):
        yield "systemStrategy", "settings of the whole machine (sysctl)"
    if slo.get("hostApplications"):
        yield "hostApplications", "cgroups of programs that are no pods"
