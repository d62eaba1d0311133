"""Which pods go for what a node asks for: as few as cover it, in one order, within a budget."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from webhook.eviction.asking import Ask
from webhook.eviction.budget import Room
from webhook.eviction.candidates import Candidate, Use


class Victim(NamedTuple):
    """A pod that is to go, and for what."""

    pod: Candidate
    ask: Ask


class Selection(NamedTuple):
    """What was chosen.

    Attributes:
        victims: in their order.
        unmet: what is still to be released of an ask, and why no more pods go for it.
    """

    victims: tuple[Victim, ...]
    unmet: tuple[tuple[Ask, str], ...]


def select(
    asks: Sequence[Ask],
    pods: Sequence[Candidate],
    uses: Mapping[str, Use],
    pending: Sequence[Candidate],
    room: Room,
    *,
    mid: bool = False,
) -> Selection:
    """Choose pods of one node.

    Each ask counts what goes for the asks before it, and what is on its way already.

    Args:
        asks: of the node, in the order in which they are served.
        pods: that run or wait, of which none was asked to end.
        uses: what pods use, by uid, as far as it was measured.
        pending: pods that were asked to end, and still count.
        room: what is left of the budget; it is taken from.
        mid: whether pods of the class mid may go.
    """
    victims: list[Victim] = []
    unmet: list[tuple[Ask, str]] = []
    for ask in asks:
        going = [*pending, *(each.pod for each in victims)]
        left = ask.release - sum(pod.releases(ask, uses.get(pod.uid)) for pod in going)
        chosen = {each.pod.uid for each in victims}
        fitting = [
            pod
            for pod in pods
            if pod.uid not in chosen and pod.allows(ask, mid=mid) and pod.releases(ask, uses.get(pod.uid)) > 0
        ]
        why = "no pod is left that may go for it"
        for pod in sorted(fitting, key=lambda each: each.place(ask, uses.get(each.uid))):
            if left <= 0:
                break
            if whose := room.lacks(pod.node, pod.workload):
                why = f"the budget of the {whose} is spent for this minute"
                if whose == "workload":
                    continue
                break
            room.take(pod.node, pod.workload)
            victims.append(Victim(pod, ask))
            left -= pod.releases(ask, uses.get(pod.uid))
        if left > 0:
            unmet.append((ask, why))
    return Selection(tuple(victims), tuple(unmet))
