"""What became of a configuration."""

from dataclasses import dataclass, field
from typing import Any


class TranslationError(ValueError):
    """A configuration that cannot be read; the message names field, value and remedy."""


@dataclass(slots=True)
class Translation:
    """What became of a configuration.

    Attributes:
        configuration: of a stock kube-scheduler; without the extender, which the chart adds.
        values: of our chart.
        taken_over: what does the same now, and how.
        without_counterpart: what nobody does now, or only one of the two, and the advice.
    """

    configuration: dict[str, Any]
    values: dict[str, Any]
    taken_over: list[str] = field(default_factory=list)
    without_counterpart: list[str] = field(default_factory=list)

    @property
    def scheduler(self) -> dict[str, Any]:
        """The values of the chart's scheduler."""
        found: dict[str, Any] = self.values["scheduler"]
        return found

    def lacks(self, line: str) -> None:
        """Note what has no counterpart, once."""
        if line not in self.without_counterpart:
            self.without_counterpart.append(line)

    def only_configured(self, what: str) -> None:
        """Note what the configuration has and the chart has no value for."""
        self.lacks(f"{what}: only in the configuration: the chart has no value for it")

    def to_json(self) -> dict[str, Any]:
        """Return it in the names of the API."""
        return {
            "configuration": self.configuration,
            "values": self.values,
            "takenOver": self.taken_over,
            "withoutCounterpart": self.without_counterpart,
        }
