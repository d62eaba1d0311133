"""Containers of version 1 that began on the CPUs which the agent had written to their pod's group.

A group of version 1 begins with the CPUs of the one above it. Nobody chose those for the container: by itself
it would have what its pod's group held before the agent. Until the ledger has a line of such a container, it
is known only by its pod's file: that line comes before the next write to it.
"""

from collections.abc import Mapping
from typing import Final

from webhook.agent.plan.target import Knob, Why
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import parse, same
from webhook.agent.writing.ledger import Original
from webhook.agent.writing.order import Difference

_BEGAN: Final = {"began": "on its pod's CPUs"}


def begun_with(path: str, originals: Mapping[str, Original], files: CgroupFiles) -> Original | None:
    """Return what the ledger is to know of a container that began on its pod's CPUs; None where it did not.

    They may be those before the last write to its pod: it began just before that, after the last look at it.

    Args:
        path: of the container's set, in cgroups of version 1.
        originals: of the ledger; of a container that is among them it is known already.
        files: of cgroups.

    Raises:
        OSError: the container's set cannot be read.
    """
    folder, _, name = path.rpartition("/")
    if known(path, originals, files):
        return None
    above = f"{folder.rpartition('/')[0]}/{name}"
    if not known(above, originals, files):
        return None
    pods, text = originals[above], files.read(path)
    if not any(same(Knob.CPUS, text, each, 1) for each in (pods.last, pods.previous) if each is not None):
        return None
    return Original(pods.old, text, files.identity(path), pods.line)


def is_to_be_given_back(began: Original) -> bool:
    """Whether the container would have other CPUs by itself."""
    return not same(Knob.CPUS, began.last, began.old, 1)


def as_known(path: str, began: Original, why: Why | None = None) -> Difference:
    """Return what makes the ledger know such a container; nothing is written.

    Args:
        path: of the container's set.
        began: see ``begun_with``.
        why: it is to have these CPUs; None: as the pod has them.
    """
    if why is None:
        pods = began.line["why"]
        why = Why(str(pods["rule"]), str(pods["pod"]), {})
    return unwritten(path, began.last, began.old, why._replace(inputs={**why.inputs, **_BEGAN}))


def unwritten(path: str, text: str, before: str, why: Why) -> Difference:
    """Return a line that stands for no write: a container's set holds this text, and did that one before.

    Raises:
        ValueError: the text is no set of CPUs.
    """
    value = parse(Knob.CPUS, text, 1)
    return Difference(
        path,
        Knob.CPUS,
        below=True,
        text=text,
        wanted_text=text,
        current=value,
        wanted=value,
        why=why,
        before=before,
    )


def known(path: str, originals: Mapping[str, Original], files: CgroupFiles) -> bool:
    """Whether the ledger knows a file, and it is still of the same group."""
    original = originals.get(path)
    try:
        return original is not None and files.identity(path) == original.cgroup
    except OSError:
        return False
