"""Our own settings in a strategy: ``extensions."colocation-webhook.io"``, and what they may be.

Koordinator keeps what it does not know under ``extensions``, so one ConfigMap serves both.
"""

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from webhook.pods.quantities import QuantityError, non_negative, text_of
from webhook.pods.text import shown

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HUNDRED: Final = 100
_MINUTES_OF_A_DAY: Final = 24 * 60


class Policy(StrEnum):
    """How a node's figure is found."""

    KOORDINATOR = "koordinator"  # by cpuCalculatePolicy and memoryCalculatePolicy
    STATIC = "static"
    TIME_OF_DAY = "timeOfDay"
    WATERMARK = "watermark"
    PEAK = "peak"  # by what online pods are predicted to need at most


BY_THRESHOLD: Final = frozenset({Policy.KOORDINATOR, Policy.PEAK})
"""Policies whose margin is by cpuReclaimThresholdPercent and memoryReclaimThresholdPercent."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Percent of a node's capacity that batch work gets; 0 turns it off."""

    cpu_percent: int = 0
    memory_percent: int = 0


@dataclass(frozen=True, slots=True)
class Period:
    """A time of the day with shares of its own.

    Attributes:
        start: minutes after midnight, inside the period.
        end: minutes after midnight, outside of it; where it is not after ``start``, the next day's.
        days: on which it begins; Monday is 0.
        shares: what holds in it.
    """

    start: int
    end: int
    days: frozenset[int]
    shares: Shares

    def holds(self, at: dt.datetime) -> bool:
        """Return whether a local time is in the period."""
        minute = at.hour * 60 + at.minute
        today, yesterday = at.weekday(), (at.weekday() - 1) % 7
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """Shares by the time of day: those of the first period that holds, else the default."""

    zone: zoneinfo.ZoneInfo | dt.timezone = dt.UTC
    periods: tuple[Period, ...] = ()
    default: Shares = Shares()


@dataclass(frozen=True, slots=True)
class Watermark:
    """The seeds' dynamic watermark: percent of capacity, and bytes in nano units.

    Attributes:
        low_percent: what online and batch CPU may have together while online uses little.
        high_percent: the same while online uses much.
        band_percent: from which CPU use of the online pods on it is much.
        leave_percent: below which it is little again; the same, or less, so that it does not swing.
        memory_percent: the batch share of memory.
        ceiling_percent: what online memory, batch memory and ``reserved_memory`` may be together.
        reserved_memory: for storage daemons outside of Kubernetes (50Gi for HDFS and YARN in the seed).
    """

    low_percent: int = 70
    high_percent: int = 50
    band_percent: int = 20
    leave_percent: int = 20
    memory_percent: int = 45
    ceiling_percent: int = 90
    reserved_memory: int = 0


@dataclass(frozen=True, slots=True)
class Extension:
    """Our settings, read.

    Attributes:
        policy: how the figure is found.
        hold_seconds: for how long a greater figure must last before more is offered.
        step_percent: of capacity, by which an offer grows at most at once.
        stale_seconds: age of a metric from which on nothing new is offered; None: three report intervals.
        problems: what cannot be used; its default holds.
    """

    policy: Policy = Policy.KOORDINATOR
    hold_seconds: int = 120
    step_percent: int = 10
    stale_seconds: int | None = None
    static: Shares = Shares()
    time_of_day: TimeOfDay = TimeOfDay()
    watermark: Watermark = Watermark()
    problems: tuple[str, ...] = ()


def read_extension(raw: object, at: str) -> Extension:
    """Read our settings; what cannot be read is named in ``problems``."""
    reader = _Reader(at)
    if raw is None:
        return Extension()
    top = reader.map(
        raw, "", ["policy", "holdSeconds", "stepPercent", "staleSeconds", "static", "timeOfDay", "watermark"]
    )
    policy = top.get("policy", Policy.KOORDINATOR)
    if policy not in list(Policy):
        reader.problems.append(f"{at}.policy: {shown(policy)} is unknown: write one of {', '.join(Policy)}")
        policy = Policy.KOORDINATOR
    return Extension(
        Policy(policy),
        reader.number(top, "holdSeconds", 120, 86_400),
        reader.number(top, "stepPercent", 10, _HUNDRED, least=1),
        reader.number(top, "staleSeconds", None, 86_400, least=1),
        reader.shares(top.get("static"), ".static"),
        reader.time_of_day(top.get("timeOfDay")),
        reader.watermark(top.get("watermark")),
        tuple(reader.problems),
    )


class _Reader:
    """Collects what is wrong, and goes on."""

    def __init__(self, at: str) -> None:
        self._at = at
        self.problems: list[str] = []

    def map(self, raw: object, at: str, known: list[str]) -> Mapping[str, Any]:
        if not isinstance(raw, Mapping):
            self.problems.append(f"{self._at}{at}: {shown(raw)} is no JSON object")
            return {}
        for name in raw:
            if name not in known:
                self.problems.append(f"{self._at}{at}.{name}: is unknown: the fields are {', '.join(known)}")
        return raw

    def number(
        self,
        of: Mapping[str, Any],
        name: str,
        default: int | None,
        most: int,
        *,
        least: int = 0,
        at: str = "",
    ) -> Any:  # noqa: ANN401 — a number, or the default
        raw = of.get(name)
        if raw is None:
            return default
        if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
            self.problems.append(
                f"{self._at}{at}.{name}: {shown(raw)} is no whole number from {least} to {most}"
            )
            return default
        return raw

    def shares(self, raw: object, at: str, more: tuple[str, ...] = ()) -> Shares:
        if raw is None:
            return Shares()
        of = self.map(raw, at, ["cpuPercent", "memoryPercent", *more])
        return Shares(
            self.number(of, "cpuPercent", 0, _HUNDRED, at=at),
            self.number(of, "memoryPercent", 0, _HUNDRED, at=at),
        )

    def time_of_day(self, raw: object) -> TimeOfDay:
        if raw is None:
            return TimeOfDay()
        of = self.map(raw, ".timeOfDay", ["timeZone", "periods", "default"])
        listed = of.get("periods") or ()
        if not isinstance(listed, list | tuple):
            self.problems.append(f"{self._at}.timeOfDay.periods: {shown(listed)} is no list")
            listed = ()
        periods = [self._period(each, f".timeOfDay.periods[{i}]") for i, each in enumerate(listed)]
        return TimeOfDay(
            self._zone(of.get("timeZone") or "UTC"),
            tuple(filter(None, periods)),
            self.shares(of.get("default"), ".timeOfDay.default"),
        )

    def watermark(self, raw: object) -> Watermark:
        if raw is None:
            return Watermark()
        at, fields = ".watermark", {"low": 70, "high": 50, "band": 20, "memory": 45, "ceiling": 90}
        of = self.map(raw, at, [*(f"{name}Percent" for name in fields), "leavePercent", "reservedMemory"])
        percent = {
            name: self.number(of, f"{name}Percent", default, _HUNDRED, at=at)
            for name, default in fields.items()
        }
        leave = self.number(of, "leavePercent", percent["band"], percent["band"], at=at)
        reserved = 0
        try:
            reserved = non_negative(text_of(of.get("reservedMemory", "0")))
        except QuantityError as error:
            self.problems.append(f"{self._at}{at}.reservedMemory: {error}")
        return Watermark(
            percent["low"],
            percent["high"],
            percent["band"],
            leave,
            percent["memory"],
            percent["ceiling"],
            reserved,
        )

    def _zone(self, name: object) -> zoneinfo.ZoneInfo | dt.timezone:
        if name == "UTC":
            return dt.UTC
        try:
            return zoneinfo.ZoneInfo(str(name))
        except (KeyError, ValueError, OSError):  # KeyError: there is no such zone
            self.problems.append(
                f"{self._at}.timeOfDay.timeZone: {shown(name)} is no time zone such as Asia/Shanghai"
            )
            return dt.UTC

    def _period(self, raw: object, at: str) -> Period | None:
        of = self.map(raw, at, ["start", "end", "days", "cpuPercent", "memoryPercent", "off"])
        start, end = (self._minute(of.get(name), f"{at}.{name}") for name in ("start", "end"))
        named = of.get("days") or list(DAYS)
        unknown = [day for day in named if day not in DAYS] if isinstance(named, list) else [named]
        if unknown:
            self.problems.append(f"{self._at}{at}.days: {shown(unknown[0])} is none of {', '.join(DAYS)}")
        if start is None or end is None or unknown:
            return None
        off = of.get("off") is True
        shares = Shares() if off else self.shares(raw, at, ("start", "end", "days", "off"))
        return Period(start, end, frozenset(map(DAYS.index, named)), shares)

    def _minute(self, raw: object, at: str) -> int | None:
        """Return minutes after midnight of ``HH:MM``; 24:00 is the end of the day."""
        hour, colon, minute = str(raw).partition(":")
        digits = len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit()  # noqa: PLR2004
        if digits and colon and int(minute) < 60 and int(hour) * 60 + int(minute) <= _MINUTES_OF_A_DAY:  # noqa: PLR2004
            return int(hour) * 60 + int(minute)
        self.problems.append(f"{self._at}{at}: {shown(raw)} is no time of the form 22:30")
        return None
