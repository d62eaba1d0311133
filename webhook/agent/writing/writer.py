"""Writes, one after the other: written, read back, accounted for; what the kernel answers decides when again.

ENOENT and ENODEV: the cgroup is gone. EBUSY: the next round, five times; so does what depends on cgroups
above or below, which may change meanwhile. Anything else: this kernel does not take it; one report, and
again after ten minutes. EROFS: nothing at all is written for ten minutes.

In version 2 EPERM is the answer, too, to an agent that writes to its own container's cgroup: no refusal that
anybody could do something about, see ``webhook.agent.writing.own``.
"""

import datetime as dt
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from webhook.agent.machine.hierarchy import GONE
from webhook.agent.plan.plan import IDLE
from webhook.agent.plan.target import UNLIMITED, Knob, Why
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import EFFECTIVE_CPUS, file_of, parse, same
from webhook.agent.writing.ledger import RESTORE, ActionLedger
from webhook.agent.writing.order import Step
from webhook.agent.writing.own import holds_us

AGAIN_SECONDS: Final = 600.0
"""After this long what the kernel refused is tried again."""

MOST_BUSY: Final = 5
"""A file that was busy so often in a row counts as refused."""

_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EINTR})
_BURST: Final = {Knob.BURST: frozenset({errno.EINVAL})}  # a quota that has become less meanwhile
_BY_OTHERS: Final = {
    1: {
        Knob.CPUS: frozenset({errno.EACCES, errno.ENOSPC}),  # a parent that is narrower, or empty
        Knob.QUOTA: frozenset({errno.EINVAL}),  # a parent or a child of another quota
        Knob.PERIOD: frozenset({errno.EINVAL}),
        **_BURST,
    },
    2: _BURST,
}
"""By version, what depends on other files."""


class Outcome(StrEnum):
    """What became of a write."""

    WRITTEN = "written"
    GONE = "gone"
    BUSY = "busy"
    REFUSED = "refused"
    WITHHELD = "withheld"  # not tried: refused before, or nothing may be written now


class Refusal(NamedTuple):
    """Something that the kernel does not take, reported once.

    Attributes:
        path: of the first file.
        file: its name, for which this holds.
        pod: of that cgroup.
        message: what was written, and what the kernel answered.
    """

    path: str
    file: str
    pod: str
    message: str


@dataclass(slots=True)
class Written:
    """What became of some writes.

    Attributes:
        counts: by outcome.
        refusals: that were not reported before.
        again: paths that were busy.
    """

    counts: Counter[Outcome] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


class Writer:
    """Writes steps; made once, for it remembers what was refused.

    Attributes:
        stopped: why nothing is written at present, "" where something may be.
        own: the folder of the cgroup in which this process is, once the kernel has refused it; "" before.
    """

    def __init__(
        self,
        files: CgroupFiles,
        ledger: ActionLedger,
        version: int,
        *,
        clock: Callable[[], float],
        now: Callable[[], dt.datetime],
    ) -> None:
        """Take files of cgroups of a version, the ledger, seconds that only grow, and the time of day."""
        self.stopped = self.own = ""
        self._files, self._ledger, self._version = files, ledger, version
        self._clock, self._now = clock, now
        self._until: dict[str, float] = {}
        self._busy: Counter[str] = Counter()
        self._reported: dict[tuple[str, int], float] = {}
        self._stopped_until = 0.0

    def apply(self, steps: Iterable[Step]) -> Written:
        """Write, in the order given."""
        done, now = Written(), self._clock()
        self._ledger.flush()
        self._until = {path: until for path, until in self._until.items() if until > now}
        for step in steps:
            done.counts[self._one(step, done)] += 1
        # In a row: what was not busy this time, or is not there any more, begins at 0 again.
        self._busy = Counter({path: self._busy[path] for path in done.again})
        return done

    def withheld(self, path: str) -> bool:
        """Whether a file was refused a short while ago, or can never be written."""
        return self.is_own(path) or self._until.get(path, 0.0) > self._clock()

    def is_own(self, path: str) -> bool:
        """Whether a file is of the cgroup that this process cannot write to, for it is in it."""
        return path.rpartition("/")[0] == self.own

    def _one(self, step: Step, done: Written) -> Outcome:
        path = step.difference.path
        if self.withheld(path) or self._may_not_write() or self._would_be_lost(step):
            return Outcome.WITHHELD
        knob = step.difference.knob
        try:
            cgroup = self._files.identity(path)
            shares = self._shares_of_idle(knob, path)
            before = after = self._files.read(path)
            if reason := self._not_yet(knob, step, before):
                return self._busy_again(step, reason, done)
            text = step.text
            if before != step.text and not step.difference.before:
                text = self._write(knob, path, step.text)
                after = self._files.read(path)
            elif before != step.text or (step.difference.why.rule != RESTORE and not step.difference.before):
                return Outcome.WRITTEN  # by somebody else, a moment ago
        except OSError as error:
            return self._failed(step, error, done)
        self._busy.pop(path, None)
        self._account(path, step.difference.before or before, after, step, cgroup)
        self._account_shares(shares, step, cgroup)
        if not same(knob, after, text, self._version):
            return self._refused(step, 0, f"the kernel made {after!r} of it", done)
        return Outcome.WRITTEN

    def _not_yet(self, knob: Knob, step: Step, found: str) -> str:
        """Return why a write has to wait for the next round; "" where it has not."""
        if self._would_kill(knob, step):
            return "uses more memory than that"
        changed = step.difference.lent and found != step.difference.text
        return "is being changed by somebody else" if changed else ""

    def _write(self, knob: Knob, path: str, text: str) -> str:
        """Write; return what the file is to hold now."""
        try:
            self._files.write(path, text)
        except OSError as error:
            if knob is not Knob.CPUS or text or error.errno != errno.ENOSPC:
                raise
            # Version 2 empties no set in use. The CPUs of the group above are the same to processes.
            above = path.rsplit("/", 2)[0]
            text = self._files.read(f"{above}/{EFFECTIVE_CPUS}")
            self._files.write(path, text)
        return text

    def _may_not_write(self) -> bool:
        if self._ledger.full:
            self.stopped = f"no more lines can wait: {self._ledger.problem}"
        elif self._stopped_until <= self._clock():
            self.stopped = ""
        return bool(self.stopped)

    def _would_be_lost(self, step: Step) -> bool:
        """Whether a file is to be raised of which an agent that starts again might know nothing."""
        return bool(self._ledger.problem) and step.difference.lent and step.difference.widens

    def _failed(self, step: Step, error: OSError, done: Written) -> Outcome:
        number = error.errno or 0
        if number in GONE:
            try:
                self._files.identity(step.difference.path)
            except OSError:
                return Outcome.GONE
            return self._refused(step, number, "this kernel has no such file", done)
        if number == errno.EROFS:
            self.stopped = f"{step.difference.path}: is read-only: mount cgroups writable"
            self._stopped_until = self._clock() + AGAIN_SECONDS
            return Outcome.WITHHELD
        folder = step.difference.path.rpartition("/")[0]
        if number == errno.EPERM and self._version != 1 and holds_us(folder, self._files):
            self.own = folder
            return Outcome.WITHHELD
        others = _BY_OTHERS[self._version].get(step.difference.knob, frozenset())
        text = os.strerror(number)
        if number in _BUSY or number in others:
            return self._busy_again(step, text, done)
        return self._refused(step, number, text, done)

    def _busy_again(self, step: Step, text: str, done: Written) -> Outcome:
        path = step.difference.path
        self._busy[path] += 1
        if self._busy[path] >= MOST_BUSY:
            return self._refused(step, errno.EBUSY, f"{text}, {MOST_BUSY} times", done)
        done.again.append(path)
        return Outcome.BUSY

    def _refused(self, step: Step, number: int, text: str, done: Written) -> Outcome:
        path = step.difference.path
        name = path.rpartition("/")[2]
        self._busy.pop(path, None)
        self._until[path] = self._clock() + AGAIN_SECONDS
        if self._reported.get((name, number), 0.0) <= self._clock():
            self._reported[name, number] = self._clock() + AGAIN_SECONDS
            message = f"{path}: writing {step.text}: {text}; again in {AGAIN_SECONDS / 60:g} minutes"
            done.refusals.append(Refusal(path, name, step.difference.why.pod, message))
        return Outcome.REFUSED

    def _would_kill(self, knob: Knob, step: Step) -> bool:
        """Whether a limit is below what is used: version 1 answers EBUSY then, version 2 kills processes."""
        if knob is not Knob.MEMORY or self._version == 1 or step.difference.wanted == UNLIMITED:
            return False
        folder = step.difference.path.rpartition("/")[0]
        limit = parse(knob, step.text, self._version)
        used = int(self._files.read(f"{folder}/memory.current"))
        if not isinstance(limit, int) or used <= limit:
            return False
        try:
            self._files.write(f"{folder}/memory.reclaim", str(used - limit))
        except OSError:
            return int(self._files.read(f"{folder}/memory.current")) > limit
        return int(self._files.read(f"{folder}/memory.current")) > limit

    def _shares_of_idle(self, knob: Knob, path: str) -> tuple[str, str] | None:
        """Return path and text of the shares of a cgroup that is to become idle, which the kernel changes."""
        file = file_of(Knob.SHARES, self._version)
        if knob is not Knob.IDLE or file is None:
            return None
        other = f"{path.rpartition('/')[0]}/{file.name}"
        return other, self._files.read(other)

    def _account_shares(self, shares: tuple[str, str] | None, step: Step, cgroup: int) -> None:
        if shares is None:
            return
        path, before = shares
        try:
            after = self._files.read(path)
        except OSError:
            return
        if after != before:
            # Not by the rule of restoring: what these shares were at first is still to be given back.
            why = step.difference.why._replace(rule=IDLE)
            difference = step.difference._replace(expected="", why=why)
            self._account(path, before, after, step._replace(difference=difference), cgroup)

    def _account(self, path: str, old: str, new: str, step: Step, cgroup: int) -> None:
        why: Why = step.difference.why
        folder, _, name = path.rpartition("/")
        line: dict[str, Any] = {
            "t": self._now().isoformat(timespec="milliseconds"),
            "path": folder,
            "file": name,
            "old": old,
            "new": new,
            "why": {"rule": why.rule, "pod": why.pod, "inputs": dict(why.inputs)},
            "cgroup": cgroup,
        }
        if step.difference.expected:
            line["expected"] = step.difference.expected
        self._ledger.append(line)
