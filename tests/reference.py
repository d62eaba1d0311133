"""Where the recorded answers of Koordinator and the kubelet are: part of CI, at hand elsewhere or not."""

import os
from pathlib import Path

import pytest

VARIABLE = "COLOCATION_REFERENCE"


def reference(kind: str) -> Path:
    """Return the folder of all recorded cases of a kind; without it CI fails and others skip."""
    folder = os.environ.get(VARIABLE)
    if folder and (Path(folder) / kind).is_dir():
        return Path(folder) / kind
    reason = f"only the excerpt was compared: {VARIABLE} is {folder!r}, which has no folder {kind}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
