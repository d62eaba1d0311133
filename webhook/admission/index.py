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

from webhook.admission.profiles import Profile
from webhook.admission.selectors import Requirement

Labels = Mapping[str, str]
# A place to file a profile: whose labels, key, and value (None: any value).
_Anchor = tuple[bool, str, str | None]
_POD, _NAMESPACE = False, True


class ProfileIndex:
    """The ready profiles of a view, in the order in which they apply: by name."""

    __slots__ = ("_filed", "_forbidding", "_strikes", "profiles")

    def __init__(self, profiles: Iterable[Profile]) -> None:
        """File ``profiles``; those that are not ready are left out."""
        self.profiles: Final = tuple(sorted((p for p in profiles if p.ready), key=lambda p: p.name))
        self._filed: dict[_Anchor, list[int]] = {}
        self._forbidding = 0
        self._strikes: dict[_Anchor, int] = {}
        anchors = [_anchors(profile) for profile in self.profiles]
        frequency = Counter(chain.from_iterable(chain.from_iterable(anchors)))
        for position, (profile, groups) in enumerate(zip(self.profiles, anchors, strict=True)):
            if groups:
                rarest = min(groups, key=lambda group: sum(frequency[a] for a in group))
                for anchor in rarest:
                    self._filed.setdefault(anchor, []).append(position)
            else:
                self._forbid(position, profile)

    def matching(self, labels: Labels, namespace_labels: Labels) -> list[Profile]:
        """Return the profiles both of whose selectors hold, by name."""
        profiles = self.profiles
        found = {
            position
            for position in self._candidates(labels, namespace_labels)
            if profiles[position].matches(labels, namespace_labels)
        }
        if self._forbidding:
            found.update(self._not_forbidden(labels, namespace_labels))
        return [profiles[position] for position in sorted(found)]

    def _candidates(self, labels: Labels, namespace_labels: Labels) -> Iterator[int]:
        if filed := self._filed:
            for side, present in ((_POD, labels), (_NAMESPACE, namespace_labels)):
                for key, value in present.items():
                    yield from filed.get((side, key, value), ())
                    yield from filed.get((side, key, None), ())

    def _forbid(self, position: int, profile: Profile) -> None:
        bit = 1 << position
        self._forbidding |= bit
        for side, requirement in _requirements(profile):
            # NotIn names values that strike the profile out, DoesNotExist any value.
            for value in requirement.values or (None,):
                anchor = (side, requirement.key, value)
                self._strikes[anchor] = self._strikes.get(anchor, 0) | bit

    def _not_forbidden(self, labels: Labels, namespace_labels: Labels) -> Iterator[int]:
        left, strikes = self._forbidding, self._strikes
        for side, present in ((_POD, labels), (_NAMESPACE, namespace_labels)):
            for key, value in present.items():
                left &= ~(strikes.get((side, key, value), 0) | strikes.get((side, key, None), 0))
        while left:
            lowest = left & -left
            yield lowest.bit_length() - 1
            left ^= lowest


def _requirements(profile: Profile) -> Iterator[tuple[bool, Requirement]]:
    for requirement in profile.selector.requirements:
        yield _POD, requirement
    for requirement in profile.namespace_selector.requirements:
        yield _NAMESPACE, requirement


def _anchors(profile: Profile) -> list[list[_Anchor]]:
    """Return, for each clause that demands a label, the places it would be filed under."""
    groups: list[list[_Anchor]] = []
    for side, requirement in _requirements(profile):
        if requirement.operator == "In":
            groups.append([(side, requirement.key, value) for value in sorted(requirement.values)])
        elif requirement.operator == "Exists":
            groups.append([(side, requirement.key, None)])
    return groups
