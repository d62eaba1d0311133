"""Every section of ``docs/specification.md`` that the repository cites is there.

A citation names chapter and number, with the sign for a section between them; a heading of
the document begins with the same words. Sections of other texts are cited as "section 4.1".
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = "\N{SECTION SIGN}"
CITATION = re.compile(rf"\b(?:Admission|CPU sets|Practice) {SECTION}[0-9]+(?:\.[0-9]+)?(?![.]?[0-9])")
HEADING = re.compile(rf"^#{{3,4}} ({CITATION.pattern}):", re.MULTILINE)
SPECIFICATION = (ROOT / "docs" / "specification.md").read_text()


BUILT = {"build", "dist", "__pycache__"}


def texts() -> dict[str, str]:
    """Return every text of the project by its path; what is hidden or built is left out."""
    found = {}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in BUILT and not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            try:
                found[str(path.relative_to(ROOT))] = path.read_text()
            except (UnicodeDecodeError, OSError):
                continue  # not a text
    return found


def problems(text: str, sections: set[str]) -> Iterator[str]:
    """Yield what is wrong with the citations of a text, line by line."""
    for number, line in enumerate(text.splitlines(), 1):
        cited = CITATION.findall(line)
        yield from (f"line {number}: {each} is no section" for each in cited if each not in sections)
        if len(cited) != line.count(SECTION):
            yield f"line {number}: write chapter and number of each section: {line.strip()}"


def sections() -> set[str]:
    """Return the sections of the document, as they are cited."""
    return set(HEADING.findall(SPECIFICATION))


def test_each_citation_has_its_section() -> None:
    """Nothing cites a section that the document does not have, or in another form."""
    known = sections()
    assert "docs/specification.md" in texts()
    found = {f"{path}: {problem}" for path, text in texts().items() for problem in problems(text, known)}
    assert found == set()


def test_sections_have_one_heading_each() -> None:
    """No two headings have the same number."""
    headings = HEADING.findall(SPECIFICATION)
    assert len(headings) == len(set(headings)) > 0


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Admission #3.8: the table", False),
        ("by Practice #7, Practice #8.", False),
        ("CPU sets #10.", False),
        ("Admission #3.99: made up", True),
        ("Admission #3.8.1: made up", True),
        ("Practice #280", True),
        ("#3.8: without a chapter", True),
        ("Admission #1 and #2", True),
        ("Cookery #1", True),
        ("RFC 5280 #4.1", True),
    ],
)
def test_a_wrong_citation_is_found(text, wrong) -> None:
    """The check itself: a section that does not exist, and a citation without its chapter, are found."""
    assert bool(list(problems(text.replace("#", SECTION), sections()))) is wrong
