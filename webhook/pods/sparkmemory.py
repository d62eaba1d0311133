"""How much memory Spark asks Kubernetes for.

Source: Spark 4, ``BasicDriverFeatureStep`` and ``BasicExecutorFeatureStep``. All
figures are in MiB.
"""

import re
from collections.abc import Mapping
from typing import Final

from webhook.pods.text import shown

MIN_OVERHEAD: Final = 384
DEFAULT_MEMORY: Final = "1g"
# Outside the JVM (Python, R) a process of its own needs memory too.
FACTOR: Final = 0.1
FACTOR_NON_JVM: Final = 0.4
NON_JVM_TYPES: Final = frozenset({"Python", "R"})

_FORM = re.compile(r"([0-9]+)([a-z]*)", re.ASCII)
_KIB: Final[Mapping[str, int]] = {
    **{unit + end: 2 ** (10 * power) for power, unit in enumerate("kmgtp") for end in ("", "b")},
    "": 2**10,  # Spark's memory settings count in MiB where no unit is written
}


def mebibytes(text: str) -> int:
    """Return a size in Spark's notation (512m, 3g, 1024) in MiB, rounded down as Spark does.

    Raises:
        ValueError: not Spark's notation; Kubernetes' own (3Gi) is not.
    """
    form = _FORM.fullmatch(text.strip().lower())
    if form and form[2] == "b":
        return int(form[1]) // 2**20
    if not form or form[2] not in _KIB:
        raise ValueError(f"{shown(text)} is not a size as Spark writes it: use 512m or 3g")
    return int(form[1]) * _KIB[form[2]] // 2**10


def default_factor(application_type: str) -> float:
    """Return the share of the memory that is added for everything outside the heap."""
    return FACTOR_NON_JVM if application_type in NON_JVM_TYPES else FACTOR


def with_overhead(memory: int, factor: float, overhead: int | None = None) -> int:
    """Return what a container asks for: its memory and ``overhead``, by ``factor`` where not given."""
    return memory + (max(int(factor * memory), MIN_OVERHEAD) if overhead is None else overhead)
