"""The plugins of a stock kube-scheduler 1.37, and where each can stand; another release may differ."""

from collections.abc import Mapping
from typing import Final

VERSION: Final = "1.37"
MULTI_POINT: Final = "multiPoint"
POINTS: Final = (
    MULTI_POINT, "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score",
    "reserve", "permit", "preBind", "bind", "postBind",
    "placementGenerate", "placementScore", "podGroupPostFilter",
)  # fmt: skip
"""Where a profile lists plugins; ``multiPoint`` stands for all of a plugin's."""

ALL: Final = "*"
"""In the place of a name, under ``disabled``: every plugin."""

_FILTERS: Final = "preFilter filter"
_SCORES: Final = f"{_FILTERS} preScore score"
STOCK: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset((MULTI_POINT, *points.split()))
    for name, points in {
        "PrioritySort": "queueSort",
        "DefaultBinder": "bind",
        "DefaultPreemption": "preEnqueue postFilter podGroupPostFilter",
        "DynamicResources": f"preEnqueue {_FILTERS} postFilter score reserve preBind podGroupPostFilter",
        "GangScheduling": "preEnqueue permit",
        "ImageLocality": "score",
        "InterPodAffinity": _SCORES,
        "NodeAffinity": _SCORES,
        "NodeDeclaredFeatures": _FILTERS,
        "NodeName": _FILTERS,
        "NodePorts": _FILTERS,
        "NodeResourcesBalancedAllocation": "preScore score",
        "NodeResourcesFit": f"{_SCORES} placementScore",
        "NodeUnschedulable": _FILTERS,
        "NodeVolumeLimits": _FILTERS,
        "PodTopologySpread": _SCORES,
        "DeferredPodScheduling": f"{_FILTERS} permit",
        "SchedulingGates": "preEnqueue",
        "TaintToleration": _SCORES,
        "VolumeBinding": f"{_SCORES} reserve preBind",
        "VolumeRestrictions": _FILTERS,
        "VolumeZone": _FILTERS,
        "TopologyPlacementGenerator": "placementGenerate",
        "PodGroupPodsCount": "placementScore",
    }.items()
}
"""Its plugins, and the points at which each can stand."""

OPTIONAL: Final = frozenset({
    "DeferredPodScheduling", "GangScheduling", "PodGroupPodsCount", "TopologyPlacementGenerator",
})  # fmt: skip
"""Those that only a feature gate, or a configuration, switches on."""

WEIGHTS: Final[Mapping[str, int]] = {
    "DynamicResources": 2, "InterPodAffinity": 2, "NodeAffinity": 2, "PodTopologySpread": 2,
    "TaintToleration": 3,
}  # fmt: skip
"""How much plugins count in the score unless a configuration says; all others 1."""

NEEDED: Final[Mapping[str, str]] = {"queueSort": "PrioritySort", "bind": "DefaultBinder"}
"""The points at which there has to be a plugin, and its own one there."""

AS_BY_DEFAULT: Final[Mapping[str, str]] = {**NEEDED, "postFilter": "DefaultPreemption"}
"""What says nothing where it alone is left on: before v1 there was no other at these points."""
