"""Times in objects."""

import datetime as dt


def read_moment(raw: object) -> dt.datetime | None:
    """Return a ``metav1.Time`` or ``MicroTime``; None where that is none, or not in any time zone."""
    try:
        moment = dt.datetime.fromisoformat(str(raw))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
