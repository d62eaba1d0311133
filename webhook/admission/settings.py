"""Settings of the core: what an administrator may choose, with its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from webhook.protocol import Action


class Mode(StrEnum):
    """Whether decisions are carried out or only told."""

    ENFORCE = "enforce"
    AUDIT = "audit"


class PodLevelResources(StrEnum):
    """What happens to ``spec.resources`` of a pod whose resources are translated."""

    DISSOLVE = "dissolve"
    KEEP = "keep"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything beside the review and the view that a decision depends on.

    Attributes:
        mode: in ``audit`` nothing is patched or denied; warnings say what would be.
        pod_level_resources: how pod-level resources are treated, see there.
        rules: actions of validation rules that differ from their defaults, by the
            rule's name (see ``webhook.admission.validating.rules``).
        signing_key: from ``reinvocation.derive_key``, the same in all replicas; signs
            what one call tells the next about a pod. Empty: anybody can sign, which is
            good enough only where there is nobody to defend against (a command line).
    """

    mode: Mode = Mode.ENFORCE
    pod_level_resources: PodLevelResources = PodLevelResources.DISSOLVE
    rules: Mapping[str, Action] = field(default_factory=lambda: MappingProxyType({}))
    signing_key: bytes = b""
