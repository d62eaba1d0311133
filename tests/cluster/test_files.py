"""The view from a directory of files."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from tests.waiting import until
from webhook.cluster.files import MAX_FILE, FilesSource, SourceError
from webhook.cluster.source import unready

PROFILE = """\
apiVersion: config.koordinator.sh/v1alpha1
kind: ClusterColocationProfile
metadata:
  name: {name}
spec:
  qosClass: {qos}
"""


def write(directory, name, *profiles, qos="BE"):
    """Write a file of profiles."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("---\n".join(PROFILE.format(name=profile, qos=qos) for profile in profiles))
    return path


def loaded(directory, **kwargs):
    """Return a source that has read ``directory``."""
    source = FilesSource(directory, **kwargs)
    source.load()
    return source


def test_every_notation_and_directory_is_read(tmp_path):
    """YAML, YML, JSON, Lists and subdirectories all count; other files do not."""
    write(tmp_path, "a.yaml", "a1", "a2")
    write(tmp_path, "sub/b.yml", "b")
    (tmp_path / "c.json").write_text(
        '{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "config.koordinator.sh/v1alpha1",'
        '"kind": "ClusterColocationProfile", "metadata": {"name": "c"}, "spec": {}}]}'
    )
    (tmp_path / "README.md").write_text("not: [yaml")
    source = loaded(tmp_path, clock=lambda: 12.5)
    assert list(source.view.profiles) == ["a1", "a2", "b", "c"]
    status = source.status
    assert (status.ready, status.error, status.loaded_at) == (True, None, 12.5)
    assert (status.files, status.reload_errors) == (3, 0)


def test_lists_are_opened(tmp_path):
    """A List, a typed list and lists in lists hold objects."""
    profile = {"apiVersion": "config.koordinator.sh/v1alpha1", "kind": "ClusterColocationProfile"}
    typed = {
        "apiVersion": "config.koordinator.sh/v1alpha1",
        "kind": "ClusterColocationProfileList",
        "items": [{"metadata": {"name": "b"}, "spec": {}}],
    }
    inner = {"apiVersion": "v1", "kind": "List", "items": [typed]}
    outer = {"apiVersion": "v1", "kind": "List", "items": [profile | {"metadata": {"name": "a"}}, inner]}
    (tmp_path / "p.json").write_text(json.dumps(outer))
    assert list(loaded(tmp_path).view.profiles) == ["a", "b"]


def test_a_config_map_mount_is_read_once(tmp_path):
    """Its files stand a second time in hidden directories."""
    write(tmp_path, "..2026_01/p.yaml", "p")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "p.yaml").symlink_to("..data/p.yaml")
    assert loaded(tmp_path).status.files == 1


def test_the_swap_of_a_symbolic_link_is_seen(tmp_path):
    """A ConfigMap is updated by renaming a link over ``..data``."""
    write(tmp_path, "..1/p.yaml", "old")
    write(tmp_path, "..2/p.yaml", "new")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "p.yaml").symlink_to("..data/p.yaml")
    source = loaded(tmp_path)
    assert not source.reload_if_changed()
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    assert source.reload_if_changed()
    assert list(source.view.profiles) == ["new"]


def test_a_link_to_a_directory_above_does_not_go_round_for_ever(tmp_path):
    """Each directory is entered once."""
    write(tmp_path, "sub/p.yaml", "p")
    (tmp_path / "sub/up").symlink_to(tmp_path)
    assert loaded(tmp_path).status.files == 1


def test_a_broken_file_keeps_the_last_good_view(tmp_path):
    """The status says what is wrong until the file is good again; errors are counted once each."""
    path = write(tmp_path, "p.yaml", "p")
    source = loaded(tmp_path)
    view = source.view
    path.write_text("apiVersion: v1\nkind: [")
    assert not source.reload_if_changed()
    assert source.view is view
    assert source.status.ready
    assert f"{path}:" in source.status.error
    assert not source.reload_if_changed()
    assert source.status.reload_errors == 1
    write(tmp_path, "p.yaml", "p", "q")
    assert source.reload_if_changed()
    assert source.status.error is None
    assert source.status.reload_errors == 1
    assert len(source.view.profiles) == 2


def test_an_object_that_cannot_be_used_is_named_by_document(tmp_path):
    """File, line and number of the document."""
    path = tmp_path / "p.yaml"
    path.write_text("apiVersion: v1\nkind: Secret\n---\nkind: Namespace\napiVersion: v1\n")
    with pytest.raises(SourceError, match=r"p\.yaml:4 \(document 2 of 2\).*metadata\.name"):
        loaded(tmp_path)


def test_profiles_with_problems_are_listed_and_cost_the_others_nothing(tmp_path):
    """They are in the view, never applied, and in the status with their problems."""
    write(tmp_path, "good.yaml", "good")
    write(tmp_path, "bad.yaml", "bad", qos="best")
    source = loaded(tmp_path)
    assert list(unready(source.view)) == ["bad"]
    assert "spec.qosClass: 'best'" in unready(source.view)["bad"][0]


def test_a_date_as_a_label_is_text_and_a_number_is_a_problem(tmp_path):
    """As with kubectl."""
    text = PROFILE.format(name="p", qos="BE") + "  labels:\n    day: 2024-01-01\n    version: 3\n"
    (tmp_path / "p.yaml").write_text(text)
    problems = unready(loaded(tmp_path).view)["p"]
    assert problems == ("spec.labels[version]: 3 must be a string: quote it",)


@pytest.mark.parametrize("content", [None, b"&a [*a]", b"a\0", b"\xff", b"[" * 10_000, b"just text"])
def test_a_start_without_a_view_is_one_clear_line(tmp_path, content):
    """An empty directory, or a file that is no text, no YAML, no object, or holds itself."""
    if content is not None:
        (tmp_path / "p.yaml").write_bytes(content)
    source = FilesSource(tmp_path)
    with pytest.raises(SourceError) as caught:
        source.load()
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not source.status.ready
    assert source.status.error == str(caught.value)


def test_a_list_that_holds_itself_is_refused(tmp_path):
    """YAML can describe it; no object is so."""
    (tmp_path / "p.yaml").write_text("&l\napiVersion: v1\nkind: List\nitems: [*l]\n")
    with pytest.raises(SourceError, match="or in itself"):
        loaded(tmp_path)


def test_a_missing_directory_at_start_and_later(tmp_path):
    """At start it is an error; later the last good view stays, and the error is counted once."""
    directory = tmp_path / "objects"
    with pytest.raises(SourceError, match="No such file"):
        loaded(directory)
    write(directory, "p.yaml", "p")
    source = loaded(directory)
    directory.rename(tmp_path / "away")
    assert not source.reload_if_changed()
    assert not source.reload_if_changed()
    assert source.status.reload_errors == 1
    assert list(source.view.profiles) == ["p"]
    (tmp_path / "away").rename(directory)
    assert source.reload_if_changed()
    assert source.status.error is None


def test_a_dangling_link_is_named(tmp_path):
    """A file that cannot be reached is an error, not an absent file."""
    (tmp_path / "p.yaml").symlink_to("nowhere")
    with pytest.raises(SourceError, match=r"p\.yaml: No such file"):
        loaded(tmp_path)


def test_watch_reloads_until_it_is_stopped(tmp_path):
    """A change is taken over within an interval; the loop outlives errors."""
    write(tmp_path, "p.yaml", "p")
    source = loaded(tmp_path)
    stop = threading.Event()
    thread = threading.Thread(target=source.watch, args=(stop, 0.01))
    thread.start()
    try:
        (tmp_path / "p.yaml").write_text("[")
        until(lambda: source.status.error)
        write(tmp_path, "p.yaml", "p", "q")
        until(lambda: len(source.view.profiles) == 2)
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()


def test_watch_outlives_a_fault_of_ours(tmp_path, monkeypatch):
    """It is logged and stands in the status; the next good view clears it."""
    write(tmp_path, "p.yaml", "p")
    source = loaded(tmp_path)
    monkeypatch.setattr(source, "reload_if_changed", lambda: 1 / 0)
    stop = threading.Event()
    thread = threading.Thread(target=source.watch, args=(stop, 0.01))
    thread.start()
    try:
        until(lambda: "internal error" in (source.status.error or ""))
        monkeypatch.undo()
        write(tmp_path, "q.yaml", "q")
        until(lambda: source.status.error is None)
    finally:
        stop.set()
        thread.join(5)


def test_reading_many_profiles_is_linear_work(tmp_path):
    """Ten times as many profiles take ten times the function calls: none is compared with all others."""

    def calls(count):
        folder = tmp_path / str(count)
        write(folder, "p.yaml", *(f"p-{i}" for i in range(count)))
        made = 0

        def count_call(_, event, __):
            nonlocal made
            made += event == "call"

        sys.setprofile(count_call)
        try:
            source = loaded(folder)
        finally:
            sys.setprofile(None)
        assert len(source.view.profiles) == count
        return made

    assert calls(1000) < 12 * calls(100)


def test_a_pipe_is_not_waited_for(tmp_path):
    """What is no file is named; nothing hangs, and the watch goes on when it is gone."""
    write(tmp_path, "p.yaml", "p")
    source = loaded(tmp_path)
    os.mkfifo(tmp_path / "q.yaml")
    assert not source.reload_if_changed()
    assert "q.yaml: is no file" in source.status.error
    (tmp_path / "q.yaml").unlink()
    assert source.reload_if_changed()
    assert source.status.error is None


def test_a_file_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    """It would keep the server busy; the view stays, and comes back when the file is short again."""
    write(tmp_path, "a.yaml", "a")
    source = loaded(tmp_path)
    with (tmp_path / "b.yaml").open("wb") as long:
        long.truncate(MAX_FILE + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    assert not source.reload_if_changed()
    assert f"b.yaml: has {MAX_FILE + 1} bytes; at most {MAX_FILE} are read" in source.status.error
    assert list(source.view.profiles) == ["a"]
