"""Where a pod may go and why, node by node, with the figures that reasons leave out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.cpuset.cpulist import format_cpulist
from webhook.pods.pod import spec
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec
from webhook.protocol import CPU, CPUSET_ENABLED, LABEL_CPUSET
from webhook.scheduling.cluster.state import Visit
from webhook.scheduling.loadaware.loadsettings import PERCENT
from webhook.scheduling.loadaware.nodeload import EXPIRED, NodeLoad, greatest_use, scores, why_not
from webhook.scheduling.loadaware.podload import rounded
from webhook.scheduling.verbs import prioritize

_GI: Final = 2**30
LOAD: Final = "loadAware"
SETS: Final = "cpuSets"
"""The checks, in the names of the settings."""


class ResourceUse(NamedTuple):
    """How much of a resource would be in use.

    Attributes:
        resource: its name; cpu is counted in milli-cores, all else in units.
        allocatable: how much the node has.
        used: as the filter counts it, without the pod.
        expected: of the pod.
        percent: of all together; None: the node has none of it.
        limit: percent above which the pod does not fit; 0: not looked at.
    """

    resource: str
    allocatable: int
    used: int
    expected: int
    percent: int | None
    limit: int

    @property
    def excess(self) -> int:
        """How much less would have to be in use; 0: the pod fits."""
        if not self.limit or self.percent is None or self.percent <= self.limit:
            return 0
        return self.used + self.expected - greatest_use(self.limit, self.allocatable)


class NodeVerdict(NamedTuple):
    """What is said of one node.

    Attributes:
        node: its name.
        reasons: why the pod may not go there, by check; none: it may.
        remedies: what would make it fit.
        score: what the scheduler would get; 0 where the pod does not fit.
        load_score: 0 to 100; None: load is not looked at, or nothing was measured.
        set_score: 0 to 100; None: the pod gets no CPU set there.
        uses: of each resource; none where load is not looked at, or nothing was measured.
        measured: whether there is a NodeMetric with what is in use; None: load is not looked at.
        cpus: that the pod would get, as a list; "": none.
        notes: what of the Node cannot be meant, and counts as absent.
    """

    node: str
    reasons: Mapping[str, str]
    remedies: tuple[str, ...]
    score: int
    load_score: int | None
    set_score: int | None
    uses: tuple[ResourceUse, ...]
    measured: bool | None
    cpus: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it in names of an API."""
        return {
            "node": self.node,
            "fits": not self.reasons,
            "reasons": [{"check": check, "reason": reason} for check, reason in self.reasons.items()],
            "remedies": list(self.remedies),
            "score": self.score,
            "scores": {LOAD: self.load_score, SETS: self.set_score},
            "measured": self.measured,
            "load": [each._asdict() for each in self.uses],
            "cpuset": self.cpus,
            "notes": list(self.notes),
        }


def explain(visit: Visit, nodes: Iterable[str]) -> list[NodeVerdict]:
    """Say of each node whether a pod may go there, the best one first, then by name."""
    found = [_verdict(visit, node) for node in nodes]
    return sorted(found, key=lambda each: (bool(each.reasons), -each.score, each.node))


def remarks(visit: Visit) -> Iterator[str]:
    """Yield what holds for a pod on every node: which checks do not look at it, and why."""
    cluster = visit.cluster
    if node := spec(visit.pod).get("nodeName"):
        yield f"it is on {node} already, and counts there: this is about another pod like it"
    if cluster.loads is None:
        yield "load is not looked at: the settings switch it off"
    elif visit.asked.everywhere:
        yield "a pod of a DaemonSet: load keeps it from no node"
    try:
        wanted = read_resource_spec(visit.pod, cluster.default) is not None
    except ResourceSpecError:
        return  # a reason of every node
    if wanted and cluster.fits is None:
        yield "CPU sets are not looked at: the settings switch them off"
    elif wanted and visit.claim is None:
        namespace = visit.pod["metadata"]["namespace"]
        yield f"no CPU set: the namespace {namespace} has no label {LABEL_CPUSET}={CPUSET_ENABLED}"


def amount(resource: str, value: int) -> str:
    """Return an amount as people read it: ``1.5`` cores, ``2.0Gi``."""
    return f"{value / 1000:g}" if resource == CPU else f"{value / _GI:.1f}Gi"


def _verdict(visit: Visit, node: str) -> NodeVerdict:
    settings, now = visit.cluster.settings, visit.cluster.wall()
    pod, load = visit.asked.load, visit.loads().get(node)
    reasons: dict[str, str] = {}
    remedies: list[str] = []
    uses: tuple[ResourceUse, ...] = ()
    cpus, load_score, set_score, measured = "", None, None, None
    if pod is not None and load is not None and settings.load is not None:
        measured = _is_measured(visit, node)
        uses = tuple(_uses(visit, load)) if measured else ()
        if now < load.score_until:
            load_score = next(scores({node: load}, [node], pod, settings.load, now))
        if not visit.asked.everywhere and (reason := why_not(load, pod, settings.load, now)):
            reasons[LOAD] = reason
            remedies += _of_load(reason, uses)
    if visit.claim is not None:
        fit = visit.exactly(node)
        if fit.reason:
            reasons[SETS] = fit.reason
            remedies.append(fit.message)
        elif fit.entry is not None:
            set_score, cpus = fit.score, format_cpulist(fit.entry.cpus)
    points = 0 if reasons else prioritize(visit.asked, [node], visit, settings, now)[node]
    scored = (points, load_score, set_score)
    notes = tuple(_notes(visit, node))
    return NodeVerdict(node, reasons, tuple(remedies), *scored, uses, measured, cpus, notes)


def _notes(visit: Visit, node: str) -> Iterator[str]:
    loads = visit.cluster.loads
    shape = loads.nodes.values.get(("", node)) if loads is not None else None
    if shape is not None and shape.thresholds.problem:
        yield shape.thresholds.problem


def _is_measured(visit: Visit, node: str) -> bool:
    loads = visit.cluster.loads
    usage = loads.metrics.values.get(("", node)) if loads is not None else None
    return usage is not None and usage.measured


def _uses(visit: Visit, load: NodeLoad) -> Iterator[ResourceUse]:
    pod, settings = visit.asked.load, visit.cluster.settings.load
    if pod is None or settings is None:
        return
    side = load.side(prod=pod.prod)
    figures = zip(
        settings.resources, load.allocatable, side.filter_use, pod.estimate, side.limits, strict=True
    )
    for resource, has, used, expected, limit in figures:
        percent = rounded(PERCENT * (used + expected), has) if has else None
        yield ResourceUse(resource, has, used, expected, percent, limit)


def _of_load(reason: str, uses: tuple[ResourceUse, ...]) -> Iterator[str]:
    if reason == EXPIRED:
        yield "a newer NodeMetric: look why nothing measures the node"
    for use in uses:
        if use.excess:
            yield ", or ".join(_ways_out(use))


def _ways_out(use: ResourceUse) -> Iterator[str]:
    """Yield what would let a pod in that a threshold keeps out, as far as that can be."""
    if use.excess <= use.used:
        yield f"{amount(use.resource, use.excess)} less {use.resource} in use"
    else:
        most = amount(use.resource, greatest_use(use.limit, use.allocatable))
        yield f"a pod that is expected to use at most {most} {use.resource}"
    if use.percent is not None and use.percent <= PERCENT:
        yield f"a threshold of {use.percent} %"
