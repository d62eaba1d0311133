"""Every recorded choice of koordlet's: ours is the same, as good, or better by a point that is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.agent.suppression.parity import AS_GOOD, LIST, NAME, SAME, WORSE, compared, lines
from tests.reference import reference as recorded

HERE = Path(__file__).parents[3]
ROW = r"^\| (.+?) \| (\d+) \| (\d+): .+? \| `(\S*)` \| `(\S*)` \|$"
"""Of the table in docs/agent.md: point, cases, the number of one, koordlet's set, ours."""

SAMPLE = HERE / "tests/data/cpuset"


def listed() -> dict[str, list[int]]:
    """The list of differences: numbers of cases by point."""
    split = (line.partition(": ") for line in LIST.read_text().splitlines())
    return {point: [int(each) for each in numbers.split()] for point, _, numbers in split}


def test_the_cases_kept_with_the_tests_differ_as_listed() -> None:
    """By the point that the list names, and never for the worse."""
    point_of = {number: point for point, numbers in listed().items() for number in numbers}
    found = list(compared(SAMPLE / NAME))
    assert found
    assert {each.number: each.point for each in found} == {
        each.number: point_of.get(each.number, SAME) for each in found
    }


def test_all_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """The list is complete: each recorded case is the same set, or stands in it."""
    found = list(compared(recorded("cpuset") / NAME))
    assert WORSE not in {each.point for each in found}
    assert lines(found) == LIST.read_text().splitlines()
    same = sum(each.point == SAME for each in found)
    with capsys.disabled():
        print(f"\n  {NAME}: {len(found)} cases, {same} the same set")


def test_the_documentation_explains_each_point_by_a_case() -> None:
    """Number of the case, koordlet's set and ours stand there as they are recorded and decided."""
    text = (HERE / "docs/agent.md").read_text()
    rows = {
        point: (int(count), int(number), theirs, ours)
        for point, count, number, theirs, ours in re.findall(ROW, text, re.MULTILINE)
    }
    assert {point: row[0] for point, row in rows.items()} == {
        point: len(numbers) for point, numbers in listed().items()
    }
    for point, (_, number, _, _) in rows.items():
        assert number in listed()[point]
    decided = {each.number: (each.theirs, each.ours) for each in compared(SAMPLE / NAME)}
    known = {number: row for _, *row in rows.values() for number in [row[0]] if number in decided}
    assert {number: tuple(row[1:]) for number, row in known.items()} == {
        number: decided[number] for number in known
    }
    assert AS_GOOD in rows


def test_the_examples_of_the_documentation_are_the_recorded_ones() -> None:
    """All of them, where the records are at hand."""
    decided = {each.number: (each.theirs, each.ours) for each in compared(recorded("cpuset") / NAME)}
    rows = re.findall(ROW, (HERE / "docs/agent.md").read_text(), re.MULTILINE)
    assert rows
    for _, _, number, theirs, ours in rows:
        assert (theirs, ours) == decided[int(number)]
