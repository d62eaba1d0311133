"""What is in the image: ``python -m tests.image.contents`` builds it and prints docs/image.md's tables."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.image.build import NAME, Image, built

PREFIX = "opt/colocation-webhook"


def files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every regular file below a folder, with what is known of it; no device and no link."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield path, status


def size(root: Path) -> int:
    """Bytes of all files below a folder; one with several names counts once."""
    return sum({status.st_ino: status.st_size for _, status in files(root)}.values())


def packages(root: Path) -> dict[str, tuple[str, int]]:
    """Version and bytes of each Python package, its byte code included."""
    (place,) = (root / PREFIX / "lib").glob("python3.*/site-packages")
    found = {}
    for each in importlib.metadata.distributions(path=[str(place)]):
        own = {Path(str(each.locate_file(file))) for file in each.files or []}
        own |= {Path(importlib.util.cache_from_source(str(path))) for path in own if path.suffix == ".py"}
        name = each.metadata["Name"].lower().replace("_", "-")
        found[name] = each.version, sum(path.lstat().st_size for path in own if path.is_file())
    return found


def tables(image: Image) -> str:
    """Both tables in Markdown: the image's parts, and the Python packages among them."""
    with image.mounted(image.bases.slim) as base, image.mounted(NAME) as root:
        beneath, whole, ours = size(base), size(root), size(root / PREFIX)
        parts = {
            "Debian 12 with its Python, in place of `python:3.11-slim`": beneath,
            "byte code of the standard library, where the base lacks it": whole - beneath - ours,
            f"`/{PREFIX}`": ours,
            "all": whole,
        }
        lines = ["| part | MiB |", "|---|---|"]
        lines += [f"| {part} | {_mebibytes(bytes_)} |" for part, bytes_ in parts.items()]
        lines += ["", "| package | version | MiB |", "|---|---|---|"]
        ordered = sorted(packages(root).items(), key=lambda item: (-item[1][1], item[0]))
        lines += [f"| {name} | {version} | {_mebibytes(bytes_)} |" for name, (version, bytes_) in ordered]
    return "\n".join(lines)


def _mebibytes(number: int) -> str:
    return f"{number / (1 << 20):.1f}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, built(Path(scratch)) as built_image:
        print(tables(built_image))
