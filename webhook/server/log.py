"""Structured logs on stderr: one line a decision, JSON for machines or text for people.

Decisions go past the ``logging`` package, whose records cost more than a decision's own
bookkeeping; everything rare (start, stop, reloads, faults) goes through it and comes out in the
same shape.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import orjson
from gunicorn import glogging

if TYPE_CHECKING:
    from webhook.admission import Decision, Review, ReviewError

Format = Literal["json", "text"]
LEVELS = ("debug", "info", "warning", "error")
_STDERR = 2


class DecisionLog:
    """Writes one line for each decision and each refused request, where the level asks for it."""

    __slots__ = ("_decisions", "_refusals", "_render")

    def __init__(self, level: str, form: Format) -> None:
        self._decisions = LEVELS.index(level) <= LEVELS.index("info")
        self._refusals = LEVELS.index(level) <= LEVELS.index("warning")
        self._render = _json if form == "json" else _text

    def decided(self, webhook: str, review: Review, decision: Decision, seconds: float) -> None:
        """Write the decision's line; ``seconds`` is what it took."""
        if not self._decisions:
            return
        fields = {
            "time": _now(),
            "level": "info",
            "event": "review",
            "webhook": webhook,
            "operation": review.operation,
            "namespace": review.namespace,
            "name": review.name,
            **decision.log_fields(),
            "microseconds": int(seconds * 1e6),
        }
        _write(self._render(fields))

    def refused(self, webhook: str, error: ReviewError) -> None:
        """Write the line of a request that never became a decision."""
        if self._refusals:
            fields = {
                "time": _now(),
                "level": "warning",
                "event": "refused",
                "webhook": webhook,
                "uid": error.uid,
                "code": error.status,
                "message": error.message,
            }
            _write(self._render(fields))


class _Formatter(logging.Formatter):
    """A record of the ``logging`` package in the shape of the other lines."""

    def __init__(self, form: Format) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC),
            "level": record.levelname.lower(),
            "event": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        render = _json if self._form == "json" else _text
        return render(fields).decode(errors="replace").rstrip("\n")


class GunicornLogger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own messages through the root logger, so that there is one format and one level."""

    def setup(self, cfg: object) -> None:
        """Leave the handlers out and pass records on."""
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True


def configure(level: str, form: Format) -> None:
    """Send every ``logging`` record of ``level`` and above to stderr, one line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _json(fields: Mapping[str, object]) -> bytes:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
    try:
        return orjson.dumps(fields, default=str, option=options)
    except (
        TypeError,
        ValueError,
    ):  # A lone surrogate from somebody's name must not cost a decision its line.
        return orjson.dumps({name: ascii(value) for name, value in fields.items()}, option=options)


def _text(fields: Mapping[str, object]) -> bytes:
    rest = {name: value for name, value in fields.items() if value and name not in _SHOWN_OTHERWISE}
    pairs = " ".join(f"{name}={_plain(value)}" for name, value in rest.items())
    time, traceback = fields["time"], fields.get("traceback")
    stamp = time.strftime("%H:%M:%S") if isinstance(time, dt.datetime) else time
    line = f"{stamp} {fields['level']:7} {fields['event']} {pairs}\n"
    return (f"{line}{traceback}\n" if traceback else line).encode(errors="replace")


_SHOWN_OTHERWISE = frozenset({"time", "level", "event", "traceback"})


def _plain(value: object) -> str:
    """One line without control characters: names in a review may hold anything."""
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def _write(line: bytes) -> None:
    with contextlib.suppress(OSError):  # Nobody reads stderr any more: no reason to stop answering.
        os.write(_STDERR, line)
