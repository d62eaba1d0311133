"""Pages of metrics, as Prometheus reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_SAMPLE = re.compile(r"^(\w+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)


def samples(page: str) -> dict[str, float]:
    """The values of a page, by name and labels as they are written there."""
    return {name: float(value) for name, value in _SAMPLE.findall(page)}


def counters(pages: Iterable[str], word: str) -> dict[str, float]:
    """Sum up, over several pages, the counters that have the word in their name."""
    found: Counter[str] = Counter()
    for page in pages:
        for sample, value in samples(page).items():
            name, brace, labels = sample.partition("{")
            if word in name and name.endswith("_total"):
                found[name.removesuffix("_total") + brace + labels] += value
    return dict(found)
