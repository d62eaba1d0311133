"""What the proof measured: a line of JSON a test in build/reliability.jsonl, a row in docs/reliability.md.

What is measured of CPU sets at binding and of capacity stands in build/binding.jsonl and build/capacity.jsonl
alone. ``python -m tests.e2e.figures``
fills in the document from the newest lines. Figures of time are reported and never decide anything.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster.binaries import ROOT

FILE = ROOT / "build" / "reliability.jsonl"
BINDING = ROOT / "build" / "binding.jsonl"
CAPACITY = ROOT / "build" / "capacity.jsonl"
DOCUMENT = ROOT / "docs" / "reliability.md"

TITLES: Final = {
    "leaf_rotation": "serving certificate rotated",
    "ca_rotation": "CA rotated, with overlap",
    "day_before_expiry": "clock moved to the day before expiry",
    "secret_delete": "Secret deleted by hand",
    "secret_empty": "Secret emptied by hand",
    "bundle_overwrite": "every caBundle overwritten by hand",
    "rolling_restart": "rolling restart",
    "upgrade_and_rollback": "`helm upgrade` and `helm rollback`, a rollout each",
    "sigkill": "SIGKILL of one of two replicas",
    "hung_replica": "SIGSTOP of one of two replicas",
    "api_server_restart": "API server restarted",
    "slow_api_server": "API server slow",
    "hostile_clients": "hostile clients at one of two replicas",
    "costly reviews": "tenants: costly reviews",
    "look-ups": "tenants: reviews of namespaces that are not there",
    "trickles at the admin port": "tenants: trickles at the admin port",
    "large bodies": "tenants: large bodies",
    "soak": "soak",
}
"""Every test that records, in the order of the document."""

_COUNTS: Final = ("sent", "refused", "unanswered", "unmutated")
_TIMES: Final = ("p50", "p99", "longest")
_LEFT_OUT: Final = {"test", "created", "stored", *_COUNTS, *_TIMES}
_BLOCK: Final = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
_HEAD: Final = """\
| what | pods | refused | unanswered | unmutated | p50 / p99 / longest, ms | more |
|---|---|---|---|---|---|---|
"""


def record(test: str, **figures: object) -> None:
    """Append what one test measured; ``test`` is one of TITLES."""
    assert test in TITLES, test
    _append(FILE, {"test": test, **figures})


def show(name: str, figures: Mapping[str, object], file: Path = BINDING) -> None:
    """Print what one test measured of CPU sets at binding, or of capacity, and append it."""
    print(_append(file, {"figures": name, **figures}))


def rendered(document: str, lines: Iterable[str]) -> str:
    """The document with a row for each test, of its newest line."""
    newest = {each["test"]: each for each in map(json.loads, lines)}
    rows = "".join(_row(title, newest[test]) for test, title in TITLES.items() if test in newest)
    return _BLOCK.sub(lambda found: f"{found[1]}{_HEAD}{rows}{found[2]}", document)


def _append(file: Path, figures: Mapping[str, object]) -> str:
    line = json.dumps(figures)
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as opened:
        opened.write(f"{line}\n")
    return line


def _row(title: str, figures: Mapping[str, Any]) -> str:
    counts = " | ".join(f"{figures[name]:,}" for name in _COUNTS)
    times = " / ".join(f"{figures[name] * 1000:,.0f}" for name in _TIMES)
    more = [
        f"{name.replace('_', ' ')}: {_shown(value)}"
        for name, value in figures.items()
        if name not in _LEFT_OUT
    ]
    return f"| {title} | {counts} | {times} | {'; '.join(more)} |\n"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Fill in the document."""
    if not FILE.exists():
        sys.exit(f"{FILE}: not there; run 'make e2e' and 'make soak' first")
    DOCUMENT.write_text(rendered(DOCUMENT.read_text(), FILE.read_text().splitlines()))


if __name__ == "__main__":
    main()
