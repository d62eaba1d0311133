"""Files that are read again and again."""

from pathlib import Path

import pytest

from webhook.agent.measuring.keptfile import GoneError, KeptFile


def test_each_read_sees_what_is_in_the_file_then(tmp_path: Path) -> None:
    """The descriptor is kept, not the content; long content comes whole."""
    path = tmp_path / "stat"
    file = KeptFile(str(path))
    for text in (b"1\n", b"22\n", b"line\n" * 5000, b""):
        path.write_bytes(text)
        assert file.read() == text
    file.close()


def test_a_file_that_is_not_there_is_gone(tmp_path: Path) -> None:
    """As often as it is read; once it is there it is read."""
    path = tmp_path / "pod" / "usage"
    file = KeptFile(str(path))
    for _ in range(2):
        with pytest.raises(GoneError, match="usage"):
            file.read()
    path.parent.mkdir()
    path.write_text("7\n")
    assert file.read() == b"7\n"
    file.close()


def test_another_failure_is_not_gone(tmp_path: Path) -> None:
    """A folder in the place of a file has a name, a reason and no end of its group."""
    with pytest.raises(IsADirectoryError) as raised:
        KeptFile(str(tmp_path)).read()
    assert str(tmp_path) in str(raised.value)


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    """One while the file is read, none after it is closed, or gone."""
    path = tmp_path / "usage"
    path.write_text("7\n")
    before = _open_files()
    file = KeptFile(str(path))
    for _ in range(3):
        file.read()
    assert _open_files() == before + 1
    file.close()
    assert _open_files() == before


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
