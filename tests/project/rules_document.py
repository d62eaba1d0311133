"""Makes ``docs/rules.md`` from the tables of rules.

Run ``python -m tests.project.rules_document > docs/rules.md`` after a change of the rules. A test
compares the two.
"""

from webhook.admission.validating.rules import RULES
from webhook.protocol import NONE, PRIORITY_COLUMNS, QOS_PRIORITY_MATRIX, Action

_WORDS = {Action.OFF: "ok", Action.WARN: "warn", Action.DENY: "deny"}


def rules_document() -> str:
    """Return the document: the table of QoS class by priority class, then every rule."""
    columns = [column.removeprefix("koord-") for column in PRIORITY_COLUMNS]
    lines = [
        "# Validation rules",
        "",
        "Each rule denies, warns or is off. Its name stands in the message of a denial and in the settings.",
        "`valid-result` is applied by `/mutate`, after all profiles; the others by `/validate`.",
        "",
        "## QoS class and priority class",
        "",
        "The QoS class is the label `koordinator.sh/qosClass`. The priority class is the label",
        "`koordinator.sh/priority-class` where there is one, else the range that `spec.priority` lies in.",
        f"`{NONE}`: neither says anything.",
        "",
        "So the label hides `spec.priority`: a BE pod that says `koord-batch` may have any, and an LSE pod",
        "that says `koord-prod` needs no PriorityClass. A ResourceQuota on a PriorityClass bounds who gets",
        "CPU sets only if something, such as a ValidatingAdmissionPolicy, refuses this label in users' pods.",
        "",
        f"| QoS | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {qos} | {' | '.join(_WORDS[row[column]] for column in PRIORITY_COLUMNS)} |"
            for qos, row in QOS_PRIORITY_MATRIX.items()
        ),
        "",
        "## All rules",
        "",
        "| rule | default | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {rule.action} | {rule.meaning} |" for name, rule in RULES.items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(rules_document())
