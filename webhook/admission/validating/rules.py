"""The table of validation rules: names, default actions and meanings.

The action of each can be set to deny, warn or off. The rules about QoS class and priority
class are made from ``protocol.QOS_PRIORITY_MATRIX``, one for each cell.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from webhook.protocol import NONE, QOS_PRIORITY_MATRIX, Action


class Rule(NamedTuple):
    """One rule: its default action and its meaning."""

    action: Action
    meaning: str


def matrix_rule(qos: str, priority_class: str) -> str:
    """Return the name of the rule for one cell of the QoS by priority table."""
    return f"qos-priority/{qos}-{priority_class.removeprefix('koord-')}"


RESERVE_POD: Final = "reserve-pod"
SCHEDULER_RULE: Final = "scheduler-annotations"
VALID_RESULT: Final = "valid-result"
QOS_CLASS_KNOWN: Final = "qos-class-known"
BATCH_NEEDS_BE: Final = "batch-resources-need-be"
WHOLE_CPUS: Final = "whole-cpus"
REQUEST_EQUALS_LIMIT: Final = "request-equals-limit"
BE_NATIVE_RESOURCES: Final = "be-native-resources"
QOS_CLASS_IMMUTABLE: Final = "qos-class-immutable"
PRIORITY_CLASS_IMMUTABLE: Final = "priority-class-immutable"
PRIORITY_IMMUTABLE: Final = "priority-immutable"
RESIZE_COLOCATED: Final = "resize-colocated"
RESIZE_CPU_SET: Final = "resize-cpu-set"

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        RESERVE_POD: Rule(Action.DENY, "users do not set scheduling.koordinator.sh/reserve-pod"),
        SCHEDULER_RULE: Rule(
            Action.DENY,
            "a new pod has none of scheduling.koordinator.sh/resource-status, device-allocated and "
            "reservation-allocated",
        ),
        VALID_RESULT: Rule(Action.DENY, "a profile leaves no pod that the API server refuses"),
        QOS_CLASS_KNOWN: Rule(Action.DENY, "koordinator.sh/qosClass is LSE, LSR, LS, BE or SYSTEM"),
        **{
            matrix_rule(qos, column): Rule(
                action,
                f"QoS {qos} with " + ("no priority class" if column == NONE else f"priority class {column}"),
            )
            for qos, row in QOS_PRIORITY_MATRIX.items()
            for column, action in row.items()
        },
        BATCH_NEEDS_BE: Rule(Action.DENY, "batch resources belong to pods of QoS BE"),
        WHOLE_CPUS: Rule(Action.DENY, "LSE and LSR pods request a whole number of CPUs, not zero"),
        REQUEST_EQUALS_LIMIT: Rule(Action.DENY, "LSE and LSR containers have CPU request = limit"),
        BE_NATIVE_RESOURCES: Rule(Action.WARN, "BE pods have no native cpu or memory"),
        QOS_CLASS_IMMUTABLE: Rule(Action.DENY, "the QoS class of a pod does not change"),
        PRIORITY_CLASS_IMMUTABLE: Rule(Action.DENY, "the priority class of a pod does not change"),
        PRIORITY_IMMUTABLE: Rule(Action.DENY, "koordinator.sh/priority of a pod does not change"),
        RESIZE_COLOCATED: Rule(
            Action.DENY, "a resize gives no native cpu or memory to a pod with batch or mid resources"
        ),
        RESIZE_CPU_SET: Rule(
            Action.DENY, "a pod with a CPU set requests another number of CPUs only where the set can follow"
        ),
    }
)
