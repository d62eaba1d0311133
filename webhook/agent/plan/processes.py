"""What should hold for the processes of pods: who is killed first, and nice values, where switched on."""

from collections.abc import Mapping
from typing import Any, Final

from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import Knob, Target, Why
from webhook.pods.pod import annotations
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_OOM_SCORE_ADJ

OOM_SCORE_ADJ: Final = "oom-score-adj"
NICE: Final = "nice"

_MOST: Final = 1000


def of_processes(pod: AgentPod, settings: Settings, findings: list[str]) -> tuple[Target, ...]:
    """Return the targets of each process of a pod's containers; the sandbox has none."""
    found = []
    if settings.oom_score_adj and (stated := _stated(pod.value)) is not None:
        if (value := _score(stated)) is not None:
            why = Why(OOM_SCORE_ADJ, pod.name, {ANNOTATION_OOM_SCORE_ADJ: stated})
            found.append(Target(Knob.OOM_SCORE_ADJ, value, why))
        else:
            findings.append(
                f"{pod.name}: annotation {ANNOTATION_OOM_SCORE_ADJ}: {shown(stated)} is no whole number from "
                f"-{_MOST} to {_MOST}: it is left as the kubelet made it"
            )
    kind = str(pod.counts_as)
    if kind in settings.nice:
        found.append(Target(Knob.NICE, settings.nice[kind], Why(NICE, pod.name, {"class": kind})))
    return tuple(found)


def _stated(pod: Mapping[str, Any]) -> str | None:
    return annotations(pod).get(ANNOTATION_OOM_SCORE_ADJ)


def _score(text: str) -> int | None:
    try:
        value = int(text)
    except ValueError:
        return None
    return value if -_MOST <= value <= _MOST else None
