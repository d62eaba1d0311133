"""Which form the log has."""

import sys

import pytest

from webhook.process.log import chosen


@pytest.mark.parametrize(("terminal", "form"), [(True, "text"), (False, "json")])
def test_the_form_that_fits_the_reader(monkeypatch, terminal, form):
    """Text for somebody at a terminal, JSON for a collector; what is stated holds."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert chosen("auto") == form
    assert [chosen(stated) for stated in ("json", "text")] == ["json", "text"]
