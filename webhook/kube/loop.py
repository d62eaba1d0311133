"""The loop of a background task: a step, a wait, and going on after every failure."""

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from threading import Event
from typing import Final

from webhook.kube.backoff import Backoff
from webhook.kube.client import ApiError
from webhook.kube.lease import Lease

PAUSE_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)


def run_loop(  # noqa: PLR0913 — what differs between tasks
    step: Callable[[], float | None],
    stop: Event,
    *,
    name: str,
    interval: float = 1.0,
    pause: float = PAUSE_SECONDS,
    forbidden: float = PAUSE_SECONDS,
    wake: Event | None = None,
    failed: Callable[[Exception], None] | None = None,
    lease: Lease | None = None,
) -> None:
    """Call ``step`` at once and then again and again, until ``stop`` is set; meant to run in a thread.

    No failure ends the loop: whatever the task keeps up to date would become stale without a sign.
    An ApiError is followed by a growing wait, at least as long as the API server asks for, and after a
    missing permission (403) at least ``forbidden``. A fault of ours is logged with its traceback.

    Args:
        step: one round; returns the seconds until the next one, None: ``interval``.
        stop: ends the loop; every wait ends with it.
        name: the task, as the subject of log lines.
        interval: seconds between two steps, and after which ``stop`` is seen while waiting for ``wake``.
        pause: seconds after a fault of ours.
        forbidden: least seconds after a 403.
        wake: ends the wait after a step that succeeded; the step clears it.
        failed: gets each failure; by default an ApiError is logged as a warning.
        lease: released at the end.
    """
    backoff = Backoff()
    while not stop.is_set():
        try:
            seconds = step()
            backoff.reset()
        except ApiError as error:
            if failed is None:
                _log.warning("%s: %s", name, error)
            else:
                failed(error)
            least = forbidden if error.status == HTTPStatus.FORBIDDEN else 0.0
            stop.wait(max(least, backoff.wait(error.retry_after)))
        except Exception as error:  # noqa: BLE001 — see the docstring
            _log.exception("%s: internal error; it tries again in %g s", name, pause)
            if failed is not None:
                failed(error)
            stop.wait(pause)
        else:
            _wait(interval if seconds is None else seconds, stop, wake, interval)
    if lease is not None:
        try:
            lease.release()
        except ApiError as error:
            _log.info("%s: the Lease was not released: %s", name, error)


def _wait(seconds: float, stop: Event, wake: Event | None, interval: float) -> None:
    if wake is None:
        stop.wait(seconds)
        return
    until = time.monotonic() + seconds
    while not stop.is_set() and (left := until - time.monotonic()) > 0:
        if wake.wait(min(interval, left)):
            return
