"""Parity with Koordinator: the same pods and verdicts, but where we differ on purpose.

A model of the rules stands between the two: with every point of difference switched
off it gives Koordinator's answer, with every point on ours, in each of the cases. So
each difference is explained by the points that make it.

All cases need the reference data: set ``COLOCATION_REFERENCE`` to the folder that holds
``mutate/``. An excerpt of them always runs. After a change on purpose, write the list of
differences anew::

    COLOCATION_REFERENCE=… python -m tests.admission.reviews.test_parity
"""

from collections import Counter
from pathlib import Path

from tests.admission.reviews.reference import (
    MEANINGS,
    Difference,
    compare_mutation,
    compare_validation,
    sets,
)
from tests.admission.validating.validation_model import DIFFERENCES
from tests.reference import reference

DATA = Path(__file__).parents[2] / "data"
LISTED = DATA / "parity_differences.txt"
EXCERPT = DATA / "reference" / "mutate"


def compared(folder: Path) -> tuple[dict[str, int], list[Difference]]:
    """Compare all sets of a folder; return the number of cases of each kind, and the differences."""
    counts, found = Counter(), []
    for each in sets(folder):
        for kind, compare in (("mutate", compare_mutation), ("validate", compare_validation)):
            count, differences = compare(each)
            counts[kind] += count
            found += differences
    return dict(counts), found


def listing(counts: dict[str, int], differences: list[Difference]) -> str:
    """Return the list of differences: counts by point, then one line a case."""
    by_point = Counter(point for difference in differences for point in difference.points)
    lines = [
        "# Where our answers differ from Koordinator's, and by which point of Admission §3",
        "# (docs/specification.md; 7 is Admission §3.7). Written by tests/admission/reviews/test_parity.py.",
        *(f"# {kind}: {count} cases" for kind, count in counts.items()),
        f"# differences: {len(differences)}, unexplained: 0",
        "#",
        *(
            f"# {by_point[point]:4} by {point}: {meaning(point)}"
            for point in sorted(by_point, key=lambda p: (list(MEANINGS).index(p.partition(":")[0]), p))
        ),
        "#",
        "# set reviews uid points",
    ]
    return "\n".join([*lines, *map(str, differences), ""])


def meaning(point: str) -> str:
    """Return what a point says, or for a rule how it differs."""
    number, _, rule = point.partition(":")
    return DIFFERENCES[rule] if rule else MEANINGS[number]


def test_excerpt() -> None:
    """A few cases of the reference, held in the repository, have no unexplained difference."""
    counts, differences = compared(EXCERPT)
    assert counts["mutate"] >= 30
    assert counts["validate"] == 2 * counts["mutate"]
    listed = LISTED.read_text().splitlines()
    assert [str(difference) for difference in differences if str(difference) not in listed] == []


def test_listed_differences_have_points() -> None:
    """Each case in the list of differences names the points that explain it."""
    for line in LISTED.read_text().splitlines():
        if not line.startswith("#"):
            points = line.split()[3:]
            assert points, line
            assert {point.partition(":")[0] for point in points} <= MEANINGS.keys()


def test_all_cases() -> None:
    """Every case of the reference is the same as Koordinator's or explained; the list says which."""
    counts, differences = compared(reference("mutate"))
    assert counts == {"mutate": 1000, "validate": 2000}
    text = listing(counts, differences)
    print(text)
    assert text == LISTED.read_text()


if __name__ == "__main__":
    LISTED.write_text(listing(*compared(reference("mutate"))))
