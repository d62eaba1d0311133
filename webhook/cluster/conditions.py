"""What the status of each profile should say: pure, from a view to conditions.

``Ready``: the profile is applied, and pods that match are not denied because of it.
``Conflicting``: another profile could meet it on one pod and wants something else.
"""

import datetime as dt
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from webhook.admission import View
from webhook.admission.profiles.findings import Severity, own_findings, reference_findings
from webhook.admission.profiles.overlap import Overlap, overlaps
from webhook.admission.profiles.profile import Profile
from webhook.protocol import Action

READY: Final = "Ready"
CONFLICTING: Final = "Conflicting"
MAX_PAIRS: Final = 20_000
"""Where looking for pairs ends: a thousand profiles that all disagree make half a million."""

_SHOWN: Final = 3
_MAX_MESSAGE: Final = 1000


class Condition(NamedTuple):
    """A condition without its times."""

    type: str
    status: str
    reason: str
    message: str


def judge(
    view: View, rules: Mapping[str, Action], max_pairs: int = MAX_PAIRS
) -> dict[str, tuple[Condition, ...]]:
    """Return the conditions of each profile by name.

    Args:
        view: the cluster.
        rules: actions of validation rules that differ from the defaults.
        max_pairs: how many disagreeing pairs to find before the rest is left Unknown.
    """
    found = list(islice(overlaps(view.profiles.values()), max_pairs + 1))
    # Pairs come by the name of the first: what lies before the last one's has been looked at.
    unfinished = found[-1].first if len(found) > max_pairs else None
    met: dict[str, list[tuple[str, Overlap]]] = {}
    for overlap in found[:max_pairs]:
        met.setdefault(overlap.first, []).append((overlap.second, overlap))
        met.setdefault(overlap.second, []).append((overlap.first, overlap))
    return {
        name: (
            _ready(profile, view, rules),
            _conflicting(name, met.get(name, []), finished=unfinished is None or name < unfinished),
        )
        for name, profile in view.profiles.items()
    }


def status_with(
    old: Mapping[str, Any], conditions: tuple[Condition, ...], generation: int, now: dt.datetime
) -> dict[str, Any] | None:
    """Return the status that a profile should have; None where it has it already.

    Args:
        old: the status as it is; conditions of other types in it stay.
        conditions: what it should say.
        generation: of the object that was judged.
        now: for conditions whose status changes.
    """
    present = old.get("conditions")
    present = [c for c in present if isinstance(c, Mapping)] if isinstance(present, list) else []
    by_type = {each.get("type"): each for each in present}
    written = []
    for condition in conditions:
        before = by_type.pop(condition.type, {})
        same = before.get("status") == condition.status and before.get("lastTransitionTime")
        since = before["lastTransitionTime"] if same else now.strftime("%Y-%m-%dT%H:%M:%SZ")
        written.append({**condition._asdict(), "observedGeneration": generation, "lastTransitionTime": since})
    wanted = {**old, "observedGeneration": generation, "conditions": [*written, *by_type.values()]}
    return None if wanted == old else wanted


def _ready(profile: Profile, view: View, rules: Mapping[str, Action]) -> Condition:
    if profile.problems:
        return Condition(READY, "False", "Invalid", _joined("never applied", profile.problems))
    own = list(own_findings(profile, view, rules))
    missing = [finding.message for finding in reference_findings(profile, view)]
    if missing:
        return Condition(READY, "False", "PriorityClassMissing", _joined("", missing))
    denied = [finding.message for finding in own if finding.severity == Severity.ERROR]
    if denied:
        return Condition(READY, "False", "PodsDenied", _joined("", denied))
    if own:
        return Condition(READY, "True", "Warnings", _joined("applied, but", [f.message for f in own]))
    return Condition(READY, "True", "Applied", "applied to every pod that matches")


def _conflicting(name: str, met: list[tuple[str, Overlap]], *, finished: bool) -> Condition:
    if not met:
        if not finished:
            message = f"more than {MAX_PAIRS} pairs of profiles disagree: not all were looked at"
            return Condition(CONFLICTING, "Unknown", "TooManyConflicts", message)
        return Condition(
            CONFLICTING, "False", "NoConflict", "no other profile could want something else of a pod"
        )
    told = [_told(name, other, overlap) for other, overlap in met[:_SHOWN]]
    if len(met) > _SHOWN:
        told.append(f"and {len(met) - _SHOWN} more profiles")
    return Condition(CONFLICTING, "True", "ProfilesDisagree", _joined("", told))


def _told(name: str, other: str, overlap: Overlap) -> str:
    first = overlap.first == name
    places = [
        f"{place}: {_value(mine if first else theirs)} here, {_value(theirs if first else mine)} there"
        for place, mine, theirs in overlap.disagreements[:_SHOWN]
    ]
    if len(overlap.disagreements) > _SHOWN:
        places.append(f"{len(overlap.disagreements) - _SHOWN} more places")
    return f"{other} ({'which wins' if first else 'which loses'}): {', '.join(places)}"


def _value(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _joined(before: str, messages: list[str] | tuple[str, ...]) -> str:
    text = f"{before}: {'; '.join(messages)}" if before else "; ".join(messages)
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 1]}…"
