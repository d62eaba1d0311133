"""Build script of the native allocator, run by setuptools through cffi.

The interface is read from ``native/cpuset_alloc.h`` itself, so that header and
binding cannot differ. Imports nothing of this package, for it is run before the
package can be imported.
"""

import re
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "topology",
    "cpuset_alloc",
    "regular",
    "general",
    "be",
    "be_tables",
    "be_window",
    "hints",
    "best_nodes",
    "cpulist",
)


def declarations(header: str) -> str:
    """Return a C header without its preprocessor lines, as ``FFI.cdef`` wants it."""
    return re.sub(r"^#.*$", "", header, flags=re.MULTILINE)


ffibuilder = FFI()
ffibuilder.cdef(declarations((ROOT / "native" / "cpuset_alloc.h").read_text(encoding="utf-8")))
ffibuilder.set_source(
    "webhook.cpuset._native",
    '#include "cpuset_alloc.h"',
    sources=[f"native/{name}.c" for name in SOURCES],
    include_dirs=["native"],
    depends=["native/cpuset_alloc.h", "native/internal.h", "native/be.h", "native/general.inc"],
    # -g0 and the prefix map: the library does not reveal the folder in which it was built.
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", "-g0", f"-ffile-prefix-map={ROOT}=."],
)
