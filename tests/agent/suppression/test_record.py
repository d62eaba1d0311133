"""The documentation's record of the seconds in which online load doubles is the one that is made."""

from pathlib import Path

from tests.agent.suppression.record import HEAD, LOADS, rows

DOCUMENT = Path(__file__).parents[3] / "docs/agent.md"


def test_the_record_in_the_documentation(tmp_path):
    """Line by line; within two seconds of the rise BE pods have what the budget leaves them."""
    found = rows(tmp_path)
    assert "\n".join([*HEAD, *found]) in DOCUMENT.read_text()
    doubled = [second for second, used in LOADS.items() if used == 2 * LOADS[0]]
    whole = found[doubled[0]]
    assert doubled[0] == 2
    assert all(line.split("|")[4:6] == whole.split("|")[4:6] for line in found[2:11])
