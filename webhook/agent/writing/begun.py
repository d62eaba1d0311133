"""Containers of version 1 that began on the CPUs which the agent had written to their pod's group.

A group of version 1 begins with the CPUs of the one above it. Nobody chose those for the container: by itself
it would have what its pod's group held before the agent.
"""

from collections.abc import Mapping

from webhook.agent.plan.target import Knob
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import same
from webhook.agent.writing.ledger import Original


def begun_with(path: str, originals: Mapping[str, Original], files: CgroupFiles) -> Original | None:
    """Return what is known of the pod's CPUs with which a container began; None where it has others.

    Args:
        path: of the container's set, in cgroups of version 1.
        originals: of the ledger; of a container that is among them it is known already.
        files: of cgroups.

    Raises:
        OSError: the container's set cannot be read.
    """
    folder, _, name = path.rpartition("/")
    if _known(path, originals, files) is not None:
        return None
    original = _known(f"{folder.rpartition('/')[0]}/{name}", originals, files)
    return original if original and same(Knob.CPUS, files.read(path), original.last, 1) else None


def _known(path: str, originals: Mapping[str, Original], files: CgroupFiles) -> Original | None:
    """Return what the ledger knows of a file, if that is still of the same group."""
    original = originals.get(path)
    try:
        return original if original is not None and files.identity(path) == original.cgroup else None
    except OSError:
        return None
