"""What quotas stand, and whose they are: as the ledger has it, and as the kernel's files say.

A quota that somebody else has changed is his, as of a kubelet that resizes the pod.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from webhook.agent.bursting.decision import Bounds
from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.plan.burst import Quotas
from webhook.agent.plan.target import Knob
from webhook.agent.writing.begun import known
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import file_of, parse, render, same
from webhook.agent.writing.ledger import ActionLedger, Original
from webhook.agent.writing.present import Present


class Place(NamedTuple):
    """A group, its file of the quota, and between what that may stand."""

    group: str
    path: str
    bounds: Bounds


@dataclass(eq=False)
class Standing:
    """Quotas of groups; not for use from several threads.

    Attributes:
        ledger: what was written, and what stood there before; None: nothing was.
    """

    _hierarchy: Hierarchy
    _files: CgroupFiles
    ledger: ActionLedger | None
    _present: Present = field(init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._present = Present(self._hierarchy, self._files)

    @property
    def waits(self) -> bool:
        """Whether lines of the ledger wait for the disk: what is raised now might be lost with them."""
        return self.ledger is not None and bool(self.ledger.problem)

    def place(self, group: str, base: int, quotas: Quotas) -> Place:
        """Return where the quota of a group stands, whose limit comes to a base."""
        file = file_of(Knob.QUOTA, self._hierarchy.version)
        path = self._hierarchy.file(file.controller, group, file.name) if file is not None else None
        return Place(group, path or "", Bounds(base, quotas.most(base)))

    def at(self, place: Place) -> int | None:
        """Return what a quota is, as far as it was written; None where that is somebody else's by now.

        It is also where it was raised from another base: its limit has changed.
        """
        if not self.is_ours(place):
            return place.bounds.base
        version, original = self._hierarchy.version, self._originals[place.path]
        base = render(Knob.QUOTA, place.bounds.base, version)
        if not original.is_lent or not same(Knob.QUOTA, original.old, base, version):
            return None
        try:
            text = self._files.read(place.path)
            found = parse(Knob.QUOTA, text, version)
        except (OSError, ValueError):
            return None
        is_last = same(Knob.QUOTA, text, original.last, version)
        return found if is_last and isinstance(found, int) else None

    def is_ours(self, place: Place) -> bool:
        """Whether the ledger has a quota of this very group."""
        return known(place.path, self._originals, self._files)

    def is_named(self, place: Place) -> bool:
        """Whether the ledger has a quota at this path, of this group or of one before it."""
        return place.path in self._originals

    def has(self, group: str, quota: int) -> bool:
        """Whether just this quota stands there, whoever wrote it."""
        return self._present.has_quota(group, quota)

    @property
    def _originals(self) -> Mapping[str, Original]:
        return self.ledger.originals if self.ledger is not None else {}
