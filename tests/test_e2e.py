"""The end-to-end tests are in order: each has its place and its row, without running them."""

import re

import pytest

from tests.e2e.order import FOLDER, ORDER, place

FILES = sorted(FOLDER.rglob("test_*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_each_file_has_a_place(path) -> None:
    """Its own, or its folder's; what no entry names raises."""
    assert 0 <= place(path) < len(ORDER)


def test_each_place_is_somebodys() -> None:
    """No entry is left of a file or folder that is gone."""
    assert {place(path) for path in FILES} == set(range(len(ORDER)))


def test_the_installation_in_the_cluster_comes_first() -> None:
    """It is over as soon as another test points the configurations out of the cluster."""
    assert [path.name for path in FILES if place(path) == 0] == ["test_install.py"]


def test_a_file_without_a_place_is_named() -> None:
    """The error says what to add, and where."""
    message = r"gpu/test_x\.py: neither the file nor its folder is in ORDER of .*order\.py"
    with pytest.raises(ValueError, match=message):
        place(FOLDER / "gpu" / "test_x.py")


def test_the_readme_has_a_row_for_each_file() -> None:
    """And no row of a file that is gone."""
    document = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+/test_[a-z_]+\.py)` \|", document, re.MULTILINE)
    assert sorted(rows) == [path.relative_to(FOLDER).as_posix() for path in FILES]
