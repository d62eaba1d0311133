"""Messages quote values on one short line."""

from hypothesis import given
from hypothesis import strategies as st

from webhook.pods.text import shown

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)


def quoted(value):
    """The whole of it."""
    if isinstance(value, list):
        return f"[{', '.join(map(quoted, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(name)}: {quoted(of)}" for name, of in value.items()) + "}"
    return "null" if value is None else repr(value)


@given(JSON)
def test_a_value_is_shown_on_one_line_of_at_most_80_characters(value):
    """Short values are shown whole, long ones are cut and end in an ellipsis; nothing is null, as in JSON."""
    text, whole = shown(value), quoted(value)
    assert len(text.splitlines()) == 1
    assert len(text) <= 80
    assert text == whole or (text.endswith("…") and whole.startswith(text[:-1]))


class Endless(list):
    """A list that fails when more than a few of its elements are asked for."""

    def __iter__(self):
        """Yield itself, as a document of aliases does, and no more than a line can show."""
        for _ in range(80):
            yield self
        raise AssertionError("more was written out than is shown")


ENDLESS = st.recursive(st.just(Endless([0])), lambda inner: st.lists(inner, min_size=1), max_leaves=5)


@given(ENDLESS)
def test_no_more_is_written_out_than_is_shown(value):
    """However much a value holds, only what fits is looked at."""
    assert len(shown(value)) == 80
