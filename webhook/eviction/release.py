"""How much is to be released, from figures alone: agents ask by it, and the controller checks them by it.

CPU is counted in milli-cores, memory in bytes. Source: Koordinator's evictors. Where one of the figures is
missing, not positive where it has to be, or beyond what a node can have, nothing is released.
"""

from collections.abc import Mapping
from typing import Final

from webhook.eviction.thresholds import Form

Figures = Mapping[str, int]

_WHOLE: Final = 100
_CORE: Final = 1000
MOST: Final = 2**60
"""No figure of a node is as great."""

_CPU: Final = frozenset({Form.BE_CPU, Form.CPU_ALLOCATABLE, Form.CPU})
_BY_REQUESTS: Final = frozenset({Form.CPU_ALLOCATABLE, Form.MEMORY_ALLOCATABLE})
_MEANS: Final = (("limit", "requested", "used"), ("meanLimit", "meanRequested", "meanUsed"))


def of_cpu(form: Form) -> bool:
    """Whether a form is about CPU; else it is about memory."""
    return form in _CPU


def by_requests(form: Form) -> bool:
    """Whether a form compares what pods request with what the node offers; else it is about use."""
    return form in _BY_REQUESTS


def release_of(form: Form, figures: Figures) -> int:
    """Return how much is to be released, 0: nothing.

    Args:
        form: why.
        figures: of BECPUEvict ``limit``, ``requested``, ``used`` (now), ``meanLimit``, ``meanRequested``,
            ``meanUsed``, and the percentages ``lower``, ``upper``, ``usage``; of the others ``used`` and
            ``capacity``, or ``requested`` and ``allocatable``, and the percentages ``threshold``, ``lower``.
    """
    if any(not -MOST < value < MOST for value in figures.values()):
        return 0
    try:
        if form is Form.BE_CPU:
            return min(_unsatisfied(figures, *names) for names in _MEANS)
        if by_requests(form):
            return _beyond(figures, figures["requested"], figures["allocatable"])
        return _used_up(figures, figures["used"], figures["capacity"])
    except KeyError:
        return 0


def _unsatisfied(figures: Figures, limit_name: str, requested_name: str, used_name: str) -> int:
    """Return what to release so that satisfaction is the upper bound; a limit of 0 says nothing."""
    limit, requested, used = figures[limit_name], figures[requested_name], figures[used_name]
    if limit <= 0 or requested <= 0 or used < 0:
        return 0
    busy = limit < _CORE or used * _WHOLE >= limit * figures["usage"]
    if not busy or limit * _WHOLE > requested * figures["lower"]:
        return 0
    return max(0, requested * figures["upper"] // _WHOLE - limit)


def _used_up(figures: Figures, used: int, capacity: int) -> int:
    if capacity <= 0 or used < 0:
        return 0
    percent = used * _WHOLE // capacity
    if percent < figures["threshold"]:
        return 0
    return max(0, capacity * (percent - figures["lower"]) // _WHOLE)


def _beyond(figures: Figures, requested: int, allocatable: int) -> int:
    """Return what is requested above the lower bound; a resource that is not offered says nothing."""
    if allocatable <= 0 or requested * _WHOLE <= allocatable * figures["threshold"]:
        return 0
    return max(0, requested - allocatable * figures["lower"] // _WHOLE)
