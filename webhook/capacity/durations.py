"""Durations as Go writes them: ``5m0s``, ``1h30m``."""

import datetime as dt
import re
from typing import Final

_DURATION: Final = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
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
_LONGEST: Final = 1e9  # seconds


def parse_duration(raw: object) -> dt.timedelta | None:
    """Return a duration without its sign, at most thirty years; None for what is none."""
    if not isinstance(raw, str) or not _DURATION.fullmatch(raw):
        return None
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(raw))
    return dt.timedelta(seconds=min(seconds, _LONGEST))
