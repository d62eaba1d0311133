"""Settings of admission that an administrator may choose, with their defaults."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from webhook.protocol import Action


class Mode(StrEnum):
    """Whether decisions take effect (enforce) or are only reported as warnings (audit)."""

    ENFORCE = "enforce"
    AUDIT = "audit"


class PodLevelResources(StrEnum):
    """What happens to ``spec.resources`` of a pod whose cpu and memory become batch resources."""

    DISSOLVE = "dissolve"
    KEEP = "keep"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Settings:
    """All inputs of a decision other than the review and the view.

    Attributes:
        mode: in ``audit`` nothing is patched or denied; warnings say what would have happened.
        pod_level_resources: see `PodLevelResources`.
        rules: actions of validation rules that differ from their defaults, by the
            rule's name (see ``webhook.admission.validating.rules``).
        signing_key: from ``reinvocation.derive_key``, the same in all replicas; signs
            the annotations that one call leaves for the next. Empty: anybody can sign,
            which is acceptable only without an adversary (a command line).
        kept_labels: not chosen but observed by the service: by namespace and uid of a controller,
            the profiles that change no label which its pods have, since it makes pods without end.
    """

    mode: Mode = Mode.ENFORCE
    pod_level_resources: PodLevelResources = PodLevelResources.DISSOLVE
    rules: Mapping[str, Action] = field(default_factory=lambda: MappingProxyType({}))
    signing_key: bytes = b""
    kept_labels: Mapping[tuple[str, str], AbstractSet[str]] = field(
        default_factory=lambda: MappingProxyType({})
    )
