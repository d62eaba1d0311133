"""Files given to commands that have no end: each command says so and ends."""

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("preview", "/dev/zero", "--objects"),
        ("cpuset", "plan", "/dev/zero", "--topology", "1x1x4x2"),
        ("cpuset", "allocate", "/dev/zero"),
        ("serve", "--no-tls", "--signing-key", "/dev/zero", "--objects"),
        ("serve", "--tls-cert", "/dev/zero", "--tls-key", "/dev/zero", "--objects"),
        ("serve", "--client-ca", "/dev/zero", "--objects"),
        ("doctor", "--kubeconfig", "/dev/zero"),
    ],
    ids=" ".join,
)
def test_something_endless_in_the_place_of_a_file(run, examples, arguments, tmp_path, monkeypatch):
    """One line that names what was given; nothing is read to its end."""
    monkeypatch.chdir(tmp_path)
    objects = (examples / "objects",) if arguments[-1] == "--objects" else ()
    result = run(*arguments, *objects)
    assert result.exit_code in {1, 2}
    (message,) = [line for line in result.stderr.splitlines() if "has more than" in line]
    assert message.startswith("Error: ")
    assert "perhaps no end" in message
