"""What the image holds, and what it does not."""

from __future__ import annotations

import py_compile
import re
import stat
import tomllib
from pathlib import Path

from tests.image.build import CERTIFICATE, ROOT, Image, command
from tests.image.contents import PREFIX, files, packages

SECRETS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{32}")
"""A private key and not only the words for one."""

TOOLS = {"cc", "gcc", "g++", "c++", "clang", "ld", "as", "make", "pip", "pip3", "git", "cc1"}


def test_the_packages_are_those_listed(root: Path) -> None:
    """The webhook and what image/requirements.txt lists, in those versions, and nothing else."""
    listed = dict(
        line.split("==")
        for line in (ROOT / "image" / "requirements.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    found = {name: version for name, (version, _) in packages(root).items()}
    assert found.pop("colocation-webhook")
    assert found == listed


def test_no_tools(root: Path) -> None:
    """No compiler, no linker, no pip, and no cache of pip's."""
    assert [path for path, _ in files(root) if path.name in TOOLS] == []
    assert not list(root.glob("root/.cache/*"))
    assert not (root / "wheels").exists()


def test_nothing_gives_rights(root: Path) -> None:
    """No file runs as another user or may be written by everybody; ours are root's, who alone writes."""
    for path, status in files(root):
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), path
    for path, status in files(root / PREFIX):
        assert (status.st_uid, status.st_gid) == (0, 0), path
        assert not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH), path
        assert status.st_mode & stat.S_IROTH, path


def test_no_secrets(root: Path, image: Image) -> None:
    """No private key; nothing of how the builder reaches its package index."""
    for path, status in files(root):
        if status.st_size < 1 << 20:
            assert not SECRETS.search(path.read_bytes()), path
    for secret in (CERTIFICATE, "/etc/pip.conf"):
        place = root / secret.lstrip("/")
        assert not place.exists() or place.stat().st_size == 0
    assert "index-url" not in str(image.history)


def test_byte_code_is_there_and_never_looked_behind(root: Path) -> None:
    """Each module of ours and its packages has byte code that Python takes without a look at the source."""
    sources = [path for path, _ in files(root / PREFIX) if path.suffix == ".py"]
    assert len(sources) > 400
    for source in sources:
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.cpython-*.pyc")
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, f"{compiled}: not {py_compile.PycInvalidationMode.UNCHECKED_HASH}"


def test_times_are_those_of_the_commit(root: Path) -> None:
    """No file of ours is of another time than the commit, or SOURCE_DATE_EPOCH."""
    times = {int(status.st_mtime) for _, status in files(root / PREFIX)}
    assert times == {int(command("git", "log", "-1", "--format=%ct"))}


def test_labels(image: Image) -> None:
    """The labels tell which version of what it is, and the commit."""
    labels = image.config["Labels"]
    name = "org.opencontainers.image"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for label, value in (("title", "name"), ("description",) * 2, ("licenses", "license"), ("version",) * 2):
        assert labels[f"{name}.{label}"] == project[value]
    assert labels[f"{name}.revision"] == command("git", "rev-parse", "HEAD").strip()
    assert labels[f"{name}.created"].endswith("Z")
