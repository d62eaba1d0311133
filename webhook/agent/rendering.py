"""A plan and its differences from what a machine holds, for a terminal and for machines; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webhook.agent.bursting.decision import State as Bursts
from webhook.agent.plan.agentpod import Mode
from webhook.agent.plan.plan import Plan, PodPlan
from webhook.agent.plan.target import Knob
from webhook.agent.suppression.decision import State
from webhook.agent.writing.order import Difference
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.rendering import Paint, draw_node, draw_topology
from webhook.cpuset.topology import Topology
from webhook.protocol import KubeQoS, QoSClass

_WIDTH: Final = 80
_FILE: Final = 22
_VALUES: Final = 34
_TERM: Final = 12
_OF_PROCESSES: Final = {Knob.OOM_SCORE_ADJ: "process", Knob.NICE: "thread"}
_BESIDES_LSE: Final = "LSE pods are not alone on"


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would be written.

    Attributes:
        plan: what should stand there.
        differences: what does not, by the uid of the pod.
        now: on which CPUs each pod may run at present, by uid; pods without cgroups are left out.
        cgroups: version and driver, as text.
        unbuilt: what a NodeSLO asks for that is not built.
        suppression: what BE pods get; None: they are not suppressed.
        bursts: the quotas that are raised; None: no pod's may be.
        unlike_koordlet: whom koordlet would suppress, and this agent does not, or the other way round.
        above: as ``differences``, of the groups above pods.
        findings: what could not be done as it was asked, or be read, and why.
    """

    plan: Plan
    differences: Mapping[str, Sequence[Difference]]
    now: Mapping[str, frozenset[int]]
    cgroups: str
    unbuilt: Sequence[str] = ()
    suppression: State | None = None
    bursts: Bursts | None = None
    unlike_koordlet: Sequence[str] = ()
    above: Sequence[Difference] = ()
    findings: Sequence[str] = ()

    @property
    def be_cpus(self) -> frozenset[int]:
        """Return the CPUs on which BE pods may run."""
        decision = self.suppression.decision if self.suppression is not None else None
        return (decision.cpus if decision is not None else None) or self.plan.cpus.state.be_pool()


def _plain(text: str, _mark: str) -> str:
    return text


def lines_of(run: DryRun, topology: Topology, *, width: int = _WIDTH, paint: Paint = _plain) -> list[str]:
    """Return the lines of a report, none wider than ``width`` where no name or value is too long."""
    counted = [
        run.differences.get(each.pod.uid, ()) for each in run.plan.pods if each.pod.mode is Mode.ENFORCE
    ]
    pods, count = len(run.plan.pods), sum(map(len, counted)) + len(run.above)
    found = [f"{run.cgroups}: {pods} pod{'s' * (pods != 1)}, {count} files would be written; nothing was"]
    if run.plan.pods or run.above:
        found.append("")
    for each in run.plan.pods:
        found += _pod_lines(each, run.differences.get(each.pod.uid, ()), run.now.get(each.pod.uid))
    found += [
        f"{each.why.pod}: {_name(each)} {each.text} -> {each.wanted_text}, {each.why.rule}"
        for each in run.above
    ]
    found += ["", "CPUs now", *_before(run, topology, width, paint)]
    state = run.plan.cpus.state
    found += ["", "CPUs as planned", *draw_node(state, run.be_cpus, width=width, paint=paint).split("\n")]
    sections: list[tuple[str, Sequence[str]]] = [
        ("Suppression of BE pods", _suppression(run.suppression)),
        ("Quotas raised while pods are throttled", _bursts(run.bursts)),
        ("Koordlet would do otherwise", run.unlike_koordlet),
        ("Findings", run.findings),
        ("Asked for by the NodeSLO", run.unbuilt),
    ]
    for title, texts in sections:
        if texts:
            found += ["", title, *(f"  - {text}" for text in texts)]
    return found


def data_of(run: DryRun) -> dict[str, Any]:
    """Return the same as plain data."""
    state = run.plan.cpus.state
    return {
        "cgroups": run.cgroups,
        "pods": [
            {
                "pod": each.pod.name,
                "uid": each.pod.uid,
                "qos": each.pod.qos,
                "mode": str(each.pod.mode),
                "cpus": _cpus(run.now.get(each.pod.uid)),
                "writes": [_data(difference) for difference in run.differences.get(each.pod.uid, ())],
            }
            for each in run.plan.pods
        ],
        "above": [_data(difference) for difference in run.above],
        "sharedPool": format_cpulist(state.shared_pool()),
        "bePool": format_cpulist(state.be_pool()),
        "findings": list(run.findings),
        "notBuilt": list(run.unbuilt),
        "suppression": _inputs(run.suppression),
        "bursts": run.bursts.report() if run.bursts is not None else None,
        "unlikeKoordlet": list(run.unlike_koordlet),
    }


def _inputs(state: State | None) -> dict[str, str] | None:
    """Return what a decision follows from; None where nothing is suppressed."""
    if state is None:
        return None
    terms = state.budget.terms() if state.budget is not None else {"held": "nothing is known of what is used"}
    return {**terms, **(state.decision.inputs if state.decision is not None else {})}


def _suppression(state: State | None) -> list[str]:
    return [f"{name:<{_TERM}}{text}" for name, text in (_inputs(state) or {}).items()]


def _bursts(state: Bursts | None) -> list[str]:
    if state is None:
        return []
    terms = state.pool.terms() if state.pool is not None else {"pool": "nothing is known of its use"}
    raised = [
        f"{pod}, {name or 'the pod'}: {each.inputs['from']} -> {each.quota}"
        for pod, raises in state.raised.items()
        for name, each in raises.items()
    ]
    return [*(f"{name:<{_TERM}}{text}" for name, text in terms.items()), *(raised or ["nothing is raised"])]


def action_line(line: Mapping[str, Any]) -> str:
    """Return a line of the ledger of actions for a terminal."""
    why = line["why"]
    inputs = ", ".join(f"{name}={value}" for name, value in why["inputs"].items())
    text = f"{line.get('t', '')}  {why['pod']}  {line['file']}  {line['old']} -> {line['new']}  {why['rule']}"
    text += f" ({inputs})" if inputs else ""
    if "expected" in line:
        text += f"; somebody else had changed it from {line['expected']}"
    return f"{text}\n    {line['path']}"


def _name(difference: Difference) -> str:
    return difference.path.rpartition("/")[2]


def _data(difference: Difference) -> dict[str, Any]:
    folder, _, name = difference.path.rpartition("/")
    why = difference.why
    return {
        "path": folder,
        "file": name,
        "old": difference.text,
        "new": difference.wanted_text,
        "why": {"rule": why.rule, "pod": why.pod, "inputs": dict(why.inputs)},
    }


def _cpus(cpus: frozenset[int] | None) -> str | None:
    return None if cpus is None else format_cpulist(cpus)


def _pod_lines(plan: PodPlan, differences: Sequence[Difference], now: frozenset[int] | None) -> Iterable[str]:
    pod = plan.pod
    state = "no cgroup" if now is None else f"on CPUs {format_cpulist(now)}"
    mode = "" if pod.mode is Mode.ENFORCE else f", {pod.mode}"
    yield f"{pod.name}  {pod.qos or f'no class, {pod.kube_qos}'}{mode}, {state}"
    for each in differences:
        folder, _, name = each.path.rpartition("/")
        last = folder.rpartition("/")[2]
        number = last.removesuffix(".scope").rpartition("-")[2]
        if each.knob in _OF_PROCESSES:
            where = f"{_OF_PROCESSES[each.knob]} {last}"
        else:
            where = (pod.containers.get(number) or number[:12]) if each.below else "the pod"
        values = f"{each.text or 'nothing'} -> {each.wanted_text}"
        yield f"  {name:<{_FILE}}{values:<{_VALUES}}{each.why.rule}, {where}"


def _before(run: DryRun, topology: Topology, width: int, paint: Paint) -> list[str]:
    """Draw who may run where at present; a CPU on which an LSE pod is not alone has no mark."""
    on: dict[int, set[str]] = {}
    for each in run.plan.pods:
        kind = each.pod.qos or (QoSClass.BE if each.pod.kube_qos is KubeQoS.BEST_EFFORT else QoSClass.LS)
        for cpu in run.now.get(each.pod.uid, ()):
            on.setdefault(cpu, set()).add(str(kind))
    marks = {cpu: mark for cpu, kinds in on.items() if (mark := _mark(kinds))}
    best_effort = {cpu for cpu, kinds in on.items() if QoSClass.BE in kinds}
    crowded = frozenset(cpu for cpu, kinds in on.items() if QoSClass.LSE in kinds and len(kinds) > 1)
    drawn = draw_topology(topology, marks, best_effort, width=width, paint=paint).split("\n")
    return [*drawn, f"  {_BESIDES_LSE} {format_cpulist(crowded)}"] if crowded else drawn


def _mark(kinds: set[str]) -> str:
    others = kinds - {QoSClass.BE}
    if kinds == {QoSClass.LSE}:
        return "E"
    if others == {QoSClass.LSR}:
        return "R"
    return "L" if others == {QoSClass.LS} else ""
