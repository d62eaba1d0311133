"""Addresses of flags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.process.address import split_address


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a:1", ("a", 1)),
        (":8443", ("", 8443)),
        ("[::1]:0", ("::1", 0)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
    ],
)
def test_host_and_port(text, wanted):
    """Brackets are of the address, not of the host."""
    assert split_address(text) == wanted


@pytest.mark.parametrize("text", ["", "8443", "a:", "a:65536", "a:-1", "a:٣", "a:1x", "a: 1"])
def test_what_has_no_port_is_refused(text):
    """The message shows what was given."""
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_address(text)


@given(st.text())
def test_any_text_is_split_or_refused(text):
    """Nothing else is raised, and nothing is lost."""
    try:
        host, port = split_address(text)
    except ValueError:
        return
    assert text.removeprefix("[").startswith(host)
    assert text.rpartition(":")[2].lstrip("0") in {str(port), ""}
