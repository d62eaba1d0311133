"""Where ``serve`` listens: refused before anything is read, if it is nowhere."""

import pytest


@pytest.mark.parametrize("flag", ["--bind", "--admin-bind"])
@pytest.mark.parametrize("address", ["foo", "8443", "", "localhost:70000", ":-1"])
def test_what_is_no_address_is_refused_first(run, tmp_path, flag, address):
    """The flag is named, although the profiles cannot be read either."""
    (tmp_path / "profiles.yaml").write_text("{")
    result = run("serve", "--objects", tmp_path, flag, address)
    assert result.exit_code == 2
    assert f"{flag}: {address!r} is not HOST:PORT; write for example {flag} 127.0.0.1:8443" in result.output
