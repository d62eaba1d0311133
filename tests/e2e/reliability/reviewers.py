"""Reviews for replicas, as a process: ``python -m tests.e2e.reliability.reviewers FOLDER COUNT PORT…``.

FOLDER has ``review.json`` and ``ca.crt``. Each port of localhost is asked in turn over new connections until
there were so many reviews. Prints how many there were and how many failed, as JSON.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path

from benchmarks.service.load import Target, run

_CONNECTIONS = 4
_SECONDS = 0.5
_PAUSE = 0.1


def main(folder: Path, count: int, ports: list[int]) -> None:
    """Ask."""
    review = (folder / "review.json").read_bytes()
    trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    done = failed = 0
    while done < count:
        for port in ports:
            target = Target("localhost", port, "/mutate?timeout=10s", review, b'"patch"', trust)
            seen = run(target, _CONNECTIONS, _SECONDS)
            done, failed = done + seen.requests, failed + seen.failed
            time.sleep(_PAUSE)
    print(json.dumps({"reviews": done, "failed": failed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [int(port) for port in sys.argv[3:]])
