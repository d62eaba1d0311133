"""Durations as Go writes them, ``1h30m0s``, the form of ``metav1.Duration``."""

import re
from typing import Final

_FORM: Final = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_MOST: Final = 1e9


def parse_duration(text: object) -> float | None:
    """Return a duration in seconds, its sign left out, 30 years at most; None for what is none."""
    if not isinstance(text, str) or not _FORM.fullmatch(text):
        return None
    return min(_MOST, sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))


def format_duration(seconds: float) -> str:
    """Return a duration to the second, as Go does: ``5m0s``."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{whole % 60}s"
