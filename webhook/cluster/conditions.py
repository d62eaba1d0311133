"""The conditions of each profile, judged from a view: pure.

``Ready``: the profile is applied, and no pod that matches is denied because of it.
``Conflicting``: another profile can match the same pods and wants other values.
"""

import datetime as dt
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from webhook.admission.profiles.findings import Severity, own_findings, reference_findings
from webhook.admission.profiles.overlap import Overlap, overlaps
from webhook.admission.profiles.profile import Profile
from webhook.admission.view import View
from webhook.kube.conditions import Condition, read_conditions, with_conditions
from webhook.protocol import Action

READY: Final = "Ready"
CONFLICTING: Final = "Conflicting"
MAX_PAIRS: Final = 20_000
"""Where looking for pairs ends: a thousand profiles that all disagree make half a million."""

_SHOWN: Final = 3
_MAX_MESSAGE: Final = 1000


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
    written = with_conditions(read_conditions(old), conditions, now, observedGeneration=generation)
    wanted = {**old, "observedGeneration": generation, "conditions": written}
    return wanted if wanted != old else None


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
            message = f"more than {MAX_PAIRS} pairs of profiles disagree; the others were not checked"
            return Condition(CONFLICTING, "Unknown", "TooManyConflicts", message)
        return Condition(
            CONFLICTING,
            "False",
            "NoConflict",
            "no profile that can match the same pods wants other values",
        )
    conflicts = [_conflict(name, other, overlap) for other, overlap in met[:_SHOWN]]
    if len(met) > _SHOWN:
        conflicts.append(f"and {len(met) - _SHOWN} more profiles")
    return Condition(CONFLICTING, "True", "ProfilesDisagree", _joined("", conflicts))


def _conflict(name: str, other: str, overlap: Overlap) -> str:
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
