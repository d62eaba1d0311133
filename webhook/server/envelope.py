"""What HTTP must look like before a review is looked at: size, content type, time.

The rules are those of a Kubernetes API endpoint. Every refusal names what came, what is accepted
and what to change.
"""

import functools
import re
import urllib.parse

from webhook.admission.review import ReviewError
from webhook.server.http.bodies import MAX_BODY

DEFAULT_BUDGET = 10.0
"""Seconds for a request without ``?timeout=``: what the API server takes when a webhook does not say."""

MAX_BUDGET = 30.0
"""Seconds: the longest ``timeoutSeconds`` a webhook configuration may have."""

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_LENGTH = 64
_DURATION = re.compile(r"\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def check_content_type(value: str) -> None:
    """Raise a 415 unless ``value`` is ``application/json``, with whatever parameters."""
    if value != "application/json" and value.partition(";")[0].strip().lower() != "application/json":
        message = f"Content-Type is {value[:100]!r}; a review is sent as application/json"
        raise ReviewError(message, status=415)


def check_length(length: int) -> None:
    """Raise a 413 when a body of ``length`` bytes is too large."""
    if length > MAX_BODY:
        message = f"the body has {length} bytes or more; a review may have {MAX_BODY} ({MAX_BODY >> 20} MiB)"
        raise ReviewError(message, status=413)


def too_slow(seconds: float) -> ReviewError:
    """The 408 for a body that did not arrive in time. The delay is the sender's, so this is not a 5xx."""
    return ReviewError(
        f"the body did not arrive within {seconds:g} s; send it faster or raise ?timeout= (at most 30s)",
        status=408,
    )


@functools.lru_cache(maxsize=64)
def budget(query: str) -> float:
    """Return the seconds a request may take: the ``timeout`` of its query (``10s``), at most 30.

    Absent, empty or zero means 10 s, as in the API server. Raises a 400 for anything that is no
    duration: a webhook that guesses a budget hides a mistake in its caller.
    """
    values = urllib.parse.parse_qs(query, keep_blank_values=True, max_num_fields=None).get("timeout")
    if not values or values[0] in {"", "0"}:
        return DEFAULT_BUDGET
    text = values[0]
    if len(text) > _DURATION_LENGTH or not _DURATION.fullmatch(text):
        raise ReviewError(f"?timeout={text[:64]} is not a duration; write for example ?timeout=10s")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    return min(seconds, MAX_BUDGET) if seconds > 0 else DEFAULT_BUDGET
