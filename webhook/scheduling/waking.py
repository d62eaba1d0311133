"""Pods that no node would take, and that one would take by now.

A stock scheduler tries a pod again at events of pods and nodes. It hears of no NodeMetric and of no topology:
on a quiet cluster the pod waits five minutes although a node has cooled down. A change of an annotation of
the pod wakes that pod alone. The replica that was asked writes one, and no other: a scheduler keeps one
connection.
Source: tried with kube-scheduler; see docs/scheduling.md.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

SETTLED_SECONDS: Final = 15.0
"""After so long a scheduler that something else has woken has asked again: its backoff is 10 s."""

AGAIN_SECONDS: Final = 60.0
"""A pod is woken once in so long at most."""

FORGOTTEN_SECONDS: Final = 660.0
"""A scheduler tries a pod every five minutes at least: one that it does not ask about is gone."""

_MOST_PODS: Final = 500
_Visit = TypeVar("_Visit")


class PodName(NamedTuple):
    """A pod."""

    uid: str
    namespace: str
    name: str


@dataclass(slots=True)
class _Refused(Generic[_Visit]):
    """What was asked for a pod, when it is looked at again, and until when."""

    visit: _Visit
    nodes: tuple[str, ...]
    due: float
    until: float


@dataclass(eq=False)
class Waking(Generic[_Visit]):
    """The pods that were refused everywhere; used by one thread at a time.

    Made of what says whether a pod may go to one of some nodes by now, and of a clock of seconds.
    """

    _fits: Callable[[_Visit, list[str]], bool]
    _clock: Callable[[], float]
    _pods: dict[PodName, _Refused[_Visit]] = field(default_factory=dict, init=False)
    _woken: dict[PodName, float] = field(default_factory=dict, init=False)
    _nodes: tuple[str, ...] = field(default=(), init=False)

    def refused(self, pod: PodName, visit: _Visit, nodes: Iterable[str]) -> None:
        """Remember a pod that may go to none of these nodes."""
        asked = tuple(map(sys.intern, nodes))
        # A scheduler asks for many pods about the same nodes.
        self._nodes = self._nodes if asked == self._nodes else asked
        now = self._clock()
        due = max(now + SETTLED_SECONDS, self._woken.get(pod, float("-inf")) + AGAIN_SECONDS)
        self._pods.pop(pod, None)
        self._pods[pod] = _Refused(visit, self._nodes, due, now + FORGOTTEN_SECONDS)
        if len(self._pods) > _MOST_PODS:
            del self._pods[next(iter(self._pods))]

    def placed(self, pod: PodName) -> None:
        """Forget a pod that may go somewhere."""
        self._pods.pop(pod, None)

    def look(self, most: int) -> PodName | None:
        """Look at so many pods that are due, and return the first one that is to be woken.

        A pod that was woken is forgotten until it is refused again: if nobody asks, waking is in vain.
        """
        now = self._clock()
        self._woken = {pod: at for pod, at in self._woken.items() if now < at + AGAIN_SECONDS}
        for pod in list(islice((pod for pod, refused in self._pods.items() if refused.due <= now), most)):
            refused = self._pods.pop(pod)
            if self._fits(refused.visit, list(refused.nodes)):
                self._woken[pod] = now
                return pod
            refused.due = now + SETTLED_SECONDS
            if refused.due < refused.until:
                self._pods[pod] = refused
        return None
