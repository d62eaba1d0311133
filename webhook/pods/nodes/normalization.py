"""CPU normalization: how much faster the CPUs of a node are than those in which CPU is counted."""

import math
from collections.abc import Mapping
from typing import Final

from webhook.pods.quantities import NANO
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_CPU_NORMALIZATION_RATIO

_GREATEST: Final = 5.0  # Koordinator's own bound


def normalization_ratio(noted: Mapping[str, str], findings: list[str]) -> int:
    """Return the ratio that a node's annotations name, in billionths; one not above 1 changes nothing.

    Args:
        noted: the annotations.
        findings: take one that cannot be read; it is ignored.
    """
    if not (text := noted.get(ANNOTATION_CPU_NORMALIZATION_RATIO)):
        return NANO
    try:
        ratio = float(text)
    except (TypeError, ValueError):
        ratio = math.nan
    if not 0 <= ratio <= _GREATEST:
        findings.append(
            f"annotation {ANNOTATION_CPU_NORMALIZATION_RATIO}: {shown(text)} is no ratio from 1 to "
            f"{_GREATEST:g}; it is ignored"
        )
        return NANO
    return max(NANO, round(ratio * NANO))
