"""LabelSelectors, compiled for repeated matching.

A selector is a conjunction of requirements. Source: the Kubernetes API,
``meta/v1 LabelSelector``: NotIn and DoesNotExist hold when the key is absent.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.pods.labels import key_problem, value_problem
from webhook.pods.text import shown

OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


class SelectorError(ValueError):
    """The API server would refuse a selector; the message names field and value."""


class Requirement(NamedTuple):
    """One clause: ``key operator values``."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` satisfy this clause."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        return (value is not None) is (self.operator == "Exists")

    def __str__(self) -> str:
        """Return the clause in the syntax of ``kubectl get -l``."""
        if self.operator == "Exists":
            return self.key
        if self.operator == "DoesNotExist":
            return f"!{self.key}"
        if self.operator == "In" and len(self.values) == 1:
            return f"{self.key}={next(iter(self.values))}"
        word = "in" if self.operator == "In" else "notin"
        return f"{self.key} {word} ({','.join(sorted(self.values))})"


class Selector(NamedTuple):
    """A compiled LabelSelector; without requirements it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` satisfy every clause."""
        for requirement in self.requirements:  # noqa: SIM110 — a generator costs more than most clauses
            if not requirement.holds(labels):
                return False
        return True

    def failing(self, labels: Mapping[str, str]) -> Requirement | None:
        """Return the first clause that ``labels`` do not satisfy, or None."""
        return next((r for r in self.requirements if not r.holds(labels)), None)

    def compatible(self, other: "Selector") -> bool:
        """Whether some set of labels satisfies both selectors."""
        return satisfiable(self.requirements + other.requirements)


EVERYTHING: Final = Selector()


def satisfiable(requirements: tuple[Requirement, ...]) -> bool:
    """Whether some set of labels satisfies all ``requirements``.

    Keys are independent of each other, so the question is answered for each key: either
    the key may be absent, or every clause allows some value.
    """
    by_key: dict[str, list[Requirement]] = {}
    for requirement in requirements:
        by_key.setdefault(requirement.key, []).append(requirement)
    return all(_key_satisfiable(clauses) for clauses in by_key.values())


def _key_satisfiable(clauses: list[Requirement]) -> bool:
    operators = {clause.operator for clause in clauses}
    if not operators & {"In", "Exists"}:
        return True  # an absent key satisfies NotIn and DoesNotExist
    if "DoesNotExist" in operators:
        return False
    allowed = [clause.values for clause in clauses if clause.operator == "In"]
    if not allowed:
        return True  # Exists: infinitely many values, finitely many refused
    refused = frozenset().union(*(c.values for c in clauses if c.operator == "NotIn"))
    return bool(frozenset.intersection(*allowed) - refused)


def compile_selector(raw: object, field: str) -> Selector:
    """Compile a LabelSelector.

    Args:
        raw: the selector from an object; None or ``{}`` match everything.
        field: the path of the selector, named in errors.

    Raises:
        SelectorError: unknown field or operator, missing or superfluous values,
            a key or value that is not valid label syntax, or a wrong type.
    """
    if raw is None:
        return EVERYTHING
    if not isinstance(raw, Mapping):
        raise SelectorError(f"{field}: must be a map, not {shown(raw)}")
    unknown = set(raw) - {"matchLabels", "matchExpressions"}
    if unknown:
        raise SelectorError(
            f"{field}: unknown field {shown(min(map(str, unknown)))}: use matchLabels and matchExpressions"
        )
    labels = _typed(raw.get("matchLabels"), dict, f"{field}.matchLabels", "a map")
    expressions = _typed(raw.get("matchExpressions"), list, f"{field}.matchExpressions", "a list")
    requirements = [
        _requirement(key, "In", [value], f"{field}.matchLabels[{key}]")
        for key, value in sorted(labels.items(), key=lambda item: str(item[0]))
    ]
    for i, expression in enumerate(expressions):
        at = f"{field}.matchExpressions[{i}]"
        if not isinstance(expression, Mapping):
            raise SelectorError(f"{at}: must be a map, not {shown(expression)}")
        values = _typed(expression.get("values"), list, f"{at}.values", "a list")
        requirements.append(_requirement(expression.get("key"), expression.get("operator"), values, at))
    return Selector(tuple(requirements))


def _typed(raw: Any, kind: type, field: str, name: str) -> Any:  # noqa: ANN401 — the kind says
    if raw is None:
        return kind()
    if not isinstance(raw, kind):
        raise SelectorError(f"{field}: must be {name}, not {shown(raw)}")
    return raw


def _requirement(key: object, operator: object, values: list[object], field: str) -> Requirement:
    if not isinstance(key, str):
        raise SelectorError(f"{field}: the key must be a string, not {shown(key)}")
    if operator not in OPERATORS:
        raise SelectorError(f"{field}.operator: {shown(operator)} is not one of {', '.join(OPERATORS)}")
    if (operator in {"In", "NotIn"}) is not bool(values):
        needs = "needs at least one value" if not values else "takes no values"
        raise SelectorError(f"{field}.values: operator {operator} {needs}")
    for value in values:
        if not isinstance(value, str):
            raise SelectorError(f"{field}: value {shown(value)} must be a string: quote it")
        if problem := value_problem(value):
            raise SelectorError(f"{field}: {problem}")
    if problem := key_problem(key):
        raise SelectorError(f"{field}: {problem}")
    return Requirement(key, str(operator), frozenset(map(str, values)))
