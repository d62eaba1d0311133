"""What a profile's status says."""

import datetime as dt

from tests.builders import batch_profile, priority_class, profile, view_of
from webhook.cluster.conditions import Condition, judge, status_with
from webhook.protocol import Action

CHOSEN = {"matchLabels": {"app": "web"}}
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def judged(*objects, rules=None, **options):
    """Status, reason and message by profile and condition."""
    found = judge(view_of(objects), rules or {}, **options)
    return {(name, c.type): c[1:] for name, conditions in found.items() for c in conditions}


def test_ready_says_whether_pods_get_what_the_profile_says():
    """Invalid, a class that is missing, a join that validation denies, warnings, and fine."""
    wrong = profile("wrong", selector={"matchExpressions": [{"key": "a", "operator": "Foo"}]})
    missing = profile("missing", priorityClassName="nope")
    denied = profile("denied", qosClass="BE", priorityClassName="koord-prod")
    odd = profile("odd", qosClass="LS", priorityClassName="koord-batch", extra=1)
    found = judged(
        wrong,
        missing,
        denied,
        odd,
        batch_profile("fine", selector=CHOSEN),
        priority_class("koord-batch", 5000),
    )
    assert found["fine", "Ready"][:2] == ("True", "Applied")
    assert found["wrong", "Ready"][:2] == ("False", "Invalid")
    assert found["missing", "Ready"][:2] == ("False", "PriorityClassMissing")
    assert "'nope'" in found["missing", "Ready"][2]
    assert found["denied", "Ready"][:2] == ("False", "PodsDenied")
    assert found["odd", "Ready"][:2] == ("True", "Warnings")
    assert "spec.extra: unknown field" in found["odd", "Ready"][2]


def test_ready_tells_of_everybody_and_of_labels_of_controllers():
    """Admission §3.10: applied, but to everybody by mistake; never applied, and the label's name."""
    found = judged(
        profile("everybody", selectr={"matchLabels": {"a": "b"}}),
        profile("hash", labels={"pod-template-hash": "x"}, selector={"matchLabels": {"a": "b"}}),
    )
    status, reason, message = found["everybody", "Ready"]
    assert (status, reason) == ("True", "Warnings")
    assert "did you mean 'selector'?" in message
    assert "holds for every pod of every namespace" in message
    assert found["hash", "Ready"][:2] == ("False", "Invalid")
    assert "the label pod-template-hash" in found["hash", "Ready"][2]


def test_ready_tells_of_pods_that_the_api_server_refuses():
    """Admission §3.10: all pods of a profile, and with a warning some of them."""
    found = judged(
        profile("all", koordinatorPriority=-1, selector=CHOSEN),
        profile("some", patch={"spec": {"containers": [{"name": "main", "tty": True}]}}, selector=CHOSEN),
    )
    assert found["all", "Ready"][:2] == ("False", "PodsDenied")
    assert "spec.koordinatorPriority: -1 is no label value" in found["all", "Ready"][2]
    assert found["some", "Ready"][:2] == ("True", "Warnings")
    assert "containers[main].image" in found["some", "Ready"][2]


def test_rules_that_were_set_count():
    """What validation does not deny is ready."""
    denied = profile("denied", qosClass="BE", priorityClassName="koord-prod")
    rule = judged(denied)["denied", "Ready"][2].partition("rule ")[2].split(" ")[0]
    assert judged(denied, rules={rule: Action.OFF})["denied", "Ready"][0] == "True"


def test_conflicting_names_the_other_and_who_wins():
    """Both are told, each from its side."""
    a, b = profile("a", schedulerName="x"), profile("b", schedulerName="y")
    found = judged(a, b, profile("c", labels={"l": "v"}))
    assert found["a", "Conflicting"] == (
        "True",
        "ProfilesDisagree",
        'b (which wins): spec.schedulerName: "x" here, "y" there',
    )
    assert found["b", "Conflicting"][2] == 'a (which loses): spec.schedulerName: "y" here, "x" there'
    assert found["c", "Conflicting"][:2] == ("False", "NoConflict")


def test_many_conflicts_are_counted_not_listed():
    """And a message has an end."""
    found = judged(*(profile(f"p-{i}", schedulerName=f"s-{i}") for i in range(9)))
    assert found["p-0", "Conflicting"][2].endswith("; and 5 more profiles")
    assert all(len(said[2]) <= 1000 for said in found.values())


def test_what_was_not_looked_at_is_unknown():
    """Where there are too many pairs, nobody is called free of conflicts without having been looked at."""
    crowd = [
        profile(f"b-{i}", selector={"matchLabels": {"x": "1"}}, schedulerName=f"s-{i}") for i in range(5)
    ]
    alone = [profile(n, selector={"matchLabels": {"x": n}}, schedulerName="s") for n in ("a", "z")]
    found = judged(*crowd, *alone, max_pairs=3)
    assert found["a", "Conflicting"][0] == "False"
    assert found["b-0", "Conflicting"][0] == "True"
    assert found["z", "Conflicting"][:2] == ("Unknown", "TooManyConflicts")


def test_a_status_is_written_only_when_it_says_something_new():
    """The time of a condition is that of its last change of status; others' conditions stay."""
    ready = Condition("Ready", "True", "Applied", "m")
    first = status_with({"conditions": [{"type": "Other", "status": "True"}]}, (ready,), 1, NOW)
    assert first["observedGeneration"] == 1
    assert first["conditions"][0]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert first["conditions"][1] == {"type": "Other", "status": "True"}
    later = NOW + dt.timedelta(hours=1)
    assert status_with(first, (ready,), 1, later) is None
    second = status_with(first, (ready,), 2, later)
    assert second["conditions"][0]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    third = status_with(second, (ready._replace(status="False"),), 2, later)
    assert third["conditions"][0]["lastTransitionTime"] == "2026-01-02T04:04:05Z"
    assert status_with({"conditions": "x"}, (ready,), 1, NOW)["conditions"][0]["type"] == "Ready"
