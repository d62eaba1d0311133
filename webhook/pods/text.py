"""Values as messages quote them."""


def shown(value: object) -> str:
    """Return a value as messages quote it: on one line, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004 — a line of a terminal
