"""The wheel: the same commit gives the same bits."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.image.build import ROOT, command


def built(folder: Path, *, umask: int, epoch: str | None = None) -> Path:
    """The wheel of the working tree's files, in a folder of its own with a history of its own."""
    folder.mkdir(parents=True)
    for name in command("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        target = folder / name
        if (ROOT / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod(0o666 & ~umask)
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    environment |= {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "n"), ("EMAIL", "e@example.com"), ("DATE", "1700000000 +0000"))
    }
    if epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = epoch
    git = ["git", "-c", "init.defaultBranch=main", "-C", str(folder)]
    for line in ([*git, "init", "-q"], [*git, "add", "-A"], [*git, "commit", "-qm", "one"]):
        subprocess.run(line, check=True, env=environment)  # noqa: S603 — the tests' own command lines
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", "."],
        check=True,
        cwd=folder,
        env=environment,
        umask=umask,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built as most people would."""
    return built(tmp_path_factory.mktemp("wheel") / "a", umask=0o022)


def test_a_second_build_is_the_same(one: Path, tmp_path: Path) -> None:
    """Another folder, another time and another umask: not a bit differs."""
    other = built(tmp_path / "quite" / "another folder", umask=0o077)
    assert other.name == one.name
    assert hashlib.sha256(other.read_bytes()).digest() == hashlib.sha256(one.read_bytes()).digest()


def test_it_is_of_the_time_of_the_commit(one: Path, tmp_path: Path) -> None:
    """The files in it are as old as the commit, or as SOURCE_DATE_EPOCH says."""
    later = built(tmp_path / "later", umask=0o022, epoch="1800000000")
    for wheel, moment in ((one, (2023, 11, 14, 22, 13, 20)), (later, (2027, 1, 15, 8, 0, 0))):
        with zipfile.ZipFile(wheel) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {moment}


def test_it_tells_nothing_of_the_builder(one: Path) -> None:
    """No path of the machine in any file, compiled ones among them."""
    with zipfile.ZipFile(one) as archive:
        for entry in archive.infolist():
            content = archive.read(entry)
            assert str(one.parents[1]).encode() not in content, entry.filename
            assert not re.search(rb"/(home|root|tmp)/[a-z]", content), entry.filename
