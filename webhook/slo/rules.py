"""Rules for JSON: of which type a value is, and in which range; how a value is read by them.

A wrong type makes what is read unusable as a whole, as in Koordinator. A value out of its range is a
problem with a remedy. Fields that no rule knows are kept: a newer agent may know them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from webhook.capacity.strategy import StrategyError
from webhook.pods.quantities import QuantityError, non_negative, text_of
from webhook.pods.text import shown

_INT64: Final = 2**63


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``least`` to ``most``; None: no bound."""

    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text: one of ``choices``, if there are any; ``needed``: not empty."""

    choices: tuple[str, ...] = ()
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity from 0 on, as a text or a number."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """A whole percentage as a number, or bits a second as a quantity in a text."""


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Anything: the field is known, its type differs between versions of the agent."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of values of one rule."""

    of: "Rule"


@dataclass(frozen=True, slots=True)
class Table:
    """An object.

    Attributes:
        fields: by their JSON names.
        ordered: pairs of fields of which the first has to be less than the second, where both are given.
        also: yields further problems; called with the object, and with where it stands.
    """

    fields: "Mapping[str, Rule]" = field(default_factory=dict)
    ordered: tuple[tuple[str, str], ...] = ()
    also: Callable[[Mapping[str, Any], str], Iterator[str]] = lambda *_: iter(())


_PERCENT: Final = Whole(0, 100)

Rule = Whole | Flag | Text | Amount | Bandwidth | Unchecked | Listed | Table


@dataclass(slots=True)
class Reading:
    """What was found while reading.

    Attributes:
        problems: values that cannot be meant, each with its place and the remedy.
        notes: fields that no rule knows, or that are written in another way.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read(self, rule: Rule, raw: object, at: str) -> Any:  # noqa: ANN401 — the rule says which type
        """Return a value as it is handed on.

        Args:
            rule: for it.
            raw: the value, not None.
            at: where it stands, for messages.

        Raises:
            StrategyError: it has the wrong JSON type.
        """
        match rule:
            case Table():
                return self._table(rule, raw, at)
            case Listed(of):
                if not isinstance(raw, list):
                    raise StrategyError(f"{at}: {shown(raw)} is no list")
                return [self.read(of, each, f"{at}[{i}]") for i, each in enumerate(raw) if each is not None]
            case Flag() if not isinstance(raw, bool):
                raise StrategyError(f"{at}: {shown(raw)} is not true or false, without quotes")
            case Whole():
                self._whole(rule, raw, at)
            case Text():
                self._text(rule, raw, at)
            case Amount() | Bandwidth():
                self._amount(rule, raw, at)
        return raw

    def _table(self, rule: Table, raw: object, at: str) -> dict[str, Any]:
        if not isinstance(raw, Mapping):
            raise StrategyError(f"{at}: {shown(raw)} is no JSON object")
        names: dict[str, str] = {name.lower(): name for name in rule.fields}
        found: dict[str, Any] = {}
        for written, value in raw.items():
            name = names.get(written.lower(), str(written))
            known = rule.fields.get(name)
            if name != written:
                self.notes.append(f"{at}.{written}: is taken for {name}; write it so")
            elif known is None:
                self.notes.append(f"{at}.{written}: is unknown; it is handed on as it is")
            if value is not None:
                found[name] = value if known is None else self.read(known, value, f"{at}.{name}")
        for lower, upper in rule.ordered:
            if lower in found and upper in found and found[lower] >= found[upper]:
                self.problems.append(
                    f"{at}.{lower}: {found[lower]} is not less than {upper}, which is {found[upper]}"
                )
        self.problems.extend(rule.also(found, at))
        return found

    def _whole(self, rule: Whole, raw: object, at: str) -> None:
        if isinstance(raw, bool) or not isinstance(raw, int) or not -_INT64 <= raw < _INT64:
            raise StrategyError(f"{at}: {shown(raw)} is not a whole number, without quotes or a point")
        least, most = rule.least, rule.most
        if (least is not None and raw < least) or (most is not None and raw > most):
            bounds = f" from {least}" * (least is not None) + f" to {most}" * (most is not None)
            self.problems.append(f"{at}: {raw} is out of range: write a number{bounds}")

    def _text(self, rule: Text, raw: object, at: str) -> None:
        if not isinstance(raw, str):
            raise StrategyError(f"{at}: {shown(raw)} is not a text: quote it")
        if rule.choices and raw not in rule.choices:
            self.problems.append(f"{at}: {shown(raw)} is unknown: write one of {', '.join(rule.choices)}")
        elif rule.needed and not raw:
            self.problems.append(f"{at}: is empty: write a name")

    def _amount(self, rule: Amount | Bandwidth, raw: object, at: str) -> None:
        if isinstance(raw, bool) or not isinstance(raw, str | int | float):
            raise StrategyError(f"{at}: {shown(raw)} is no quantity such as 50M")
        if isinstance(rule, Bandwidth) and isinstance(raw, int | float):
            self._whole(_PERCENT, raw, at)
            return
        try:
            non_negative(text_of(raw))
        except QuantityError as error:
            self.problems.append(f"{at}: {error}")
