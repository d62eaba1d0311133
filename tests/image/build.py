"""The image, built by ``make image``'s own script on bases made here, and what buildah knows about it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAME = "localhost/colocation-webhook:test"
CERTIFICATE = "/etc/pip.crt"
"""Where the Dockerfile mounts the secret pip.crt."""


def command(*arguments: str | Path, env: dict[str, str] | None = None, keeps: Sequence[int] = ()) -> str:
    """What a command prints; a failing one is an AssertionError with all it said.

    Args:
        arguments: of the command, its name first.
        env: beside this process's own.
        keeps: file descriptors that stay open until it has ended, also where this process ends before.
    """
    done = subprocess.run(  # noqa: S603 — the tests' own command lines
        [str(each) for each in arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        pass_fds=keeps,
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    return done.stdout


class Bases(NamedTuple):
    """What base.sh printed."""

    storage: str
    network: str
    build: str
    slim: str

    @property
    def env(self) -> dict[str, str]:
        """What keeps buildah to its folder."""
        return {"CONTAINERS_STORAGE_CONF": self.storage, "CONTAINERS_CONF": self.network}


class Image:
    """One built image, in buildah's storage."""

    def __init__(self, bases: Bases) -> None:
        self.bases = bases
        self._env = bases.env
        described = json.loads(self.buildah("inspect", "--type", "image", NAME))
        self.config: dict[str, Any] = described["Docker"]["config"]
        self.history: list[dict[str, Any]] = described["OCIv1"]["history"]

    def buildah(self, *arguments: str) -> str:
        """Run buildah on the storage."""
        return command("buildah", *arguments, env=self._env)

    @contextlib.contextmanager
    def mounted(self, name: str = NAME) -> Iterator[Path]:
        """The image's root file system, as a folder that nobody else changes."""
        container = self.buildah("from", "--pull-never", name).strip()
        try:
            yield Path(self.buildah("mount", container).strip())
        finally:
            self.buildah("rm", container)

    def save(self, archive: Path) -> None:
        """Write it for a container runtime, its layers as they are."""
        self.buildah("push", "--disable-compression", NAME, f"oci-archive:{archive}:{NAME}")


@contextlib.contextmanager
def built(folder: Path) -> Iterator[Image]:
    """Make the bases, and build the image on them.

    Other runs on this machine wait: they use the same storage, and name their image alike. What a run left
    there that was ended, its containers too, goes first.

    Args:
        folder: for what the build needs of this machine.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colocation-webhook/image"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until all who have it open have ended
        bases = Bases(*command(HERE / "base.sh", cache, keeps=[lock.fileno()]).split())
        yield _build(folder, bases, lock.fileno())


def _build(folder: Path, bases: Bases, lock: int) -> Image:
    flags = ["--build-arg", f"BUILD_BASE={bases.build}", "--build-arg", f"BASE={bases.slim}"]
    # As root in a sandbox: no new namespaces for the build's own commands, which need the package index.
    flags += ["--isolation", "chroot", "--network", "host", "--pull-never"]
    command(
        ROOT / "image" / "build.sh",
        NAME,
        *flags,
        *_secrets(folder),
        env={**bases.env, "PATH": _without_docker(folder)},
        keeps=[lock],
    )
    return Image(bases)


def _secrets(folder: Path) -> Sequence[str]:
    """The machine's own way to its package index, as the two secrets that the Dockerfile can do without."""
    options = {}
    for line in command("python3", "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        options[name.rpartition(".")[2]] = value.strip("'\"")
    certificate = options.pop("cert", None)
    options.pop("find-links", None)  # folders of this machine
    if certificate:
        options["cert"] = CERTIFICATE
    configuration = folder / "pip.conf"
    lines = [f"{name} = {value}\n" for name, value in options.items()]
    configuration.write_text("".join(["[global]\n", *lines]))
    secrets = ["--secret", f"id=pip.conf,src={configuration}"]
    return [*secrets, "--secret", f"id=pip.crt,src={certificate}"] if certificate else secrets


def _without_docker(folder: Path) -> str:
    """A PATH on which docker never answers: what is tested is there on every machine."""
    docker = folder / "bin" / "docker"
    docker.parent.mkdir(exist_ok=True)
    docker.symlink_to(shutil.which("false") or "/bin/false")
    return os.pathsep.join([str(docker.parent), os.environ["PATH"]])
