"""What the command ``controller`` refuses to do."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--no-capacity"], "--no-capacity leaves nothing to do: give --evict, too"),
        (["--evict", "--evict-node", "0"], "Invalid value for '--evict-node'"),
    ],
)
def test_used_wrongly(run, tmp_path: Path, flags: list[str], says: str) -> None:
    """What leaves nothing to do, and a budget of nothing."""
    config = tmp_path / "kubeconfig"
    config.write_text(
        '{"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "current-context": "c",'
        '"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], '
        '"users": [{"name": "u", "user": {}}]}'
    )
    done = run("controller", "--kubeconfig", config, *flags)
    assert done.exit_code == 2
    assert says in done.output
