"""The time of day, and how Kubernetes writes it."""

import datetime as dt
from functools import lru_cache


def utc_now() -> dt.datetime:
    """Return the time of day by this machine's clock."""
    return dt.datetime.now(dt.UTC)


@lru_cache(16_384)  # a list of many objects has many equal ones
def timestamp(moment: dt.datetime) -> str:
    """Return a moment as ``metav1.Time``: UTC, to the second."""
    utc = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='seconds')}Z"
