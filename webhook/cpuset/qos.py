"""Koordinator's QoS classes, and which of them get CPUs of their own."""

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
