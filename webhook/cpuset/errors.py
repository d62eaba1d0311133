"""The errors about CPUs, topologies and requests, each with the value at fault."""

from typing import Final

_SHOWN: Final = 120
"""How many characters of a value a message shows; ``value`` holds the whole value."""


class CpuSetError(ValueError):
    """An invalid argument.

    ``field`` names the argument, ``value`` is its value, ``problem`` says what is wrong and
    ``remedy`` what to give instead. The text is all four in one line.
    """

    def __init__(self, field: str, value: object, problem: str, remedy: str) -> None:
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
    """The description of a machine is malformed, inconsistent or too large."""


class RequestError(CpuSetError):
    """A request is malformed, or names CPUs or NUMA nodes that the machine does not have."""


class NotEnoughCpusError(CpuSetError):
    """Fewer CPUs can be allocated than were requested.

    ``asked`` and ``possible`` are CPU counts; ``policy`` is the required bind policy that
    prevents the allocation, or None if there are too few CPUs under any policy.
    """

    def __init__(self, asked: int, possible: int, policy: str | None = None) -> None:
        if policy is None:
            problem = f"not enough CPUs, {possible} are available"
            remedy = "request fewer or free some"
        else:
            problem = f"the required policy {policy} allows at most {possible} here"
            remedy = f"request {possible} or fewer, or make the policy preferred"
        super().__init__("numCPUs", asked, problem, remedy)
        self.asked = asked
        self.possible = possible
        self.policy = policy


class SharingError(CpuSetError):
    """An assignment would break the rules for sharing a node's CPUs."""


class DefectError(CpuSetError):
    """The native code refused arguments that were checked before, with a status that it should not give."""

    def __init__(self, field: str, value: object, status: int) -> None:
        problem = f"was refused with status {status}"
        super().__init__(field, value, problem, "this is a defect of the library, please report it")


def check_integer(
    field: str,
    value: object,
    what: str,
    *,
    least: int = 0,
    most: int | None = None,
    error: type[CpuSetError] = RequestError,
) -> int:
    """Return ``value``, which must be an integer from ``least`` to ``most`` (None: without an end).

    Raises ``error``, which says that the value is not ``what``.
    """
    if (
        isinstance(value, int)
        and value is not True
        and value is not False
        and value >= least
        and (most is None or value <= most)
    ):
        return value
    end = "on" if most is None else f"to {most}"
    raise error(field, value, f"is not {what}", f"give an integer from {least} {end}")
