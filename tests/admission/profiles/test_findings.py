"""What is wrong with the profiles of a view, told before any pod meets them."""

import pytest

from tests import builders
from tests.admission.profiles.test_profile import WRONG
from tests.builders import DEFAULTS, priority_class, read, validate, view_of
from webhook.admission.decision import MAX_WARNING, decide
from webhook.admission.profiles.findings import Severity, examine
from webhook.admission.review import Webhook
from webhook.protocol import PRIORITY_BANDS, QOS_PRIORITY_MATRIX, Action


def profile(name: str, **spec):
    """Return a profile that selects some pods, unless its fields say otherwise."""
    return builders.profile(name, **{"selector": {"matchLabels": {"app": "web"}}, **spec})


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


EVERYBODY = "spec: no selector and no namespaceSelector: holds for every pod of every namespace"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"selector": {}},
        {"selector": None, "namespaceSelector": {}},
        {"selector": {"matchLabels": {}, "matchExpressions": []}},
        {"probability": "1%", "qosClass": "LS"},
    ],
)
def test_a_profile_that_holds_for_everybody(spec) -> None:
    """Admission §3.10: a warning, with what to do if that is meant."""
    ((severity, _, message),) = found(builders.profile("p", **spec))
    assert severity == "warning"
    assert message.startswith(EVERYBODY)
    assert "if all are meant" in message


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"matchLabels": {"a": "b"}}},
        {"namespaceSelector": {"matchLabels": {"a": "b"}}},
        {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}},
        {
            "namespaceSelector": {
                "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]
            }
        },
        {"probability": 0},
    ],
)
def test_a_profile_that_holds_for_some(spec) -> None:
    """Admission §3.10: who selects, even all by a word, and who is switched off, is not warned."""
    assert found(builders.profile("p", **spec)) == []


@pytest.mark.parametrize("field", ["selectr", "Selector", "namespaceSelecter", "nameSpaceSelector"])
def test_a_misspelled_selector(field) -> None:
    """Admission §3.10, Admission §3.11: an error, and the profile holds for everybody."""
    raw = builders.profile("p", **{field: {"matchLabels": {"a": "b"}}})
    (error, _, misspelled), (warning, _, everybody) = found(raw)
    assert (error, warning) == ("error", "warning")
    assert "did you mean" in misspelled
    assert everybody.startswith(EVERYBODY)


@pytest.mark.parametrize(
    ("operator", "values"), [("In", ["web"]), ("In", ["web", "api"]), ("Exists", [])], ids=str
)
@pytest.mark.parametrize(
    "spec",
    [
        {"labels": {"app": "x"}},
        {"labelSuffixes": {"app": "-x"}},
        {"labels": {"app": "web"}, "labelSuffixes": {"app": "-x"}},
        {"labelKeysMapping": {"other": "app"}},
        {"patch": {"metadata": {"labels": {"app": "x"}}}},
        {"patch": {"metadata": {"labels": {"app": None}}}},
    ],
    ids=str,
)
def test_a_profile_that_changes_what_it_selects_by(spec, operator, values) -> None:
    """Admission §3.10: a warning for each field that does so."""
    clause = {"key": "app", "operator": operator, "values": values}
    findings = found(profile("p", selector={"matchExpressions": [clause]}, **spec))
    assert findings
    for severity, _, message in findings:
        assert severity == "warning"
        assert "changes label app, which spec.selector tests" in message


@pytest.mark.parametrize(
    "spec",
    [
        {"labels": {"app": "web"}},
        {"labels": {"other": "x"}},
        {"labelKeysMapping": {"app": "other"}},
        {"patch": {"metadata": {"labels": {"$patch": "merge", "app": "web"}}}},
        {
            "selector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
            "labels": {"app": "x"},
        },
        {"namespaceSelector": {"matchLabels": {"team": "a"}}, "labels": {"team": "b"}},
    ],
    ids=str,
)
def test_a_profile_that_leaves_what_it_selects_by(spec) -> None:
    """Admission §3.10: the same value, another label, a default where the label is absent."""
    assert found(profile("p", **spec)) == []


REQUEST = {
    "resource": {
        "group": "config.koordinator.sh",
        "version": "v1alpha1",
        "resource": "clustercolocationprofiles",
    }
}


def test_what_is_said_when_a_profile_is_written() -> None:
    """Admission §3.10: labels of controllers refuse it; no selector and a misspelled one only warn."""
    owned = validate(profile("p", labels={"pod-template-hash": "x"}), **REQUEST)
    assert "pod-template-hash" in owned.denial
    everybody = validate(builders.profile("p", selectr={"matchLabels": {"a": "b"}}), **REQUEST)
    assert everybody.denial is None
    misspelled, warning = everybody.warnings
    assert "did you mean 'selector'?" in misspelled
    assert warning.startswith(EVERYBODY)
    assert len(EVERYBODY) < MAX_WARNING
    stored = profile("p", labels={"pod-template-hash": "x"})
    changed = {**stored, "spec": {**stored["spec"], "qosClass": "LS"}}
    assert validate(changed, old=stored, **REQUEST).denial is None


def test_a_value_that_could_never_work_when_a_profile_is_written() -> None:
    """Admission §3.10: refused; an update may leave it, so that a stored profile stays changeable."""
    stored = profile("p", koordinatorPriority=-1)
    assert "write 0 or more" in (validate(stored, **REQUEST).denial or "")
    changed = {**stored, "spec": {**stored["spec"], "qosClass": "LS"}}
    assert validate(changed, old=stored, **REQUEST).denial is None
    worse = {**stored, "spec": {**stored["spec"], "patch": {"spec": {"nodeSelector": {"a b": "x"}}}}}
    assert "nodeSelector" in (validate(worse, old=stored, **REQUEST).denial or "")
    assert validate(profile("p", koordinatorPriority=0), **REQUEST).denial is None


@pytest.mark.parametrize(
    ("qos", "value", "severity"),
    [
        ("BE", 9500, ["error"]),
        ("BE", 5500, []),
        ("BE", 7500, []),
        ("BE", 12, ["warning"]),
        ("LSR", 9500, []),
        ("LSR", 5500, ["error"]),
        ("LSE", 12, ["error"]),
        ("LS", 3500, ["warning"]),
        ("LS", 9500, []),
    ],
)
def test_a_global_default_is_the_class_of_a_profile_that_sets_none(qos, value, severity) -> None:
    """Admission §3.10: the pods that name no class have it; a profile that sets one is judged by that one."""
    default = priority_class("site", value) | {"globalDefault": True}
    lesser = priority_class("other", value + 10_000) | {"globalDefault": True}
    findings = found(default, lesser, profile("p", qosClass=qos))
    assert [severity for severity, *_ in findings] == severity
    assert all("the global default is site" in message for *_, message in findings)
    fitting = "koord-batch" if qos == "BE" else "koord-prod"
    assert found(default, profile("p", qosClass=qos, priorityClassName=fitting)) == []
    label = profile("p", qosClass=qos, labels={"koordinator.sh/priority-class": fitting})
    assert found(default, label) == []
    assert found(default, profile("p", labels={"a": "b"})) == []


def test_a_profile_that_a_global_default_refutes_is_refused_when_it_is_written() -> None:
    """Admission §3.10: as one that names such a class; where it was stored before, it stays changeable."""
    default = priority_class("site", 9500) | {"globalDefault": True}
    made = profile("p", qosClass="BE")
    view, created = view_of([default]), decide_about(made, view_of([]))
    assert created.denial is None
    assert "site" in (decide_about(made, view).denial or "")
    assert decide_about(made, view, old=made).denial is None


def decide_about(new, view, **request):
    """Ask the validating webhook about a profile."""
    return decide(Webhook.VALIDATE, read(builders.review(new, **REQUEST, **request)), view, DEFAULTS)


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in WRONG.items() if field != "priorityClassName" for value in values],
)
def test_what_is_wrong_is_found_at_once(field: str, value: object) -> None:
    """A field that cannot be read hides neither a PriorityClass that lacks nor a field that is misspelled."""
    spec = {field: value, "priorityClassName": "koord-btach", "namespaceSelecter": {}}
    messages = [message for _, _, message in found(profile("p", **spec))]
    assert any(message.startswith(f"spec.{field}") for message in messages)
    assert any("no PriorityClass 'koord-btach'" in message for message in messages)
    assert any("did you mean 'namespaceSelector'" in message for message in messages)
    assert len(messages) == len(set(messages))
