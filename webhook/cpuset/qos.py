"""Koordinator's QoS classes, and which of them may share a CPU."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from webhook.protocol import QoSClass


class QoS(StrEnum):
    """A pod's class; ``NONE`` is a pod without one, which runs like LS."""

    LSE = QoSClass.LSE.value
    LSR = QoSClass.LSR.value
    LS = QoSClass.LS.value
    BE = QoSClass.BE.value
    SYSTEM = QoSClass.SYSTEM.value
    NONE = ""


BOUND: Final = frozenset({QoS.LSE, QoS.LSR})
POOLED: Final = frozenset({QoS.LS, QoS.NONE})

_SHARING: Final = frozenset(
    {
        frozenset({QoS.LSR, QoS.BE}),
        frozenset({QoS.LS}),
        frozenset({QoS.BE}),
        frozenset({QoS.LS, QoS.BE}),
        frozenset({QoS.NONE}),
        frozenset({QoS.NONE, QoS.LS}),
        frozenset({QoS.NONE, QoS.BE}),
    }
)


def may_share(one: QoS, other: QoS) -> bool:
    """Whether pods of two classes may run on one logical CPU.

    LSE shares with no other pod, LSR with BE only; LS, BE and pods without a class share
    with one another. SYSTEM pods have their own CPUs if a set is configured.
    """
    return frozenset({one, other}) in _SHARING
