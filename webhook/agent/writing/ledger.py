"""The ledger of actions: every write to a cgroup, on disk, in a ring of two files.

A line is ``{"t", "path", "file", "old", "new", "why": {"rule", "pod", "inputs"}, "cgroup"}`` in JSON. When
the file in use is full, the one before it is dropped; what restoring needs of it, the first ``old`` of each
file that still exists, is carried over. Lines that the disk does not take are kept in memory until it does.
"""

import errno
import fcntl
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from webhook.agent.plan.burst import QUOTA_BURST
from webhook.protocol import ANNOTATION_AGENT

LIMIT: Final = 64 * 2**20
"""Bytes of both files together."""

MOST_WAITING: Final = 10_000
"""Lines that wait for a disk; with more nothing is written to cgroups any more."""

RESTORE: Final = "restore"
"""The rule of lines by which a file was given back."""

LAST_RESORT: Final = "last-resort"
"""The rule of lines by which processes were killed, or were to be: nothing of it can be given back."""

LEDGER: Final = "ledger"
"""The folder of the ledger of actions, in the state folder."""

_BOOT: Final = "proc/sys/kernel/random/boot_id"
_CURRENT: Final = "actions.jsonl"
_BEFORE: Final = "actions.1.jsonl"
_NEXT: Final = "actions.next.jsonl"
_LOCK: Final = "lock"

_log = logging.getLogger(__name__)


class LedgerError(OSError):
    """The ledger cannot be used; the message names its folder and the remedy."""


class Original(NamedTuple):
    """What is known of a file that was written.

    Attributes:
        old: what it held before the first write.
        last: what it held after the last one.
        cgroup: the number of its folder.
        line: the first line about it.
        previous: what it held before the last write, if that was not the first.
    """

    old: str
    last: str
    cgroup: int
    line: Mapping[str, Any]
    previous: str | None = None

    @property
    def is_lent(self) -> bool:
        """Whether whoever changes the file has it: a quota that was raised is the kubelet's."""
        return bool(self.line["why"]["rule"] == QUOTA_BURST)


class ActionLedger:
    """The ledger, open for writing, one at a time; or only read, whoever writes it.

    Attributes:
        originals: by path of a file.
        problem: why lines wait, "" where none do.
    """

    def __init__(
        self,
        folder: Path,
        *,
        boot: str,
        identity: Callable[[str], int],
        limit: int = LIMIT,
        writable: bool = True,
    ) -> None:
        """Open the ledger of a folder, which is made where there is none and it is to be written.

        Args:
            folder: of its files.
            boot: the kernel's boot id: cgroups of another boot are gone.
            identity: see ``CgroupFiles``.
            limit: bytes of both files together.
            writable: whether lines will be added.

        Raises:
            LedgerError: another process has it open, or the folder cannot be used.
        """
        self.originals: dict[str, Original] = {}
        self.problem = ""
        self._folder, self._boot, self._identity, self._half = folder, boot, identity, limit // 2
        self._waiting: deque[bytes] = deque()
        self._size, self._lock, self._seen = 0, -1, (0, 0)
        if not writable:
            self.look_again()
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise LedgerError(
                errno.EBUSY,
                "is in use: an agent in the mode enforce runs here, which would write again. One pod has "
                f"its files back with the annotation {ANNOTATION_AGENT}: ignore, all with agent.mode=observe",
                str(folder),
            ) from None
        except OSError as error:
            raise LedgerError(
                error.errno or errno.EIO, f"{error.strerror}: name a folder that can be written", str(folder)
            ) from None
        self._open()

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line; where the disk does not take it, it waits."""
        self._remember(line)
        self._waiting.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self.flush()

    def flush(self) -> None:
        """Write what waits; on failure ``problem`` says why, and it goes on waiting."""
        try:
            while self._waiting:
                if self._size >= self._half:
                    self._rotate()
                self._write(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            text = f"{self._folder / _CURRENT}: {error.strerror}; {len(self._waiting)} lines wait"
            if not self.problem:
                _log.warning("ledger of actions: %s: make room on the disk", text)
            self.problem = text
        else:
            self.problem = ""

    @property
    def full(self) -> bool:
        """Whether so many lines wait that no more actions can be accounted for."""
        return len(self._waiting) >= MOST_WAITING

    def forget_gone(self) -> None:
        """Drop the originals of cgroups that do not exist any more."""
        for path, original in list(self.originals.items()):
            if not self._exists(path, original):
                del self.originals[path]

    def look_again(self) -> None:
        """Read what somebody else has written meanwhile, into a ledger that is only read itself."""
        try:
            found = (self._folder / _CURRENT).stat()
        except OSError:
            return
        if self._lock < 0 and self._seen != (found.st_ino, found.st_size):
            self._seen = found.st_ino, found.st_size
            self.originals.clear()
            self._read()

    def close(self) -> None:
        """Let go of the files; a second time does nothing."""
        if self._lock >= 0:
            self.flush()
            os.close(self._handle)
            os.close(self._lock)
            self._lock = -1

    def _open(self) -> None:
        current, following = self._folder / _CURRENT, self._folder / _NEXT
        if following.exists() and not current.exists():
            following.replace(current)  # a rotation was interrupted after the first of its two renames
        following.unlink(missing_ok=True)
        boot = self._read()
        self._handle = os.open(current, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._handle).st_size
        if self._size and os.pread(self._handle, 1, self._size - 1) != b"\n":
            _log.warning("ledger of actions: the last line of %s is torn: it is passed over", current)
            self._waiting.append(b"\n")
        if boot != self._boot:
            self._waiting.append(self._header())
        self.flush()

    def _read(self) -> str:
        """Read the lines; return the last boot of which there are any."""
        boot = ""
        for line in read_lines(self._folder):
            if "boot" in line:
                if line["boot"] != self._boot:
                    self.originals.clear()
                boot = line["boot"]
                continue
            self._remember(line)
        if boot != self._boot:
            self.originals.clear()
        self.forget_gone()
        return boot

    def _remember(self, line: Mapping[str, Any]) -> None:
        if line["why"]["rule"] == LAST_RESORT:
            return
        path = f"{line['path']}/{line['file']}"
        before, last = self.originals.get(path), line.get("last", line["new"])
        if line["why"]["rule"] == RESTORE:
            self.originals.pop(path, None)
        elif before is None or before.cgroup != line["cgroup"]:
            self.originals[path] = Original(line["old"], last, line["cgroup"], line, line.get("previous"))
        elif last != before.last:
            self.originals[path] = before._replace(last=last, previous=before.last)

    def _header(self) -> bytes:
        return orjson.dumps({"boot": self._boot}, option=orjson.OPT_APPEND_NEWLINE)

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._handle, data)
        except OSError:
            os.ftruncate(self._handle, self._size)
            raise
        if written < len(data):
            os.ftruncate(self._handle, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _rotate(self) -> None:
        """Begin another file, with what restoring needs of those before."""
        self.forget_gone()
        following = self._folder / _NEXT
        carried = [
            orjson.dumps(
                {**each.line, "carried": True, "last": each.last, "previous": each.previous},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for each in self.originals.values()
        ]
        following.write_bytes(b"".join([self._header(), *carried]))
        (self._folder / _CURRENT).replace(self._folder / _BEFORE)
        following.replace(self._folder / _CURRENT)
        os.close(self._handle)
        self._handle = os.open(self._folder / _CURRENT, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._handle).st_size

    def _exists(self, path: str, original: Original) -> bool:
        try:
            return self._identity(path) == original.cgroup
        except OSError:
            return False


def open_ledger(
    state: Path, root: Path, identity: Callable[[str], int], *, writable: bool = True
) -> ActionLedger:
    """Open the ledger of an agent, as ``ActionLedger`` does.

    Args:
        state: the agent's state folder.
        root: of the machine's files; a recorded one may not say its boot.
        identity: see ``CgroupFiles``.
        writable: whether lines will be added.
    """
    try:
        boot = (root / _BOOT).read_text().strip()
    except OSError:
        boot = ""
    return ActionLedger(state / LEDGER, boot=boot, identity=identity, writable=writable)


def read_lines(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a ledger, the oldest first; one that cannot be read is passed over."""
    for name in (_BEFORE, _CURRENT):
        try:
            file = (folder / name).open("rb")
        except FileNotFoundError:
            continue
        with file:
            for raw in file:
                try:
                    line = orjson.loads(raw)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(line, dict) and (
                    "boot" in line or {"path", "file", "old", "why"} <= line.keys()
                ):
                    yield line


def is_of_pod(line: Mapping[str, Any], pod: str) -> bool:
    """Whether a line is about a pod, named by namespace/name, name or uid."""
    named = str((line.get("why") or {}).get("pod", ""))
    uid = f"pod{pod}"
    folders = str(line.get("path", "")).replace("_", "-").removesuffix(".slice").split("/")
    return (
        named == pod
        or named.rpartition("/")[2] == pod
        or any(each.removesuffix(".slice").endswith(uid) for each in folders)
    )
