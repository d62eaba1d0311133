"""What can be wrong with CPUs, topologies and requests; every error carries its value."""

from __future__ import annotations

from typing import Final

_SHOWN: Final = 120
"""How many characters of a value a message shows; ``value`` holds all of it."""


class CpuSetError(ValueError):
    """Something given to this package cannot be used.

    ``field`` names what was wrong, ``value`` is what was given, ``remedy`` says what
    to give instead. The text is all three in one line.
    """

    def __init__(self, field: str, value: object, problem: str, remedy: str) -> None:
        """Make the error from its evidence."""
        shown = repr(value)
        if len(shown) > _SHOWN:
            shown = shown[:_SHOWN] + "..."
        super().__init__(f"{field} {shown}: {problem}; {remedy}")
        self.field = field
        self.value = value
        self.problem = problem
        self.remedy = remedy


class CpuListError(CpuSetError):
    """A cpulist text is malformed, runs backwards or exceeds the greatest CPU id."""


class TopologyError(CpuSetError):
    """A machine's description is malformed, contradicts itself or is too large."""


class RequestError(CpuSetError):
    """A request is malformed, or names CPUs or NUMA nodes the machine does not have."""


class NotEnoughCpusError(CpuSetError):
    """Fewer CPUs can be had than were asked for.

    ``asked`` and ``possible`` are CPU counts; ``policy`` is the required bind policy
    that stands in the way, or None where there are too few CPUs under any policy.
    """

    def __init__(self, asked: int, possible: int, policy: str | None = None) -> None:
        """Make the error from the counts and the policy."""
        if policy is None:
            problem = f"not enough CPUs, {possible} are available"
            remedy = "ask for fewer or free some"
        else:
            problem = f"the required policy {policy} allows no such number, at most {possible} here"
            remedy = f"ask for {possible} or fewer, or make the policy preferred"
        super().__init__("numCPUs", asked, problem, remedy)
        self.asked = asked
        self.possible = possible
        self.policy = policy


class SharingError(CpuSetError):
    """An assignment would break the rules by which pods share a node's CPUs."""
