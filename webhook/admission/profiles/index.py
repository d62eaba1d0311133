"""The index of profiles, which finds those that match a pod without comparing all.

A profile is indexed under one clause that must hold for it to match: the rarest
``key=value`` or ``key`` that its selectors require. A pod is then compared only with
the profiles indexed under its labels and those of its namespace. Profiles that require
no label, and only forbid some, are bits of one integer; each label of a pod clears the
bits of the profiles that forbid it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

from webhook.admission.profiles.profile import Profile
from webhook.cpuset.cpulist import members

Labels = Mapping[str, str]
# A label that a clause requires: of the pod or the namespace, its key, its value (None: any value).
_Required = tuple[int, str, str | None]
# Positions of profiles by required label, for a pod's and a namespace's labels: key, then value.
_Postings = tuple[dict[str, dict[str | None, list[int]]], dict[str, dict[str | None, list[int]]]]
_Forbidden = tuple[dict[str, dict[str | None, int]], dict[str, dict[str | None, int]]]


class ProfileIndex:
    """The ready profiles of a view, in the order in which they apply: by name."""

    __slots__ = ("_forbidden", "_forbidding", "_required", "profiles")

    def __init__(self, profiles: Iterable[Profile]) -> None:
        """Index ``profiles``; those that are not ready are left out."""
        self.profiles: Final = tuple(sorted((p for p in profiles if p.ready), key=lambda p: p.name))
        self._required: _Postings = ({}, {})
        self._forbidding = 0
        self._forbidden: _Forbidden = ({}, {})
        required = [_demands(profile) for profile in self.profiles]
        frequency = Counter(chain.from_iterable(chain.from_iterable(required)))
        for position, (profile, clauses) in enumerate(zip(self.profiles, required, strict=True)):
            if clauses:
                rarest = min(clauses, key=lambda clause: sum(frequency[label] for label in clause))
                for side, key, value in rarest:
                    self._required[side].setdefault(key, {}).setdefault(value, []).append(position)
            else:
                self._forbid(position, profile)

    def matching(self, labels: Labels, namespace_labels: Labels) -> list[Profile]:
        """Return the profiles whose selectors both match, by name."""
        profiles = self.profiles
        found: set[int] = set()
        for postings, present in zip(self._required, (labels, namespace_labels), strict=True):
            if not postings:
                continue
            for key, value in present.items():
                if by_value := postings.get(key):
                    for position in (*by_value.get(value, ()), *by_value.get(None, ())):
                        if profiles[position].matches(labels, namespace_labels):
                            found.add(position)
        if self._forbidding:
            found.update(self._not_forbidden(labels, namespace_labels))
        return [profiles[position] for position in sorted(found)]

    def _forbid(self, position: int, profile: Profile) -> None:
        bit = 1 << position
        self._forbidding |= bit
        for side, requirement in profile.requirements():
            by_value = self._forbidden[side].setdefault(requirement.key, {})
            # NotIn lists forbidden values; DoesNotExist forbids any value.
            for value in requirement.values or (None,):
                by_value[value] = by_value.get(value, 0) | bit

    def _not_forbidden(self, labels: Labels, namespace_labels: Labels) -> list[int]:
        left = self._forbidding
        for forbidden, present in zip(self._forbidden, (labels, namespace_labels), strict=True):
            for key, value in present.items():
                if by_value := forbidden.get(key):
                    left &= ~(by_value.get(value, 0) | by_value.get(None, 0))
        return members(left)


def _demands(profile: Profile) -> list[list[_Required]]:
    """Return, for each clause that requires a label, the labels that satisfy it."""
    clauses: list[list[_Required]] = []
    for side, requirement in profile.requirements():
        if requirement.operator == "In":
            clauses.append([(side, requirement.key, value) for value in sorted(requirement.values)])
        elif requirement.operator == "Exists":
            clauses.append([(side, requirement.key, None)])
    return clauses
