"""The clock of a command: the machine's, unless the caller of `main` passes another."""

import dataclasses
import datetime as dt
from collections.abc import Callable

import click

from webhook.kube.timestamps import utc_now


@dataclasses.dataclass(frozen=True, slots=True)
class Clock:
    """``main(obj=Clock(now))`` runs a command with another clock; no flag or variable can."""

    now: Callable[[], dt.datetime] = utc_now


pass_clock = click.make_pass_decorator(Clock, ensure=True)
"""Pass the clock as the first argument of a command."""
