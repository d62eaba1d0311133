"""Files that have no end, or too much in them, are not read to it."""

import io
from pathlib import Path

import pytest

from webhook.kube.files import TooLongError, read_all, read_file, read_lines


def test_a_file_is_read_whole_up_to_the_limit(tmp_path):
    """A byte more is an error that says so; one that is not there stays the usual error."""
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_file(file, 5) == b"12345"
    with pytest.raises(TooLongError, match="has more than 4 bytes, perhaps no end: give a file"):
        read_file(file, 4)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nowhere")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/urandom"])
def test_a_device_has_no_end(device):
    """It is left after so many bytes."""
    with pytest.raises(TooLongError):
        read_file(Path(device), 1 << 20)


def test_lines_are_bounded_one_by_one():
    """Their number is not."""
    assert list(read_lines(io.BytesIO(b"ab\n" * 5 + b"c"), 3)) == [b"ab\n"] * 5 + [b"c"]
    assert list(read_lines(io.StringIO("ab\n"), 3)) == ["ab\n"]
    lines = read_lines(io.BytesIO(b"ab\nabc\n"), 3)
    assert next(lines) == b"ab\n"
    with pytest.raises(TooLongError, match="line 2 has more than 3 bytes"):
        next(lines)
    with pytest.raises(TooLongError):
        read_all(io.StringIO("abcd"), 3)
