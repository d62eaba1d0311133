"""Lines on a terminal: wrapped between words, with an indent that hangs."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cli.terminal import bad, good, muted, wrapped


@pytest.mark.parametrize(
    ("line", "width", "expected"),
    [
        ("short", 80, "short"),
        ("  ✗ one  two three", 0, "  ✗ one  two three"),
        ("one two three", 8, "one two\nthree"),
        ("  ✗ one two three", 10, "  ✗ one\n    two\n    three"),
        ("    → one two three", 14, "    → one two\n      three"),
        ("one a-word-that-is-too-long x", 8, "one a-word-that-is-too-long\nx"),
        ("✗ a-word-that-is-too-long", 8, "✗ a-word-that-is-too-long"),
        ("  · name    one two three", 24, "  · name    one two\n            three"),
        ("  · a-very-long-name    one two three", 29, "  · a-very-long-name    one\n    two three"),
        ("  a column  one two three", 24, "  a column  one two\n            three"),
        ("  + key: one two three", 16, "  + key: one two\n    three"),
        ("", 8, ""),
    ],
)
def test_long_lines_are_broken_between_words(line, width, expected):
    """What follows stands under the text; a word that is too long stays whole; width 0 breaks nothing."""
    assert wrapped(line, width) == expected


def test_colours_take_no_room():
    """Only what can be seen is counted."""
    line = bad("✗ one:") + " two " + muted("three") + good(" four")
    assert click.unstyle(wrapped(line, 12)) == "✗ one: two\n  three four"


WORDS = st.lists(st.text("ab✗:", min_size=1, max_size=12), min_size=1, max_size=20)


@given(words=WORDS, width=st.sampled_from([20, 80, 120]), lead=st.sampled_from(["", "  ✗ ", "    → "]))
def test_no_word_is_lost_or_cut(words, width, lead):
    """The words are the same in the same order, and no line with several is wider than the terminal."""
    lines = wrapped(lead + " ".join(words), width).split("\n")
    assert " ".join(lines).split() == (lead + " ".join(words)).split()
    assert all(len(line) <= width for line in lines)  # as no word is as long as a line
