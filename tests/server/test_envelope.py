"""The rules of HTTP around a review."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.admission.review import ReviewError
from webhook.server.envelope import budget, check_content_type


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        *(("", 10), ("timeout=", 10), ("timeout=0s", 10), ("other=1", 10), ("timeout=10s", 10)),
        *(("timeout=300ms", 0.3), ("timeout=1m30s", 30), ("timeout=1.5s", 1.5), ("timeout=.5s&x=y", 0.5)),
        *(("timeout=2500us", 0.0025), ("timeout=1h", 30), ("timeout=%2B2s", 2), ("timeout=5%C2%B5s", 5e-6)),
    ],
)
def test_budget_is_a_go_duration_of_at_most_30_seconds(query, seconds):
    """Absent or zero is the API server's default."""
    assert budget(query) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["10", "soon", "-1s", "1d", "1s ", "1,5s", "1e3s", "٣s", "9" * 70 + "s"])
def test_a_malformed_budget_is_a_400_that_shows_it(text):
    """A guess would hide the mistake."""
    with pytest.raises(ReviewError, match="timeout=") as caught:
        budget(f"timeout={text}")
    assert caught.value.status == 400


@given(st.text(max_size=80))
def test_any_query_gives_a_budget_or_a_400(query):
    """Nothing else is ever raised."""
    try:
        seconds = budget(f"timeout={query}")
    except ReviewError:
        return
    assert 0 < seconds <= 30


@pytest.mark.parametrize(
    "value", ["application/json", "Application/JSON; charset=utf-8", " application/json "]
)
def test_json_is_accepted_in_any_spelling(value):
    """Case and parameters do not matter."""
    check_content_type(value)


@pytest.mark.parametrize("value", ["", "text/plain", "application/yaml", "application/json5", "x" * 500])
def test_other_types_are_a_415_that_names_them(value):
    """The message is short, whatever came."""
    with pytest.raises(ReviewError, match="application/json") as caught:
        check_content_type(value)
    assert caught.value.status == 415
    assert len(str(caught.value)) < 200
