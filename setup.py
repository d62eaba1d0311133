"""Builds the one native part of the package; everything else is in pyproject.toml."""

from __future__ import annotations

import platform
import sys

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError


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


# The binding uses the stable ABI: one wheel serves every CPython from 3.11 on.
stable = platform.python_implementation() == "CPython"
setup(
    cffi_modules=["webhook/cpuset/_build.py:ffibuilder"],
    cmdclass={"build_ext": BuildAllocator},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable else {},
)
