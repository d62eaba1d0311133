"""PriorityClasses, and which of Koordinator's classes a pod belongs to."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from webhook.protocol import (
    BATCH,
    BUILTIN_PRIORITY_CLASSES,
    LABEL_PRIORITY_CLASS,
    LABEL_QOS_CLASS,
    PRIORITY_BAND_NAMES,
    PRIORITY_BANDS,
    PROD,
    QoSClass,
)

DEFAULT_PREEMPTION_POLICY: Final = "PreemptLowerPriority"


class PriorityClass(NamedTuple):
    """What a ``scheduling.k8s.io/v1 PriorityClass`` gives to a pod."""

    name: str
    value: int
    preemption_policy: str = DEFAULT_PREEMPTION_POLICY
    global_default: bool = False


BUILTIN: Final[Mapping[str, PriorityClass]] = {
    name: PriorityClass(name, value) for name, value in BUILTIN_PRIORITY_CLASSES.items()
}


def default_class(classes: Iterable[PriorityClass]) -> PriorityClass | None:
    """Return the class of pods that name none: of several global defaults the one of the lowest value."""
    return min((c for c in classes if c.global_default), key=lambda c: c.value, default=None)


def band_of_value(priority: int | None) -> str | None:
    """Return the class whose range holds ``priority``, or None."""
    if priority is not None:
        for band in PRIORITY_BANDS:
            if band.lowest <= priority <= band.highest:
                return band.name
    return None


def raw_class(labels: Mapping[str, str], priority: int | None) -> str | None:
    """Return the class a pod states: by its label if it has one, else by ``spec.priority``.

    A label with an unknown value states nothing, and ``spec.priority`` is then not asked.
    """
    label = labels.get(LABEL_PRIORITY_CLASS)
    if label is None:
        return band_of_value(priority)
    return label if label in PRIORITY_BAND_NAMES else None


def effective_class(labels: Mapping[str, str], priority: int | None) -> str:
    """Return the class a pod is treated as: the one it states, else by QoS class.

    BE counts as batch, everything else as prod.
    """
    stated = raw_class(labels, priority)
    if stated is not None:
        return stated
    return BATCH if labels.get(LABEL_QOS_CLASS) == QoSClass.BE else PROD
