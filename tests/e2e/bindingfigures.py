"""What was measured of CPU sets at binding: shown, and kept as a line of JSON in build/binding.jsonl."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from tests.e2e.binaries import ROOT

FILE = ROOT / "build" / "binding.jsonl"
_SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)


def write(name: str, figures: dict[str, object]) -> None:
    """Print a line of JSON, and append it to the file."""
    line = json.dumps({"figures": name, **figures})
    print(line)
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a") as file:
        file.write(f"{line}\n")


def counters(pages: Iterable[str], word: str) -> dict[str, float]:
    """Sum up, over several pages of metrics, the counters that have the word in their name."""
    found: Counter[str] = Counter()
    for page in pages:
        for name, labels, value in _SAMPLE.findall(page):
            if word in name and name.endswith("_total"):
                found[name.removesuffix("_total") + labels] += float(value)
    return dict(found)
