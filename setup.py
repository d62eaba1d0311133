"""Builds the one native part of the package, and the same wheel each time; the rest is in pyproject.toml."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

ROOT = Path(__file__).resolve().parent
ZIP_BEGINS = 315532800
"""1980-01-01, the first moment that a zip archive can name."""


class BuildAllocator(build_ext):
    """Says in one sentence what is missing where the C sources cannot be compiled."""

    def run(self) -> None:
        """Build the extension; SystemExit with the remedy if that fails."""
        try:
            super().run()
        except (CCompilerError, BaseError, OSError) as error:
            message = (
                f"colocation-webhook: the CPU-set allocator (native/*.c) could not be compiled: "
                f"{error}. A source build needs a C11 compiler (gcc or clang; on Debian: "
                f"apt-get install gcc libc6-dev python3-dev) on a 64-bit system; "
                f"or install a wheel, which carries it compiled."
            )
            sys.exit(message)


class SameWheel(bdist_wheel):
    """A wheel that depends on the commit and the compiler, not on when, where and by whom it is built."""

    def run(self) -> None:
        """Build it, as of the time of the commit unless SOURCE_DATE_EPOCH says another."""
        if not os.environ.get("SOURCE_DATE_EPOCH"):
            os.environ["SOURCE_DATE_EPOCH"] = _commit_time()
        super().run()

    def write_wheelfile(self, wheelfile_base: str, *arguments: str) -> None:
        """Write the last of the files; then take from all of them what the umask and the checkout gave."""
        super().write_wheelfile(wheelfile_base, *arguments)
        for folder, _, files in os.walk(self.bdist_dir):
            for name in files:
                path = Path(folder, name)
                path.chmod(0o755 if path.suffix == ".so" else 0o644)


def _commit_time() -> str:
    """Seconds since 1970 of the commit that is checked out here; where there is no repository, 1980."""
    try:
        done = subprocess.run(  # noqa: S603 — nothing of it comes from outside
            ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"],  # noqa: S607 — git as the user has it
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return str(ZIP_BEGINS)
    return done.stdout.strip()


# The binding uses the stable ABI: one wheel serves every CPython from 3.11 on.
stable = platform.python_implementation() == "CPython"
setup(
    cffi_modules=["webhook/cpuset/_build.py:ffibuilder"],
    cmdclass={"build_ext": BuildAllocator, "bdist_wheel": SameWheel},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable else {},
)
