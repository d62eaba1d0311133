"""What was there before the agent is written back, file by file."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from webhook.agent.plan.target import Knob, Why
from webhook.agent.writing.begun import as_known, begun_with, is_to_be_given_back
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import knob_of, parse
from webhook.agent.writing.ledger import RESTORE, ActionLedger, Original, is_of_pod
from webhook.agent.writing.order import Difference, left, ordered
from webhook.agent.writing.writer import Writer, Written

_log = logging.getLogger(__name__)
_OF_POD: Final = re.compile(r"(?:.*-)?pod[0-9A-Za-z_-]+(?:\.slice)?", re.ASCII)


class Restored(NamedTuple):
    """What was given back.

    Attributes:
        written: what became of the writes.
        files: that held something else than before the agent.
        foreign: for each file that somebody else changed: path, what the agent left there, what was found.
    """

    written: Written
    files: tuple[str, ...]
    foreign: tuple[tuple[str, str, str], ...]


def restore(
    ledger: ActionLedger,
    files: CgroupFiles,
    writer: Writer,
    version: int,
    pod: str | None = None,
    *,
    changed: bool = True,
) -> Restored:
    """Write back what each file held before the agent wrote to it.

    Args:
        ledger: which says what that was.
        files: of cgroups.
        writer: that writes them.
        version: of cgroups.
        pod: only its files: namespace/name, name or uid; None: all.
        changed: also files that somebody else has changed since; otherwise they stay, and are his, as are
            quotas that were raised.
    """
    ledger.forget_gone()
    chosen = {
        path: original
        for path, original in ledger.originals.items()
        if pod is None or is_of_pod(original.line, pod)
    }
    begun = dict(_begun(chosen, ledger.originals, files)) if version == 1 else {}
    differences = list(_differences(chosen | begun, files, version))
    foreign = tuple((each.path, each.expected, each.text) for each in differences if each.expected)
    differences = [
        left(each) if each.expected and (each.lent or not changed) else each for each in differences
    ]
    written = writer.apply(ordered([*(as_known(*each) for each in begun.items()), *differences]))
    return Restored(written, tuple(each.path for each in differences if not each.settled), foreign)


def _begun(
    chosen: Mapping[str, Original], originals: Mapping[str, Original], files: CgroupFiles
) -> Iterator[tuple[str, Original]]:
    """Yield the sets of containers that began on their pod's CPUs and have not been looked at since."""
    for path in chosen:
        folder, _, name = path.rpartition("/")
        if _of_pod(folder) and knob_of(name, 1) is Knob.CPUS:
            for below in _groups_below(folder):
                began, own = None, f"{below}/{name}"
                with contextlib.suppress(OSError):  # gone since: its siblings are not
                    began = begun_with(own, originals, files)
                if began is not None and is_to_be_given_back(began):
                    yield own, began


def _groups_below(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _differences(originals: dict[str, Original], files: CgroupFiles, version: int) -> Iterator[Difference]:
    for path, original in originals.items():
        folder, _, name = path.rpartition("/")
        knob = knob_of(name, version)
        try:
            text = files.read(path)
            current, wanted = parse(knob, text, version), parse(knob, original.old, version)
        except OSError:
            continue  # gone since
        except ValueError as error:
            _log.error("%s is not given back: %s", path, error)
            continue
        why = Why(RESTORE, str(original.line["why"]["pod"]), {"written": str(original.line["t"])})
        yield Difference(
            path=path,
            knob=knob,
            below=not _of_pod(folder),
            text=text,
            wanted_text=original.old,
            current=current,
            wanted=wanted,
            why=why,
            expected=original.last if text != original.last else "",
            lent=original.is_lent,
        )


def _of_pod(folder: str) -> bool:
    """Whether it is the group of a pod, not one above or below."""
    return _OF_POD.fullmatch(folder.rpartition("/")[2]) is not None
