"""What a real node needs of this machine, found by trying; as a program it says what is lacking, a line each.

The standard library is enough for it: continuous integration asks before anything is installed.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent

_CONTROLLERS = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd")
_OVERLAY = "mkdir low up work both && mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work both"


def lacking() -> Iterator[str]:
    """Yield what this machine lacks for a node, each in one line; the trials leave nothing behind."""
    for name in _said(str(HERE / "install.sh"), "--list").split():
        yield f"the Debian package {name}"
    missing = [name for name in _CONTROLLERS if not Path("/sys/fs/cgroup", name, "cgroup.procs").exists()]
    if missing:
        yield f"cgroup v1: no hierarchy of {', '.join(missing)} in /sys/fs/cgroup"
    if os.geteuid() != 0:
        yield "root"
        return
    with tempfile.TemporaryDirectory() as folder:
        said = _said("unshare", "--mount", "--propagation", "private", "sh", "-c", _OVERLAY, folder=folder)
        if said:
            yield f"overlayfs in {tempfile.gettempdir()}: {said}"
        said = _said(str(HERE / "keeper.sh"), folder, f"colocation-node-{secrets.token_hex(4)}")
        if said or not Path(folder, "first").exists():
            yield f"namespaces and cgroups of its own: {said or 'they did not come to be'}"


def _said(*command: str, folder: str = "/") -> str:
    """Return the first line that a command says, on either stream: a trial is silent where all is well."""
    try:
        done = subprocess.run(  # noqa: S603 — our own commands
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        return str(error)
    return done.stdout.strip().partition("\n")[0]


if __name__ == "__main__":
    said = False
    for said in lacking():
        print(f"a real node lacks here: {said}", flush=True)
    if not said:
        print("a real node lacks nothing here")
