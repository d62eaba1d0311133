"""Which profiles match a pod, without asking those that cannot.

A profile is filed under one clause that must hold for it to match: the rarest
``key=value`` or ``key`` that its selectors demand. A pod is then compared only with
the profiles filed under the labels that it and its namespace have. Profiles that
demand nothing, only forbid, are kept as bits of one integer, and each label that
a pod has strikes out the bits of those that forbid it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from webhook.admission.profiles.profile import Profile
from webhook.admission.profiles.selectors import Requirement

Labels = Mapping[str, str]
_POD, _NAMESPACE = 0, 1
# A label that a clause asks for: whose it is, its key, and its value (None: any value).
_Asked = tuple[int, str, str | None]
# What is filed under a label, for a pod's and for a namespace's labels: key, then value.
_Filed = tuple[dict[str, dict[str | None, list[int]]], dict[str, dict[str | None, list[int]]]]
_Strikes = tuple[dict[str, dict[str | None, int]], dict[str, dict[str | None, int]]]


class ProfileIndex:
    """The ready profiles of a view, in the order in which they apply: by name."""

    __slots__ = ("_filed", "_forbidding", "_strikes", "profiles")

    def __init__(self, profiles: Iterable[Profile]) -> None:
        """File ``profiles``; those that are not ready are left out."""
        self.profiles: Final = tuple(sorted((p for p in profiles if p.ready), key=lambda p: p.name))
        self._filed: _Filed = ({}, {})
        self._forbidding = 0
        self._strikes: _Strikes = ({}, {})
        demands = [_demands(profile) for profile in self.profiles]
        frequency = Counter(chain.from_iterable(chain.from_iterable(demands)))
        for position, (profile, clauses) in enumerate(zip(self.profiles, demands, strict=True)):
            if clauses:
                rarest = min(clauses, key=lambda clause: sum(frequency[asked] for asked in clause))
                for side, key, value in rarest:
                    self._filed[side].setdefault(key, {}).setdefault(value, []).append(position)
            else:
                self._forbid(position, profile)

    def matching(self, labels: Labels, namespace_labels: Labels) -> list[Profile]:
        """Return the profiles both of whose selectors hold, by name."""
        profiles = self.profiles
        found: set[int] = set()
        for filed, present in zip(self._filed, (labels, namespace_labels), strict=True):
            if not filed:
                continue
            for key, value in present.items():
                if by_value := filed.get(key):
                    for position in (*by_value.get(value, ()), *by_value.get(None, ())):
                        if profiles[position].matches(labels, namespace_labels):
                            found.add(position)
        if self._forbidding:
            found.update(self._not_forbidden(labels, namespace_labels))
        return [profiles[position] for position in sorted(found)]

    def _forbid(self, position: int, profile: Profile) -> None:
        bit = 1 << position
        self._forbidding |= bit
        for side, requirement in _requirements(profile):
            by_value = self._strikes[side].setdefault(requirement.key, {})
            # NotIn names values that strike the profile out, DoesNotExist any value.
            for value in requirement.values or (None,):
                by_value[value] = by_value.get(value, 0) | bit

    def _not_forbidden(self, labels: Labels, namespace_labels: Labels) -> Iterator[int]:
        left = self._forbidding
        for strikes, present in zip(self._strikes, (labels, namespace_labels), strict=True):
            for key, value in present.items():
                if by_value := strikes.get(key):
                    left &= ~(by_value.get(value, 0) | by_value.get(None, 0))
        while left:
            lowest = left & -left
            yield lowest.bit_length() - 1
            left ^= lowest


def _requirements(profile: Profile) -> Iterator[tuple[int, Requirement]]:
    for requirement in profile.selector.requirements:
        yield _POD, requirement
    for requirement in profile.namespace_selector.requirements:
        yield _NAMESPACE, requirement


def _demands(profile: Profile) -> list[list[_Asked]]:
    """Return, for each clause that demands a label, the labels one of which would meet it."""
    clauses: list[list[_Asked]] = []
    for side, requirement in _requirements(profile):
        if requirement.operator == "In":
            clauses.append([(side, requirement.key, value) for value in sorted(requirement.values)])
        elif requirement.operator == "Exists":
            clauses.append([(side, requirement.key, None)])
    return clauses
