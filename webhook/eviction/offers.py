"""Which figures of a node say what it offers: those of late metrics only say what bound pods request."""

import json
from collections.abc import Mapping
from typing import Final

_APPLIED: Final = "applied"


def offers(published: Mapping[str, int], annotation: str, native: Mapping[str, int]) -> dict[str, int]:
    """Return what a node offers, by resource: nothing of what is held or was withdrawn.

    Args:
        published: colocation resources in its status.
        annotation: ``colocation-webhook.io/batch-capacity``, by which our controller says how it found them;
            "": another one did.
        native: CPU and memory in its status.
    """
    return {**native, **(published if not annotation or state_of(annotation) == _APPLIED else {})}


def state_of(annotation: str) -> object:
    """Return the state of its figures that our annotation of a node names; None where it names none."""
    try:
        value = json.loads(annotation)
    except (ValueError, RecursionError):
        return None
    return value.get("state") if isinstance(value, Mapping) else None
