"""Conditions of an object's status (``metav1.Condition``): pure."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from webhook.kube.timestamps import timestamp


class Condition(NamedTuple):
    """A condition without its time.

    Attributes:
        status: ``True``, ``False`` or ``Unknown``.
        reason: one word in CamelCase, for machines.
        message: for people.
    """

    type: str
    status: str
    reason: str
    message: str


def read_conditions(status: object) -> list[Mapping[str, Any]]:
    """Return the conditions in a status; whatever is not an object is left out."""
    listed = status.get("conditions") if isinstance(status, Mapping) else None
    return [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []


def with_conditions(
    present: Iterable[Mapping[str, Any]], wanted: Iterable[Condition], now: dt.datetime, **more: object
) -> list[Mapping[str, Any]]:
    """Return the conditions that a status should have: the wanted ones, then those of other types.

    Args:
        present: the conditions as they are.
        wanted: conditions to set.
        now: becomes ``lastTransitionTime`` where a condition's status changes.
        more: further fields of each wanted condition, for example ``observedGeneration``.
    """
    by_type = {each.get("type"): each for each in present}
    written: list[Mapping[str, Any]] = []
    for condition in wanted:
        before = by_type.pop(condition.type, {})
        same = before.get("status") == condition.status and before.get("lastTransitionTime")
        since = before["lastTransitionTime"] if same else timestamp(now)
        written.append({**condition._asdict(), **more, "lastTransitionTime": since})
    return [*written, *by_type.values()]
