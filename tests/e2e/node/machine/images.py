"""Container images without a registry: one program each, written as OCI archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

SOURCES: Final = Path(__file__).parent / "images"
PAUSE: Final = "localhost/pause:1"
BURNER: Final = "localhost/burner:1"
WEB: Final = "localhost/web:1"
"""`images/burner.c` and `images/web.c` say what they do."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build(folder: Path) -> list[Path]:
    """Compile each program and write its image into ``folder``; return the archives."""
    return [_image(folder, name) for name in (PAUSE, BURNER, WEB)]


def _image(folder: Path, name: str) -> Path:
    program = name.removeprefix("localhost/").partition(":")[0]
    binary = folder / program
    subprocess.run(  # noqa: S603 — our own program
        ["/usr/bin/env", "cc", "-static", "-O2", "-o", binary, SOURCES / f"{program}.c"], check=True
    )
    archive = folder / f"{program}.tar"
    write(archive, name, {program: binary.read_bytes()}, entrypoint=[f"/{program}"])
    return archive


def save_binary(archive: Path, name: str, binary: Path) -> None:
    """Write an image of a program of this machine with its libraries; found by its name, as on a PATH."""
    linked = subprocess.run(  # noqa: S603 — our own program
        ["/usr/bin/env", "ldd", binary], capture_output=True, text=True, check=False
    )
    libraries = re.findall(r"(/\S+) \(0x", linked.stdout)  # none of a static program
    files = {each.removeprefix("/"): Path(each).read_bytes() for each in libraries}
    program = f"usr/local/bin/{binary.name}"
    write(archive, name, {program: binary.read_bytes(), **files}, entrypoint=[f"/{program}"])


def write(
    archive: Path,
    name: str,
    files: Mapping[str, bytes],
    links: Mapping[str, str] = MappingProxyType({}),
    *,
    entrypoint: Sequence[str],
) -> None:
    """Write an image of one layer; paths of programs and links have no leading slash."""
    layer = _tar({path: (content, 0o755) for path, content in files.items()}, links)
    compressed = gzip.compress(layer, mtime=0)
    blobs: dict[str, bytes] = {}

    def blob(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def document(kind: str, content: dict[str, Any]) -> dict[str, Any]:
        return blob(kind, json.dumps(content).encode())

    oci = "application/vnd.oci.image"
    config = document(
        f"{oci}.config.v1+json",
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        },
    )
    manifest = {
        "schemaVersion": 2,
        "config": config,
        "layers": [blob(f"{oci}.layer.v1.tar+gzip", compressed)],
    }
    described = document(f"{oci}.manifest.v1+json", manifest)
    described["annotations"] = {"io.containerd.image.name": name}
    index = {"schemaVersion": 2, "manifests": [described]}
    contents = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **blobs,
    }
    archive.write_bytes(_tar({path: (content, 0o644) for path, content in contents.items()}))


def _tar(files: Mapping[str, tuple[bytes, int]], links: Mapping[str, str] = MappingProxyType({})) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return written.getvalue()
