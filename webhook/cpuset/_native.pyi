# The compiled binding; its functions are documented in native/cpuset_alloc.h.
from typing import Any

ffi: Any
lib: Any
