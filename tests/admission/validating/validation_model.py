"""Which rules a new pod breaks: Koordinator's and ours, plain, for comparison.

Written from the specification, table by table; nothing is shared with the package.
"""

from fractions import Fraction
from typing import Any

from tests.pods.quantity_model import value_of

Json = dict[str, Any]

QOS, CLASS = "koordinator.sh/qosClass", "koordinator.sh/priority-class"
SCHEDULED = {"scheduling.koordinator.sh/resource-status", "scheduling.koordinator.sh/device-allocated"}
RESERVE = "scheduling.koordinator.sh/reserve-pod"
BATCH = ("kubernetes.io/batch-cpu", "kubernetes.io/batch-memory")
SECTIONS = ("requests", "limits")
BANDS = {9: "prod", 7: "mid", 5: "batch", 3: "free"}

# QoS -> the classes refused, the classes warned of.
OURS = {
    "LSE": (("mid", "batch", "free", "none"), ()),
    "LSR": (("mid", "batch", "free", "none"), ()),
    "LS": ((), ("batch", "free")),
    "BE": (("prod",), ("none",)),
}
KOORDINATOR = {
    "LSR": ("mid", "batch", "free", "none"),
    "BE": ("prod", "none"),
}

# How the two differ, and why, by the name of our rule.
DIFFERENCES = {
    "qos-class-known": "ours refuses an unknown QoS class",
    "scheduler-annotations": "ours refuses a new pod with annotations that only a scheduler writes",
    "qos-priority/BE-none": "Koordinator refuses BE without a priority class, ours warns",
    **{
        f"qos-priority/LSE-{column}": "ours holds LSE to the same classes as LSR"
        for column in ("mid", "batch", "free", "none")
    },
    "batch-resources-need-be": "ours looks at limits too, Koordinator at requests only",
    "request-equals-limit": "ours wants request = limit of LSE and LSR",
}


def containers(pod: Json) -> list[Json]:
    """Return init containers, then containers."""
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def quantities(container: Json, section: str) -> Json:
    """Return requests or limits of a container."""
    return (container.get("resources") or {}).get(section) or {}


def stated_class(pod: Json) -> str:
    """Return the class by the label, else by spec.priority, without the prefix."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    if CLASS in labels:
        name = labels[CLASS].removeprefix("koord-")
        return name if labels[CLASS] == f"koord-{name}" and name in BANDS.values() else "none"
    return BANDS.get((pod["spec"].get("priority") or 0) // 1000, "none")


def cpus(pod: Json) -> Fraction:
    """Return the CPUs that the scheduler counts for a pod."""
    steady, peak = Fraction(0), Fraction(0)
    for container in pod["spec"].get("initContainers") or []:
        wanted = value_of(quantities(container, "requests").get("cpu", "0")) or Fraction(0)
        if container.get("restartPolicy") == "Always":
            steady += wanted
            peak = max(peak, steady)
        else:
            peak = max(peak, steady + wanted)
    steady += sum(value_of(quantities(c, "requests").get("cpu", "0")) or 0 for c in pod["spec"]["containers"])
    level = quantities(pod["spec"], "requests").get("cpu")
    overhead = value_of((pod["spec"].get("overhead") or {}).get("cpu", "0")) or 0
    return (max(steady, peak) if level is None else value_of(level) or Fraction(0)) + overhead


def ours(pod: Json) -> tuple[set[str], set[str]]:
    """Return the rules by which our webhook refuses a new pod, and those it warns of."""
    metadata = pod.get("metadata") or {}
    qos = (metadata.get("labels") or {}).get(QOS, "")
    column = stated_class(pod)
    deny, warn = set(), set()
    if RESERVE in (metadata.get("annotations") or {}):
        deny.add("reserve-pod")
    if SCHEDULED & (metadata.get("annotations") or {}).keys():
        deny.add("scheduler-annotations")
    if qos not in ("", "LSE", "LSR", "LS", "BE", "SYSTEM"):
        deny.add("qos-class-known")
    refused, warned = OURS.get(qos, ((), ()))
    if column in refused:
        deny.add(f"qos-priority/{qos}-{column}")
    if column in warned:
        warn.add(f"qos-priority/{qos}-{column}")
    sections = [quantities(c, s) for c in containers(pod) for s in SECTIONS]
    if qos != "BE" and any(name in section for section in sections for name in BATCH):
        deny.add("batch-resources-need-be")
    if qos == "BE" and any(name in section for section in sections for name in ("cpu", "memory")):
        warn.add("be-native-resources")
    if qos in ("LSE", "LSR"):
        total = cpus(pod)
        if not total or total % 1:
            deny.add("whole-cpus")
        for container in containers(pod):
            pair = [quantities(container, section).get("cpu") for section in SECTIONS]
            values = [None if raw is None else value_of(raw) for raw in pair]
            if values[0] != values[1]:
                deny.add("request-equals-limit")
    return deny, warn


def koordinator(pod: Json) -> set[str]:
    """Return the rules, by our names, by which Koordinator refuses a new pod."""
    metadata = pod.get("metadata") or {}
    qos = (metadata.get("labels") or {}).get(QOS, "")
    column = stated_class(pod)
    deny = set()
    if RESERVE in (metadata.get("annotations") or {}):
        deny.add("reserve-pod")
    if column in KOORDINATOR.get(qos, ()):
        deny.add(f"qos-priority/{qos}-{column}")
    if qos != "BE" and any(name in quantities(c, "requests") for c in containers(pod) for name in BATCH):
        deny.add("batch-resources-need-be")
    if qos in ("LSE", "LSR"):
        total = cpus(pod)
        if not total or total % 1:
            deny.add("whole-cpus")
    return deny
