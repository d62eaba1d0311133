"""Amounts of cpu and memory, exact, and the sums that are made of them.

An amount is a whole number of billionths: of a core, of a byte. What is offered is rounded down
in the end: to a milli-core, to a byte.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from webhook.pods.quantities import NANO, QuantityError, parse, text_of
from webhook.protocol import CPU, MEMORY, NATIVE_RESOURCES

UNIT: Final[Mapping[str, int]] = {CPU: NANO // 1000, MEMORY: NANO}
"""Billionths in what is offered of each: a milli-core, a byte."""


class Amounts(NamedTuple):
    """An amount of each resource."""

    cpu: int = 0
    memory: int = 0

    def of(self, resource: str) -> int:
        """Return the amount of ``cpu`` or ``memory``."""
        return self.cpu if resource == CPU else self.memory


NOTHING: Final = Amounts()


def added(amounts: Collection[Amounts]) -> Amounts:
    """Return the sum of amounts."""
    return Amounts(*map(sum, zip(*amounts, strict=True))) if amounts else NOTHING


class Step(StrEnum):
    """What a term does to the sum before it."""

    START = "start"
    PLUS = "plus"
    MINUS = "minus"
    TIMES = "times"
    AT_MOST = "atMost"
    AT_LEAST = "atLeast"


class Term(NamedTuple):
    """One line of a sum.

    Attributes:
        step: what is done.
        name: of the term, the same for every node.
        amount: with TIMES a factor in billionths.
        why: where the amount comes from.
    """

    step: Step
    name: str
    amount: int
    why: str = ""


def total(terms: Iterable[Term], value: int = 0) -> int:
    """Return what a sum comes to, in billionths.

    Args:
        terms: in order.
        value: what earlier terms came to.
    """
    for step, _, amount, _ in terms:
        if step is Step.START:
            value = amount
        elif step is Step.PLUS:
            value += amount
        elif step is Step.MINUS:
            value -= amount
        elif step is Step.TIMES:
            value = value * amount // NANO
        elif step is Step.AT_MOST:
            value = min(value, amount)
        else:
            value = max(value, amount)
    return value


@dataclass(slots=True)
class Reading:
    """Reads quantities, and collects what cannot be read."""

    findings: list[str]

    def resources(self, raw: object, at: str) -> dict[str, int]:
        """Return cpu and memory of a map of quantities, as far as they are there and can be read.

        A negative one counts as nothing.
        """
        found: dict[str, int] = {}
        if not isinstance(raw, Mapping):
            if raw is not None:
                self.findings.append(f"{at}: is no map of quantities")
            return found
        for resource in NATIVE_RESOURCES:
            if (value := raw.get(resource)) is not None:
                amount = self.quantity(value, f"{at}[{resource}]")
                if amount is not None:
                    found[resource] = amount
        return found

    def quantity(self, raw: Any, at: str) -> int | None:  # noqa: ANN401 — whatever stands there
        """Return one quantity in billionths, 0 for a negative one, None for none."""
        try:
            amount = parse(raw if isinstance(raw, str) else text_of(raw))
        except QuantityError as error:
            self.findings.append(f"{at}: {error}")
            return None
        if amount < 0:
            self.findings.append(f"{at}: {raw} is negative; it counts as 0")
        return max(0, amount)


def amounts(of: Mapping[str, int]) -> Amounts:
    """Return what a map has of each resource, 0 of one that is absent."""
    return Amounts(of.get(CPU, 0), of.get(MEMORY, 0))
