"""What the proof measured: a line of JSON for each figure's test, in build/reliability.jsonl.

``python -m tests.e2e.figures`` makes the tables of docs/reliability.md from it. Figures of time are reported
and never decide anything.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "build" / "reliability.jsonl"
DOCUMENT = ROOT / "docs" / "reliability.md"
_BLOCK = re.compile(r"(<!-- figures of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def record(test: str, **figures: object) -> None:
    """Append what one test measured; `test` is its name."""
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a") as file:
        file.write(json.dumps({"test": test, **figures}) + "\n")


def rendered(document: str, lines: list[str]) -> str:
    """The document with the newest figures of each test in the block that names it."""
    newest = {each["test"]: each for each in map(json.loads, lines)}

    def block(found: re.Match[str]) -> str:
        figures = newest.get(found[2])
        if figures is None:
            return found[0]
        rows = [f"| {name} | {_shown(value)} |\n" for name, value in figures.items() if name != "test"]
        return "".join([found[1], "| figure | value |\n|---|---|\n", *rows, found[3]])

    return _BLOCK.sub(block, document)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:,.3f}" if value < 1 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Fill in the document."""
    if not FILE.exists():
        sys.exit(f"{FILE}: not there; run 'make e2e' or 'make soak' first")
    DOCUMENT.write_text(rendered(DOCUMENT.read_text(), FILE.read_text().splitlines()))


if __name__ == "__main__":
    main()
