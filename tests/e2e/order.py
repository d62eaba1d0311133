"""The order of the end-to-end tests, in one place; file names say only what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent

ORDER: Final = (
    "chart/test_install.py",  # looks at the Deployment, which the fixture `release` takes away
    "admission",
    "chart/test_lifecycle.py",  # installs again: what comes next shows that nothing is left over
    "reliability",
    "binding",
    "scheduling",
    "capacity",
    "node/test_node.py",  # offers batch resources itself: a controller that meets them waits for ten minutes
    "node/test_capacity.py",  # with a controller of its own, before the chart's is on the node
    "node/test_machine.py",  # with another Node, which an agent of the chart would want to run on
    "node/test_plain_cluster.py",  # before anybody else has installed the chart on the node
    "node",
    "vm",
    "agent",
    "certificates",
    "chart",
)
"""Folders and files, relative to this folder. Only the first place is a must; the others are a preference."""


def place(path: Path) -> int:
    """The place of a test file in the order.

    Raises:
        ValueError: ``path`` is a test of this folder, and neither it nor its folder is in ORDER.
    """
    relative = path.relative_to(FOLDER)
    for name in (relative.as_posix(), relative.parent.as_posix()):
        if name in ORDER:
            return ORDER.index(name)
    raise ValueError(f"{path}: neither the file nor its folder is in ORDER of {__file__}: add one of them")
