"""What is wrong with the profiles of a view, told before any pod meets them."""

import pytest

from tests.builders import priority_class, profile, view_of
from webhook.admission.profiles.findings import Severity, examine
from webhook.protocol import PRIORITY_BANDS, QOS_PRIORITY_MATRIX, Action


def found(*objects, rules=None) -> list[tuple[str, str, str]]:
    """Return the findings as severity, profile and message."""
    return [tuple(map(str, finding)) for finding in examine(view_of(objects), rules or {}, 10).findings]


@pytest.mark.parametrize(
    ("spec", "severity", "message"),
    [
        ({"qosClass": "be"}, "error", "spec.qosClass"),
        ({"unknown": 1}, "warning", "unknown field"),
        ({"patch": {"spec": {"noSuchField": 1}}}, "warning", "a Pod has no such field"),
        ({"priorityClassName": "missing"}, "error", "'missing'"),
        ({"patch": {"spec": {"priorityClassName": "missing"}}}, "error", "spec.patch.spec.priorityClassName"),
        ({"patch": {"spec": {"priority": 5500}}}, "warning", "spec.patch.spec.priority"),
        (
            {
                "selector": {
                    "matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}],
                }
            },
            "warning",
            "no labels can satisfy",
        ),
    ],
)
def test_findings(spec, severity, message) -> None:
    """Admission §3.10, Admission §3.11: each with its severity, the profile and what would be right."""
    findings = found(profile("p", **spec))
    assert [(s, name) for s, name, _ in findings] == [(severity, "p")]
    assert message in findings[0][2]


@pytest.mark.parametrize("qos", [qos for qos in QOS_PRIORITY_MATRIX if qos != "none"])
@pytest.mark.parametrize("band", PRIORITY_BANDS, ids=lambda band: band.name)
def test_the_matrix(qos, band) -> None:
    """Admission §3.10: a profile that sets both QoS class and priority class is judged by the table."""
    severities = {Action.DENY: ["error"], Action.WARN: ["warning"], Action.OFF: []}
    both = profile("p", qosClass=qos, priorityClassName=band.name)
    action = QOS_PRIORITY_MATRIX[qos][band.name]
    assert [severity for severity, *_ in found(both)] == severities[action]
    assert found(profile("p", qosClass=qos)) == []
    own = profile("p", qosClass=qos, priorityClassName="own")
    by_value = found(own, priority_class("own", band.highest))
    assert [severity for severity, *_ in by_value] == severities[action]


def test_a_rule_that_is_off_finds_nothing() -> None:
    """The settings of the rules hold here too."""
    bad = profile("p", qosClass="LSE", priorityClassName="koord-batch")
    assert found(bad, rules={"qos-priority/LSE-batch": Action.OFF}) == []
    assert found(bad, rules={"qos-priority/LSE-batch": Action.WARN})[0][0] == "warning"


def test_errors_come_first_and_are_counted() -> None:
    """The order of the report, and its sums: an overlap counts as a warning."""
    report = examine(
        view_of(
            [
                profile("a", unknown=1),
                profile("b", qosClass="be"),
                profile("c", qosClass="LS"),
                profile("d", qosClass="BE"),
            ]
        ),
        {},
        10,
    )
    assert [finding.profile for finding in report.findings] == ["b", "a"]
    assert report.profiles == 4
    assert (report.count(Severity.ERROR), report.count(Severity.WARNING)) == (1, 2)


def test_no_more_pairs_than_asked_for() -> None:
    """Looking for overlaps stops, and says that there are more."""
    report = examine(view_of([profile(f"p-{i}", schedulerName=f"s-{i}") for i in range(10)]), {}, 3)
    assert len(report.overlaps) == 3
    assert report.more_overlaps
