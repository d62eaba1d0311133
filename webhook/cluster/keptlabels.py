"""What replicas report to each other in a profile's status, of owners whose pods it relabels: pure.

``status.relabelledOwners`` lists owners for which one replica saw many creations, and those for which the
profile changes no label that their pods have, until a moment. The condition ``LabelsKept`` shows people
the latter. What was written about another generation of the profile counts no more.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from webhook.admission.mutating.relabelling import Owner
from webhook.kube.conditions import Condition, read_conditions, with_conditions
from webhook.kube.timestamps import timestamp

LABELS_KEPT: Final = "LabelsKept"
MAX_ENTRIES: Final = 64
"""Owners in one status; of more, the newest stay, first those for which labels are kept."""

REPORT_SECONDS: Final = 60.0
"""For so long a report of many creations counts."""

_FIELD: Final = "relabelledOwners"
_SHOWN: Final = 5


class Entry(NamedTuple):
    """What one replica says about an owner.

    Attributes:
        replica: who says it.
        seen_at: when.
        kept_until: until when labels are kept; None: it saw many creations, but too few for that.
        generation: of the profile that relabelled the pods.
    """

    owner: Owner
    replica: str
    seen_at: dt.datetime
    kept_until: dt.datetime | None
    generation: int

    @property
    def key(self) -> tuple[str, str]:
        """Return namespace and uid of the owner."""
        return self.owner.namespace, self.owner.uid


def has_entries(status: Mapping[str, Any]) -> bool:
    """Whether a status says anything about owners, be it over by now."""
    return bool(status.get(_FIELD)) or any(
        condition.get("type") == LABELS_KEPT for condition in read_conditions(status)
    )


def read_entries(status: Mapping[str, Any], generation: int) -> list[Entry]:
    """Return the entries about a generation of the profile; what cannot be read is left out."""
    listed = status.get(_FIELD)
    read = (_entry(raw) for raw in (listed if isinstance(listed, list) else ())[: 2 * MAX_ENTRIES])
    return [entry for entry in read if entry is not None and entry.generation == generation]


def status_with_entries(
    old: Mapping[str, Any], entries: Iterable[Entry], generation: int, now: dt.datetime
) -> dict[str, Any] | None:
    """Return the status with these entries and the condition that follows; None where it is so already.

    Args:
        old: the status as it is; an entry in it stays while it is in force and no new one is about its owner.
        entries: new ones.
        generation: of the profile, as it is now.
        now: the time of day.
    """
    # A report of one replica and a report of another both count; what is decided replaces both.
    found = {(entry.key, entry.replica): entry for entry in read_entries(old, generation)}
    found |= {(entry.key, entry.replica): entry for entry in entries}
    decided = {entry.key: entry for entry in found.values() if entry.kept_until and entry.kept_until > now}
    since = now - dt.timedelta(seconds=REPORT_SECONDS)
    reports = [
        e for e in found.values() if e.kept_until is None and e.key not in decided and e.seen_at >= since
    ]
    newest = sorted(decided.values(), key=_newest) + sorted(reports, key=_newest)
    kept = sorted(decided.values(), key=lambda entry: entry.owner)
    others = [each for each in read_conditions(old) if each.get("type") != LABELS_KEPT]
    conditions = read_conditions(old) if kept else others
    if kept:
        conditions = with_conditions(conditions, [_condition(kept)], now, observedGeneration=generation)
    wanted = {**old, "conditions": conditions, _FIELD: [_written(each) for each in newest[:MAX_ENTRIES]]}
    before = {"conditions": [], _FIELD: [], **old}
    return wanted if wanted != before else None


def _newest(entry: Entry) -> float:
    return -entry.seen_at.timestamp()


def _condition(kept: list[Entry]) -> Condition:
    owners = [
        f"{e.owner.kind} {e.owner.namespace}/{e.owner.name} until {timestamp(e.kept_until)}"
        for e in kept[:_SHOWN]
        if e.kept_until is not None
    ]
    if len(kept) > _SHOWN:
        owners.append(f"and {len(kept) - _SHOWN} more")
    message = (
        "labels that pods have are left as they are, because pods were created without end after the profile "
        f"had changed them: {', '.join(owners)}; take the labels by which these owners select out of the "
        "profile, or exclude their pods by its selector"
    )
    return Condition(LABELS_KEPT, "True", "PodsWithoutEnd", message)


def _written(entry: Entry) -> dict[str, Any]:
    owner = entry.owner
    kept = {} if entry.kept_until is None else {"keptUntil": timestamp(entry.kept_until)}
    return {
        "namespace": owner.namespace,
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "replica": entry.replica,
        "seenAt": timestamp(entry.seen_at),
        **kept,
        "observedGeneration": entry.generation,
    }


def _entry(raw: Any) -> Entry | None:  # noqa: ANN401 — any JSON value
    try:
        owner = Owner(*(_text(raw, key) for key in ("namespace", "apiVersion", "kind", "name", "uid")))
        until = _moment(_text(raw, "keptUntil")) if "keptUntil" in raw else None
        seen_at = _moment(_text(raw, "seenAt"))
        return Entry(owner, _text(raw, "replica"), seen_at, until, int(raw["observedGeneration"]))
    except (TypeError, ValueError, KeyError):
        return None


def _text(raw: Any, key: str) -> str:  # noqa: ANN401 — any JSON value
    value = raw[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
