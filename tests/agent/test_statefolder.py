"""What survives a restart."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from webhook.agent.statefolder import AnotherAgentError, StateFolder, alone


def test_the_second_agent_of_a_node_ends_with_a_clear_word(tmp_path: Path) -> None:
    """The first one has the folder; when it ends, in whatever way, the next one gets it."""
    first, second = (StateFolder(tmp_path / "state") for _ in range(2))
    refused = pytest.raises(AnotherAgentError, match=r"another agent .*--state-dir")
    with first.held(), refused, second.held():
        pass
    with StateFolder(tmp_path / "state").held():
        pass


def test_an_agent_that_is_killed_leaves_the_folder_free(tmp_path: Path) -> None:
    """The kernel lets go of the lock."""
    code = f"""
import pathlib, sys, time
from webhook.agent.statefolder import StateFolder
with StateFolder(pathlib.Path({str(tmp_path)!r})).held():
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:  # noqa: S603
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(AnotherAgentError, match=str(other.pid)), StateFolder(tmp_path).held():
            pass
        other.kill()
    with StateFolder(tmp_path).held():
        pass


def test_one_agent_has_the_pods_of_a_node(tmp_path: Path) -> None:
    """Whatever folders their state is in; what goes wrong meanwhile is no second agent."""
    refused = pytest.raises(AnotherAgentError, match=f"{tmp_path}: another agent of this node works on these")
    with alone(tmp_path), refused, alone(tmp_path):
        pass
    with pytest.raises(BlockingIOError, match="mine"), alone(tmp_path):
        raise BlockingIOError("mine")
    with alone(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """And nothing else lies there."""
    folder = StateFolder(tmp_path)
    assert folder.read("a.json") is None
    assert folder.write("a.json", {"x": [1.5]})
    assert folder.write("a.json", {"x": [2.5]})
    assert folder.read("a.json") == {"x": [2.5]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_broken_file_counts_as_none_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a file, as after a power cut on a disk that lies."""
    (tmp_path / "a.json").write_text('{"x": [1')
    assert StateFolder(tmp_path).read("a.json") is None
    assert "a.json cannot be read" in caplog.text


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a word; the agent goes on."""
    folder = StateFolder(tmp_path)
    folder.write("a.json", 1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert not folder.write("a.json", 2)
    assert folder.read("a.json") == 1
    assert "No space left" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
