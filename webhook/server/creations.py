"""Counts pods whose labels were changed, for each profile and controller: bounded, without I/O."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from webhook.admission.mutating.relabelling import Owner, Relabelled

WINDOW_SECONDS: Final = 60.0
ALONE: Final = 10
"""Creations in the window that are enough in one replica."""
TOGETHER: Final = 5
"""Creations in the window that are enough in each of two replicas."""
MAX_OWNERS: Final = 4096
MAX_SUSPECTS: Final = 256

_LONGEST_VALUE: Final = 64  # characters: one more than a label's value may have


class Key(NamedTuple):
    """A profile, and namespace and uid of a controller."""

    profile: str
    namespace: str
    uid: str


class Suspect(NamedTuple):
    """A controller that created many pods lately.

    Attributes:
        changes: labels that the profile changed on the last of them, and their values; None: removed.
        recent: pods in the window, at most `ALONE`.
    """

    key: Key
    owner: Owner
    changes: dict[str, str | None]
    recent: int


class _Count:
    __slots__ = ("changes", "innocent", "owner", "times")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.changes: dict[str, str | None] = {}
        self.innocent: dict[str, str | None] | None = None
        self.times: deque[float] = deque(maxlen=ALONE)

    def recent(self, moment: float) -> int:
        return sum(time >= moment - WINDOW_SECONDS for time in self.times)


class Creations:
    """What was counted; any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[Key, _Count] = OrderedDict()
        self._suspects: OrderedDict[Key, None] = OrderedDict()

    def add(self, found: Relabelled, moment: float) -> bool:
        """Count a pod; return whether its controller is a suspect now."""
        suspected = False
        with self._lock:
            for profile, changes in found.changes.items():
                key = Key(profile, found.owner.namespace, found.owner.uid)
                count = self._counts.get(key)
                if count is None:
                    count = self._counts[key] = _Count(found.owner)
                    if len(self._counts) > MAX_OWNERS:
                        self._forget(next(iter(self._counts)))
                self._counts.move_to_end(key)
                count.times.append(moment)
                if count.recent(moment) < TOGETHER:
                    continue
                count.changes = {
                    name: value if value is None else value[:_LONGEST_VALUE]
                    for name, value in changes.items()
                }
                if count.changes == count.innocent:
                    continue
                self._suspects[key] = None
                if len(self._suspects) > MAX_SUSPECTS:
                    self._suspects.popitem(last=False)
                suspected = True
        return suspected

    def suspects(self, moment: float) -> list[Suspect]:
        """Return those with at least `TOGETHER` pods in the window before a moment, most pods first."""
        with self._lock:
            found = []
            for key in list(self._suspects):
                count = self._counts[key]
                recent = count.recent(moment)
                if recent < TOGETHER:
                    del self._suspects[key]
                else:
                    found.append(Suspect(key, count.owner, count.changes, recent))
        return sorted(found, key=lambda each: -each.recent)

    def acquit(self, suspect: Suspect) -> None:
        """Note that these changes cost this controller no pods: by them it is no suspect any more."""
        with self._lock:
            self._suspects.pop(suspect.key, None)
            if suspect.key in self._counts:
                self._counts[suspect.key].innocent = suspect.changes

    def forget(self, profiles: Iterable[str]) -> None:
        """Begin again for profiles that changed."""
        names = set(profiles)
        with self._lock:
            for key in [key for key in self._counts if key.profile in names]:
                self._forget(key)

    def __len__(self) -> int:
        """Return how many pairs of a profile and a controller are counted."""
        return len(self._counts)

    def _forget(self, key: Key) -> None:
        del self._counts[key]
        self._suspects.pop(key, None)
