"""Never worse than what Koordinator and the kubelet were recorded to answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpuset.parity import COMPARISONS, Outcome


def say(name: str, outcome: Outcome) -> str:
    """Return one line about a file's comparison."""
    counts = ", ".join(f"{count} {word}" for word, count in sorted(outcome.items()))
    return f"{name}: {counts}, {outcome['worse']} worse"


@pytest.mark.parametrize("name", COMPARISONS)
def test_sample(name: str, sample: Path) -> None:
    """The cases kept with the tests, with those in which the peers do poorly."""
    outcome = COMPARISONS[name](sample / f"{name}.jsonl")
    assert outcome["worse"] == 0, say(name, outcome)
    assert outcome.total() > 0


@pytest.mark.parametrize("name", COMPARISONS)
def test_all_recorded(name: str, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every recorded case; how many are better is printed by file."""
    outcome = COMPARISONS[name](reference / f"{name}.jsonl")
    with capsys.disabled():
        print(f"\n  {say(name, outcome)}")
    assert outcome["worse"] == 0
