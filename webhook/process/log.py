"""Structured logs on stderr: one line an event, JSON for machines or text for people."""

import contextlib
import datetime as dt
import logging
import os
import select
import sys
from collections.abc import Callable, Mapping
from typing import Literal

import orjson

Format = Literal["json", "text"]
LEVELS = ("debug", "info", "warning", "error")
_STDERR = 2
_PLACED_FIRST_OR_LAST = frozenset({"time", "level", "event", "traceback"})


def chosen(form: Literal["auto", "json", "text"]) -> Format:
    """Return the format of the log; ``auto`` is text where somebody reads stderr on a terminal, else JSON."""
    return form if form != "auto" else "text" if sys.stderr.isatty() else "json"


def configure(level: str, form: Format) -> None:
    """Send every ``logging`` record of ``level`` and above to stderr, one line each."""
    handler = _Handler()
    handler.setFormatter(_Formatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def renderer(form: Format) -> Callable[[Mapping[str, object]], bytes]:
    """Return what turns an event's fields (``time``, ``level``, ``event`` and others) into a line."""
    return _json if form == "json" else _text


def write(line: bytes) -> None:
    """Write a line, past the ``logging`` package, whose records cost more than a decision's bookkeeping.

    It is dropped where it cannot be written at once: a disk is full, or nobody reads the pipe. Neither is a
    reason to stop answering.
    """
    with contextlib.suppress(OSError):
        for start in range(0, len(line), select.PIPE_BUF):
            if not select.select((), (_STDERR,), (), 0)[1]:
                return
            os.write(_STDERR, line[start : start + select.PIPE_BUF])


class _Handler(logging.Handler):
    """Writes the records of the ``logging`` package as the other lines are written."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 — as logging's own handlers: a wrong record stops nobody
            line = f"a record of {record.name} cannot be formatted"
        write(line.encode(errors="replace") + b"\n")


class _Formatter(logging.Formatter):
    """A record of the ``logging`` package in the shape of the other lines."""

    def __init__(self, form: Format) -> None:
        super().__init__()
        self._render = renderer(form)

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC),
            "level": record.levelname.lower(),
            "event": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return self._render(fields).decode(errors="replace").rstrip("\n")


def _json(fields: Mapping[str, object]) -> bytes:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
    try:
        return orjson.dumps(fields, default=str, option=options)
    except (TypeError, ValueError):
        # A lone surrogate from somebody's name must not cost a decision its line.
        return orjson.dumps({name: ascii(value) for name, value in fields.items()}, option=options)


def _text(fields: Mapping[str, object]) -> bytes:
    rest = {name: value for name, value in fields.items() if value and name not in _PLACED_FIRST_OR_LAST}
    pairs = " ".join(f"{name}={_plain(value)}" for name, value in rest.items())
    time, traceback = fields["time"], fields.get("traceback")
    stamp = time.strftime("%H:%M:%S") if isinstance(time, dt.datetime) else time
    line = f"{stamp} {fields['level']:7} {fields['event']} {pairs}\n"
    return (f"{line}{traceback}\n" if traceback else line).encode(errors="replace")


def _plain(value: object) -> str:
    """One line without control characters: names in a review may hold anything."""
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if text.isprintable() and " " not in text else repr(text)
