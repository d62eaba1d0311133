"""Where the recorded answers of Koordinator and the kubelet are: part of CI, at hand elsewhere or not."""

import os
from pathlib import Path

from tests.lacking import stop_if_lacking

VARIABLE = "COLOCATION_REFERENCE"


def reference(kind: str) -> Path:
    """Return the folder of all recorded cases of a kind; without it CI fails and others skip."""
    folder = os.environ.get(VARIABLE)
    if not folder or not (Path(folder) / kind).is_dir():
        stop_if_lacking(
            f"only the excerpt was compared: {VARIABLE} is {folder!r}, which has no folder {kind}"
        )
    return Path(folder or "") / kind
