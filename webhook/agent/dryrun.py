"""What an agent would write on a machine, or on a recorded one; nothing is written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from webhook.agent.bursting.burster import Burster
from webhook.agent.findings import Findings
from webhook.agent.inputs import inputs_of
from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.machine.kubelet import Kubelet
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.measuring.throttling import Throttling
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.plan import Plan, make_plan
from webhook.agent.plan.settings import DEFAULTS, Settings
from webhook.agent.plan.target import Knob
from webhook.agent.plan.unbuilt import unbuilt
from webhook.agent.pods import NodePod, read_pod
from webhook.agent.rendering import DryRun
from webhook.agent.suppression.decision import Options
from webhook.agent.suppression.overlay import unlike_koordlet
from webhook.agent.suppression.suppressor import Suppressor
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.comparison import Comparison
from webhook.agent.writing.order import Difference
from webhook.agent.writing.own import left_alone, refused_folder
from webhook.agent.writing.pinned import Pinned
from webhook.agent.writing.present import Present
from webhook.agent.writing.processes import Processes
from webhook.agent.writing.reconciler import possible
from webhook.agent.writing.weights import runtime_weights
from webhook.cpuset.topology import Topology
from webhook.slo.nodeslo import read_nodeslo

_HERE: Final = Path("/")
_SECOND: Final = 1.0


def dry_run(  # noqa: PLR0913 — what a plan is made of
    hierarchy: Hierarchy,
    cpus: Topology,
    pods: Sequence[Mapping[str, Any]],
    node: Mapping[str, Any],
    *,
    kubelet: Kubelet | None = None,
    slo: Mapping[str, Any] | None = None,
    suppression: Options | None = None,
    root: Path = _HERE,
    asked: Settings = DEFAULTS,
    proc: Path = Path("/proc"),
) -> DryRun:
    """Compare a plan with what cgroups hold.

    Args:
        hierarchy: where they are.
        cpus: of the machine.
        pods: v1 Pods of the node.
        node: the v1 Node, or {"metadata": {}} where none is known.
        kubelet: what its files say; None where they are not to be read.
        slo: the spec of the node's NodeSLO.
        suppression: of BE pods, by what is used in a second from now on; None: they are not suppressed.
        root: of the machine's files.
        asked: what is switched on.
        proc: the host's /proc, where processes are looked for if the settings ask for something of them.
    """
    read = [read_pod(pod) for pod in pods]
    files = KernelFiles()
    planned = [pod.planned for pod in read]
    topology, wanted = inputs_of(node, cpus, kubelet, planned, replace(asked, slo=read_nodeslo(slo)))
    settings = possible(wanted, hierarchy, files)
    pinned = Pinned(hierarchy, files)
    lasting = make_plan(planned, pinned.on(topology, planned, settings), settings)
    sampler = Sampler(hierarchy, root)
    suppressor = burster = None
    if suppression is not None and settings.slo.threshold.enable:
        suppressor = Suppressor(hierarchy, files, sampler, Findings(), suppression)
    if any(each.quotas is not None for each in lasting.pods):
        throttling = Throttling(hierarchy, time.monotonic)
        burster = Burster(hierarchy, files, sampler, Findings(), throttling)
    plan, unlike = _of_a_second(lasting, read, settings, sampler, suppressor, burster)
    knobs, findings = settings.for_processes, []
    if Knob.NICE in knobs and root != _HERE:
        knobs -= {Knob.NICE}
        findings.append("nice values are in no recording: ask for them on the node itself")
    comparison = Comparison(hierarchy, files, None, Processes(proc, knobs) if knobs else None)
    present = Present(hierarchy, files)
    now = {each.pod.uid: _cpus_now(present, each.pod, cpus) for each in plan.pods}
    weights = runtime_weights(plan.all_pods, hierarchy, files) or settings.weights
    differences = {each.pod.uid: tuple(comparison.differences(each, weights)) for each in plan.pods}
    folders = dict.fromkeys(_folder(each) for of in differences.values() for each in of)
    if hierarchy.version != 1 and (own := refused_folder(folders, files, root / "proc")):
        findings.append(left_alone(own))
        differences = {
            uid: tuple(each for each in of if _folder(each) != own) for uid, of in differences.items()
        }
    above = tuple(each for above in plan.classes for each in comparison.of_class(above))
    return DryRun(
        plan=plan,
        differences=differences,
        above=above,
        findings=(*plan.findings, *pinned.problems, *comparison.problems.values(), *findings),
        now={uid: found for uid, found in now.items() if found is not None},
        cgroups=f"cgroup v{hierarchy.version}, driver {hierarchy.driver}",
        unbuilt=unbuilt(slo or {}, suppressed=suppression is not None),
        suppression=suppressor.state if suppressor is not None else None,
        bursts=burster.state if burster is not None else None,
        unlike_koordlet=unlike,
    )


def _of_a_second(
    plan: Plan,
    pods: Sequence[NodePod],
    settings: Settings,
    sampler: Sampler,
    suppressor: Suppressor | None,
    burster: Burster | None,
) -> tuple[Plan, list[str]]:
    """Return the plan by what is used in a second from now on, and where koordlet would do otherwise."""
    unlike: list[str] = []
    if suppressor is None and burster is None:
        return plan, unlike
    sampler.look(pods)
    if burster is not None:
        burster.adjust(plan, settings)
    time.sleep(_SECOND)
    sampler.look(pods)
    if suppressor is not None:
        plan = suppressor.adjust(plan, settings)
        unlike = unlike_koordlet(plan, settings.slo.threshold.cpu_suppress_policy)
    if burster is not None:
        plan = burster.adjust(plan, settings)
    return plan, unlike


def _folder(difference: Difference) -> str:
    return difference.path.rpartition("/")[0]


def _cpus_now(present: Present, pod: AgentPod, cpus: Topology) -> frozenset[int] | None:
    """Return on which CPUs a pod's containers may run, or its pod where it has none; None: no cgroup."""
    found = [mine for group in present.groups(pod) if (mine := present.cpus(group)) is not None]
    return frozenset[int]().union(*found).intersection(cpus.position) if found else None
