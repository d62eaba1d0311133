"""Messages quote values on one short line."""

from hypothesis import given
from hypothesis import strategies as st

from webhook.pods.text import shown


@given(st.text() | st.lists(st.text(max_size=50)) | st.integers())
def test_a_value_is_shown_on_one_line_of_at_most_80_characters(value):
    """Short values are shown whole, long ones are cut and end in an ellipsis."""
    text = shown(value)
    assert len(text.splitlines()) == 1
    assert len(text) <= 80
    assert text == repr(value) or (text.endswith("…") and repr(value).startswith(text[:-1]))
