"""What pods and system will use at most, by what they used before, and what that leaves of requests; pure.

Source: koordlet's prediction (peak predictors), with a difference on purpose: a pod that was watched for less
than a day counts with its request, also where it is older itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NamedTuple

from webhook.agent.measuring.histogram import CPU_BUCKETS, MEMORY_BUCKETS, Histogram
from webhook.agent.measuring.usage import Use
from webhook.protocol import PROD

COLD_SECONDS: Final = 24 * 3600.0
"""Who was watched for less says nothing of a peak."""

FORGET_SECONDS: Final = 1800.0
"""After so long without a sample, the history of a pod goes."""

TRAIN_SECONDS: Final = 60.0
_CPU_HALF_LIFE: Final = 12 * 3600.0
_MEMORY_HALF_LIFE: Final = 24 * 3600.0
_CPU_PERCENT: Final = 95
_MEMORY_PERCENT: Final = 98
_MARGIN: Final = 1.10
SYSTEM: Final = "system"


class Subject(NamedTuple):
    """A pod that has a request.

    Attributes:
        uid: by which its history is known.
        priority_class: never empty.
        request: cores and bytes.
        ending: whether it is being deleted, or has ended.
    """

    uid: str
    priority_class: str
    request: Use
    ending: bool


class Prediction(NamedTuple):
    """What is foreseen of prod pods.

    Attributes:
        reclaimable: of their requests, what they will not use.
        peak: what they and the system will use at most; of pods without history, their request.
    """

    reclaimable: Use
    peak: Use


class _Model:
    """The histories of one subject."""

    __slots__ = ("cpu", "memory", "seen", "watched")

    def __init__(self) -> None:
        self.cpu = Histogram(CPU_BUCKETS, _CPU_HALF_LIFE)
        self.memory = Histogram(MEMORY_BUCKETS, _MEMORY_HALF_LIFE)
        self.seen = 0.0
        self.watched = 0.0  # seconds; of a gap, or a clock that jumps, no more than two looks are apart

    def add(self, use: Use, now: float) -> None:
        self.cpu.add(use.cpu, now)
        self.memory.add(use.memory, now)
        if self.seen:
            self.watched += min(max(0.0, now - self.seen), 2 * TRAIN_SECONDS)
        self.seen = now

    def peak(self) -> Use:
        return Use(
            self.cpu.percentile(_CPU_PERCENT) * _MARGIN, self.memory.percentile(_MEMORY_PERCENT) * _MARGIN
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "seen": self.seen,
            "watched": self.watched,
            "cpu": self.cpu.to_json(),
            "memory": self.memory.to_json(),
        }

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> "_Model":
        model = cls()
        model.cpu.restore(kept["cpu"])
        model.memory.restore(kept["memory"])
        model.seen, model.watched = float(kept["seen"]), float(kept["watched"])
        if not all(isfinite(each) and each >= 0 for each in (model.seen, model.watched)):
            raise ValueError("a history has times that no clock shows")
        return model


@dataclass(eq=False)
class Peaks:
    """The histories of a node's pods, of its prod pods together, and of its system."""

    _pods: dict[str, _Model] = field(default_factory=dict, init=False)
    _groups: dict[str, _Model] = field(default_factory=dict, init=False)

    def train(self, now: float, pods: Iterable[tuple[Subject, Use]], system: Use) -> None:
        """Take what is used now.

        Args:
            now: seconds since the epoch.
            pods: those that were measured.
            system: what is no pod's.
        """
        prod = Use(0.0, 0.0)
        for subject, use in pods:
            self._pods.setdefault(subject.uid, _Model()).add(use, now)
            if subject.priority_class == PROD:
                prod = _plus(prod, use)
        self._groups.setdefault(PROD, _Model()).add(prod, now)
        self._groups.setdefault(SYSTEM, _Model()).add(system, now)
        # The newest look decides: a clock that was set back makes nothing old.
        for uid in [uid for uid, model in self._pods.items() if now - model.seen > FORGET_SECONDS]:
            del self._pods[uid]

    def predict(self, pods: Iterable[Subject], allocatable: Use) -> Prediction | None:
        """Return what is foreseen of prod pods; None before the first training.

        Args:
            pods: all of the node.
            allocatable: the node's cores and bytes, which no amount exceeds.
        """
        if PROD not in self._groups:
            return None
        nothing = Use(0.0, 0.0)
        left, peaks, requests, cold = nothing, nothing, nothing, nothing
        for subject in pods:
            if subject.priority_class != PROD or subject.ending:
                continue
            requests = _plus(requests, subject.request)
            model = self._pods.get(subject.uid)
            if model is None or model.watched < COLD_SECONDS:
                cold = _plus(cold, subject.request)
                continue
            peak = model.peak()
            peaks = _plus(peaks, peak)
            left = _plus(left, _minus(subject.request, peak))
        together = _plus(self._groups[PROD].peak(), self._groups[SYSTEM].peak())
        by_pods = _least(left, _minus(allocatable, peaks))
        by_groups = _least(_minus(requests, together), _minus(allocatable, together))
        return Prediction(_least(by_pods, by_groups), _plus(together, cold))

    def to_json(self) -> dict[str, Any]:
        """Return what a file keeps."""
        return {
            name: {key: model.to_json() for key, model in models.items()}
            for name, models in (("pods", self._pods), ("groups", self._groups))
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take back what ``to_json`` returned; for anything else raises ValueError and changes nothing."""
        try:
            found = {
                name: {str(key): _Model.restored(of) for key, of in kept[name].items()}
                for name in ("pods", "groups")
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a history lacks {error}") from None
        self._pods, self._groups = found["pods"], found["groups"]


def _plus(a: Use, b: Use) -> Use:
    return Use(a.cpu + b.cpu, a.memory + b.memory)


def _minus(a: Use, b: Use) -> Use:
    return Use(max(0.0, a.cpu - b.cpu), max(0.0, a.memory - b.memory))


def _least(a: Use, b: Use) -> Use:
    return Use(min(a.cpu, b.cpu), min(a.memory, b.memory))
