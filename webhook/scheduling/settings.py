"""What an administrator may choose about scheduling, read from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from webhook.pods.documents import DocumentError, read_documents
from webhook.pods.text import shown
from webhook.scheduling.loadaware.loadsettings import LoadSettings, LoadSettingsError, read_load_settings

MOST_WEIGHT: Final = 100

_FIELDS: Final = ("loadAware", "cpuSets", "weights", "wakePods")
_WEIGHTS: Final = ("loadAware", "cpuSets")


class SchedulingSettingsError(ValueError):
    """A file that says nothing that can be meant; the message names field, value and remedy."""


@dataclass(frozen=True, slots=True)
class SchedulingSettings:
    """What is looked at, and how much it counts.

    Attributes:
        load: how load is judged; None: it is not looked at.
        cpu_sets: whether pods that get a CPU set at binding go only where there is one.
        load_weight, set_weight: of each in the score; at 1 a part has 0 to 10 points.
        hold_seconds: how long what was scored highest for a pod counts as held, unless it is bound sooner.
        wake_pods: whether a pod is annotated once a node would take it, so that its scheduler tries it again.
    """

    load: LoadSettings | None = field(default_factory=LoadSettings)
    cpu_sets: bool = True
    load_weight: int = 1
    set_weight: int = 1
    hold_seconds: float = 2.0
    wake_pods: bool = True


def read_settings(of: object) -> SchedulingSettings:
    """Read ``{loadAware: LoadAwareSchedulingArgs or false, cpuSets, wakePods, weights: {…}}``.

    Raises:
        SchedulingSettingsError: a field is unknown, or has a value that cannot be meant.
    """
    if not isinstance(of, Mapping):
        raise SchedulingSettingsError(f"the settings must be an object, not {shown(of)}")
    _known(of, _FIELDS, "")
    stated, cpu_sets, weights = of.get("loadAware"), of.get("cpuSets", True), of.get("weights") or {}
    wake_pods = of.get("wakePods", True)
    for name, value in (("cpuSets", cpu_sets), ("wakePods", wake_pods)):
        if not isinstance(value, bool):
            raise SchedulingSettingsError(f"{name}: {shown(value)}: write true or false")
    if not isinstance(weights, Mapping):
        raise SchedulingSettingsError(f"weights: {shown(weights)}: write numbers, such as {{loadAware: 1}}")
    _known(weights, _WEIGHTS, "weights.")
    try:
        load = None if stated is False else read_load_settings(stated or {})
    except LoadSettingsError as error:
        raise SchedulingSettingsError(str(error)) from None
    load_weight, set_weight = (_weight(weights, each) for each in _WEIGHTS)
    return SchedulingSettings(load, cpu_sets, load_weight, set_weight, wake_pods=wake_pods)


def read_settings_file(path: Path) -> SchedulingSettings:
    """Read settings from a file of YAML or JSON; an empty one has all defaults.

    Raises:
        SchedulingSettingsError: the file cannot be read, or ``read_settings``; the message names the file.
    """
    try:
        documents = read_documents(path.read_bytes(), path.name)
        if len(documents) > 1:
            raise SchedulingSettingsError("write one document")  # noqa: TRY301 — one place adds the file's name
        return read_settings(documents[0].value if documents else {})
    except (OSError, DocumentError, SchedulingSettingsError) as error:
        raise SchedulingSettingsError(f"{path}: {error}") from None


def _weight(weights: Mapping[str, object], name: str) -> int:
    value = weights.get(name, 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_WEIGHT:
        raise SchedulingSettingsError(
            f"weights.{name}: {shown(value)}: write a whole number from 0 to {MOST_WEIGHT}"
        )
    return value


def _known(of: Mapping[str, object], names: tuple[str, ...], at: str) -> None:
    for name in of:
        if name not in names:
            raise SchedulingSettingsError(
                f"{at}{name}: the field is unknown: write one of {', '.join(names)}"
            )
