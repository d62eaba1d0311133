"""Is a pod one that the sharing rules allow? Every rule, in each of its settings."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from tests.builders import DEFAULTS, container, pod, read, review, validate
from webhook.admission.decision import decide
from webhook.admission.review import Webhook
from webhook.admission.validating.rules import RULES, VALID_RESULT
from webhook.admission.view import View
from webhook.protocol import PRIORITY_BANDS, QOS_PRIORITY_MATRIX, Action

QOS, CLASS, PRIORITY = "koordinator.sh/qosClass", "koordinator.sh/priority-class", "koordinator.sh/priority"
STATUS = "scheduling.koordinator.sh/resource-status"
ALLOCATED = "scheduling.koordinator.sh/device-allocated"
BATCH_CPU, BATCH_MEMORY = "kubernetes.io/batch-cpu", "kubernetes.io/batch-memory"
VALUES = {band.name: band.value for band in PRIORITY_BANDS} | {"none": 0}
WHOLE = {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}


def of(qos=None, priority=0, *containers, labels=None, **fields):
    """Return a pod of a QoS class and priority."""
    own = ({QOS: qos} if qos else {}) | (labels or {})
    return pod(*(containers or (container(**WHOLE),)), labels=own, priority=priority, **fields)


def broken(decision) -> set[str]:
    """Return the rules that a denial names."""
    message = decision.denial or ""
    return {rule for rule in RULES if f"(rule {rule})" in message}


CELLS = [(qos, column, action) for qos, row in QOS_PRIORITY_MATRIX.items() for column, action in row.items()]


@pytest.mark.parametrize(("qos", "column", "action"), CELLS)
def test_the_matrix(qos, column, action) -> None:
    """Admission §3.8: each cell of the table of QoS and priority class, by spec.priority and by the label."""
    rule = f"qos-priority/{qos}-{column.removeprefix('koord-')}"
    by_priority = of(None if qos == "none" else qos, VALUES[column])
    by_label = of(
        None if qos == "none" else qos, 100, labels={CLASS: column if column != "none" else "other"}
    )
    for new in (by_priority, by_label):
        if qos == "BE":
            new["spec"]["containers"] = [container(requests={BATCH_CPU: "1"})]
        decision = validate(new)
        assert broken(decision) == ({rule} if action == Action.DENY else set())
        assert bool(decision.warnings) is (action == Action.WARN)
        for setting in Action:
            answer = validate(new, settings=replace(DEFAULTS, rules={rule: setting}))
            assert (answer.denial is not None) is (setting == Action.DENY)
            assert bool(answer.warnings) is (setting == Action.WARN)


OLD = of("BE", 5000, container(requests={BATCH_CPU: "1000"}), labels={PRIORITY: "7"})


def changed(**labels):
    """Return the old pod with other labels; None takes one away."""
    new = deepcopy(OLD)
    new["metadata"]["labels"] |= labels
    new["metadata"]["labels"] = {k: v for k, v in new["metadata"]["labels"].items() if v is not None}
    return new


def resized():
    """Return the old pod with native cpu added, as ``pods/resize`` would."""
    new = deepcopy(OLD)
    new["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "500m"
    return new


def pod_level(cpu, **limits):
    """Return resources at the pod's level with as much CPU in limits."""
    return {"requests": {"cpu": cpu}, "limits": {"cpu": cpu, **limits}}


OFF_FOR_RESIZE = {"be-native-resources": Action.OFF}


def with_set(cpu, cpuset="0-1", **fields):
    """Return an LSR pod that holds a CPU set."""
    made = of("LSR", 9000, container(requests={"cpu": cpu}, limits={"cpu": cpu}), **fields)
    made["metadata"]["annotations"] = {STATUS: json.dumps({"cpuset": cpuset})}
    return made


BREAKERS = [
    ("resize-cpu-set", with_set("3"), {"old": with_set("2")}, {}),
    ("resize-cpu-set", with_set("1"), {"old": with_set("2"), "subResource": "resize"}, {}),
    ("reserve-pod", pod(annotations={"scheduling.koordinator.sh/reserve-pod": "true"}), {}, {}),
    ("scheduler-annotations", pod(annotations={STATUS: '{"cpuset":"0-3"}'}), {}, {}),
    ("scheduler-annotations", of("LSR", 9000, annotations={ALLOCATED: '{"gpu":[{"minor":0}]}'}), {}, {}),
    ("qos-class-known", of("be"), {}, {}),
    ("batch-resources-need-be", of("LS", 9000, container(requests={BATCH_CPU: "1"})), {}, {}),
    ("batch-resources-need-be", of(None, 0, container(limits={BATCH_MEMORY: "1Gi"})), {}, {}),
    ("batch-resources-need-be", pod(initContainers=[container(requests={BATCH_CPU: "1"})]), {}, {}),
    ("whole-cpus", of("LSR", 9000, container(requests={"cpu": "1500m"}, limits={"cpu": "1500m"})), {}, {}),
    ("whole-cpus", of("LSE", 9000, container()), {}, {}),
    ("whole-cpus", of("LSE", 9000, container(requests={"cpu": "0"}, limits={"cpu": "0"})), {}, {}),
    ("request-equals-limit", of("LSE", 9000, container(requests={"cpu": "1"}, limits={"cpu": "2"})), {}, {}),
    ("request-equals-limit", of("LSR", 9000, container(requests={"cpu": "1"})), {}, {}),
    ("request-equals-limit", of("LSR", 9000, container(), resources={"requests": {"cpu": "2"}}), {}, {}),
    (
        "request-equals-limit",
        of("LSE", 9000, resources={"requests": {"cpu": "2"}, "limits": {"cpu": "4"}}),
        {},
        {},
    ),
    ("whole-cpus", of("LSR", 9000, container(), resources=pod_level("1500m")), {}, {}),
    ("be-native-resources", of("BE", 5000, container(), resources={"limits": {"memory": "1Gi"}}), {}, {}),
    ("be-native-resources", of("BE", 5000, container(requests={"cpu": "1"})), {}, {}),
    ("be-native-resources", of("BE", 5000, container(limits={"memory": "1Gi"})), {}, {}),
    (
        "qos-class-immutable",
        changed(**{QOS: "LS"}),
        {"old": OLD},
        {"batch-resources-need-be": Action.OFF, "qos-priority/LS-batch": Action.OFF},
    ),
    ("qos-class-immutable", changed(**{QOS: None}), {"old": OLD}, {"batch-resources-need-be": Action.OFF}),
    ("priority-class-immutable", changed(**{CLASS: "koord-mid"}), {"old": OLD}, {}),
    ("priority-immutable", changed(**{PRIORITY: "8"}), {"old": OLD}, {}),
    ("priority-immutable", changed(**{PRIORITY: None}), {"old": OLD}, {}),
    ("resize-colocated", resized(), {"old": OLD, "subResource": "resize"}, OFF_FOR_RESIZE),
]


@pytest.mark.parametrize(
    ("rule", "new", "request_fields", "others"), BREAKERS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_rule_in_each_setting(rule, new, request_fields, others) -> None:
    """Admission §3.8: a rule does what the table says by default, and deny, warn or off where it is set."""
    for setting in (None, *Action):
        rules = others | ({} if setting is None else {rule: setting})
        decision = validate(new, settings=replace(DEFAULTS, rules=rules), **request_fields)
        action = RULES[rule].action if setting is None else setting
        assert broken(decision) == ({rule} if action == Action.DENY else set())
        assert bool(decision.warnings) is (action == Action.WARN)


def test_every_rule_has_a_pod_that_breaks_it() -> None:
    """The two tables above leave no rule out but the one that only profiles break."""
    tested = {rule for rule, *_ in BREAKERS} | {
        f"qos-priority/{q}-{c.removeprefix('koord-')}" for q, c, _ in CELLS
    }
    assert tested == set(RULES) - {VALID_RESULT}


@pytest.mark.parametrize(
    "new",
    [
        pod(),
        of("LSR", 9000),
        of("LSE", 9999, container(requests={"cpu": "2000m"}, limits={"cpu": 2})),
        of("LS", 9000, container(requests={"cpu": "300m"}, limits={"cpu": "2"})),
        of("SYSTEM", 0, container(requests={"cpu": "100m"})),
        of("BE", 5000, container(requests={BATCH_CPU: "1000"})),
        of("LSR", 9000, container("a", **WHOLE), container("b", requests={"cpu": "1"}, limits={"cpu": "1"})),
    ],
)
def test_good_pods(new) -> None:
    """Pods as the documents show them are allowed without a warning."""
    decision = validate(new)
    assert decision.denial is None
    assert decision.warnings == ()


@pytest.mark.parametrize(
    ("fields", "whole"),
    [
        ({"initContainers": [container("i", requests={"cpu": "500m"}, limits={"cpu": "500m"})]}, True),
        ({"initContainers": [container("i", requests={"cpu": "2500m"}, limits={"cpu": "2500m"})]}, False),
        (
            {
                "initContainers": [
                    container("s", restartPolicy="Always", requests={"cpu": "500m"}, limits={"cpu": "500m"})
                ]
            },
            False,
        ),
        ({"initContainers": [container("s", restartPolicy="Always", **WHOLE)]}, True),
        ({"overhead": {"cpu": "250m"}}, False),
        ({"overhead": {"cpu": "1"}}, True),
        ({"resources": {"requests": {"cpu": "3"}}}, True),
        ({"resources": {"requests": {"cpu": "2500m"}}}, False),
    ],
    ids=[
        "small init",
        "large init",
        "sidecar",
        "whole sidecar",
        "overhead",
        "whole overhead",
        "pod level",
        "odd pod level",
    ],
)
def test_how_the_cpus_of_a_pod_are_counted(fields, whole) -> None:
    """Admission §3.8: as the scheduler: containers, sidecars, the largest init step, overhead, pod level."""
    assert ("whole-cpus" in broken(validate(of("LSR", 9000, **fields)))) is not whole


@pytest.mark.parametrize("key", [STATUS, ALLOCATED])
@pytest.mark.parametrize("qos", ["BE", "LS", "LSR", "LSE"])
def test_a_scheduler_may_write_its_annotations(key, qos) -> None:
    """Admission §3.8: on UPDATE the annotation is koord-scheduler's, and allowed."""
    old = of(qos, 5000 if qos == "BE" else 9000, container(**({} if qos == "BE" else WHOLE)))
    new = deepcopy(old)
    new["metadata"]["annotations"] = {key: "{}"}
    assert validate(new).denial is not None
    assert validate(new, old=old).denial is None


def test_what_a_stored_pod_already_breaks_is_not_held_against_it() -> None:
    """On UPDATE an old pod stays editable (labels, finalizers) though it breaks a newer rule."""
    old = of("LSE", 5000, container(requests={"cpu": "100m"}))
    new = deepcopy(old)
    new["metadata"]["labels"]["note"] = "edited"
    assert validate(new, old=old).denial is None


def test_adding_what_was_absent_is_a_change() -> None:
    """Admission §3.8: on UPDATE an absent qosClass or priority cannot be added."""
    old = pod(labels={"a": "b"})
    for label, value, rule in ((QOS, "LS", "qos-class-immutable"), (PRIORITY, "1", "priority-immutable")):
        new = deepcopy(old)
        new["metadata"]["labels"][label] = value
        assert broken(validate(new, old=old)) == {rule}


def test_the_raw_priority_class_may_not_change_but_the_value_may() -> None:
    """Admission §3.8: it is the class that is compared, not the number."""
    for priority, rules in (
        (5999, set()),
        (7000, {"priority-class-immutable"}),
        (0, {"priority-class-immutable"}),
    ):
        new = changed()
        new["spec"]["priority"] = priority
        assert broken(validate(new, old=OLD)) == rules


@pytest.mark.parametrize(
    "resources", [{"requests": {"kubernetes.io/mid-cpu": "1"}}, {"limits": {BATCH_MEMORY: "1Gi"}}]
)
def test_a_resize_of_a_colocated_pod(resources) -> None:
    """Admission §3.7: on a pod with batch or mid resources a resize that adds cpu or memory is denied."""
    old = of("BE", 5000, container(**deepcopy(resources)))
    new = deepcopy(old)
    new["spec"]["containers"][0]["resources"]["limits"] = {"memory": "1Gi"} | resources.get("limits", {})
    decision = validate(new, old=old, subResource="resize")
    assert broken(decision) == {"resize-colocated"}
    assert "spec.containers[0].resources.limits[memory]" in decision.denial


def test_a_resize_of_any_other_pod() -> None:
    """Admission §3.7: native resources of a native pod are resized freely."""
    old, new = of("LS", 9000), of("LS", 9000, container(requests={"cpu": "3"}, limits={"cpu": "4"}))
    assert validate(new, old=old, subResource="resize").denial is None


@pytest.mark.parametrize(
    ("new", "old", "at"),
    [
        (with_set("3"), with_set("2"), "containers[0]"),
        (with_set("1"), with_set("2"), "containers[0]"),
        (
            with_set("2", initContainers=[container("s", restartPolicy="Always", **WHOLE)]),
            with_set("2"),
            "initContainers[0]",
        ),
        (
            with_set("2", resources=pod_level("4")),
            with_set("2", resources=pod_level("2")),
            "",
        ),
    ],
)
@pytest.mark.parametrize("fields", [{}, {"subResource": "resize"}], ids=["update", "resize"])
def test_a_resize_of_a_pod_with_a_cpu_set(new, old, at, fields) -> None:
    """Admission §3.7: where nothing here gives CPU sets, none of them follows; the message names the set."""
    decision = validate(new, old=old, **fields)
    assert broken(decision) == {"resize-cpu-set"}
    at = f"spec.{at}." if at else "spec."
    assert f"{at}resources.requests[cpu]: the pod holds the CPU set 0-1 of 2 CPUs" in decision.denial


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (with_set("2"), with_set("2000m")),  # the same amount
        (with_set("2", cpuset="2-3"), with_set("2")),
        (with_set("3", cpuset=""), with_set("2", cpuset="")),  # no set
        (of("LSR", 9000, container(requests={"cpu": "3"}, limits={"cpu": "3"})), of("LSR", 9000)),
        (with_set("2", schedulerName="other"), with_set("2")),
    ],
)
def test_what_leaves_a_cpu_set_alone_is_allowed(new, old) -> None:
    """Admission §3.7: memory, another spelling, and pods that hold no set."""
    assert validate(new, old=old, subResource="resize").denial is None


def test_a_cpu_set_that_can_follow_is_no_obstacle() -> None:
    """Admission §3.7: who gives CPU sets decides, and says why not."""
    given = read(review(with_set("3"), old=with_set("2"), subResource="resize"))
    for reason in ("", "needs 3 CPUs"):
        decision = decide(Webhook.VALIDATE, given, View(), DEFAULTS, follow=lambda *_, why=reason: why)
        assert (decision.denial or "").count("requests[cpu]: needs 3 CPUs") == bool(reason)


def test_a_resize_to_a_part_of_a_cpu() -> None:
    """Admission §3.7: the rules of the QoS class hold for a resize too."""
    old = of("LSR", 9000)
    new = of("LSR", 9000, container(requests={"cpu": "1500m"}, limits={"cpu": "1500m"}))
    assert broken(validate(new, old=old, subResource="resize")) == {"whole-cpus"}


def test_all_that_is_wrong_is_said_at_once() -> None:
    """A denial names every rule that is broken, with field and remedy."""
    new = of("LSE", 5000, container(requests={"cpu": "100m", BATCH_CPU: "1"}))
    assert broken(validate(new)) == {
        "qos-priority/LSE-batch",
        "batch-resources-need-be",
        "whole-cpus",
        "request-equals-limit",
    }


@pytest.mark.parametrize("subresource", ["status", "ephemeralcontainers", "binding", "log"])
def test_other_subresources_are_allowed(subresource) -> None:
    """Admission §1, Admission §3.7: what is not ours to judge, ephemeral containers among it, is allowed."""
    assert validate(of("be"), subResource=subresource).denial is None


def test_a_pod_that_was_mutated_and_is_be_without_a_class_is_not_refused() -> None:
    """Admission §3.8: BE without a class counts as batch everywhere; the validation only warns."""
    decision = validate(of("BE", 0, container(requests={BATCH_CPU: "1000"})))
    assert decision.denial is None
    assert decision.warnings


UNEQUAL = {"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}}


@pytest.mark.parametrize("qos", ["LSE", "LSR"])
@pytest.mark.parametrize(
    ("containers", "resources"),
    [
        ((container(),), pod_level("2")),
        ((container(**UNEQUAL), container("b")), pod_level("2")),
        ((container(**WHOLE),), pod_level("4", memory="1Gi")),
        ((container(**WHOLE),), {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}),
        ((container(**WHOLE),), {}),
    ],
)
def test_what_a_pod_owns_at_its_own_level(qos, containers, resources) -> None:
    """Admission §3.8: containers share it, each in its own bounds; without CPU there they are asked."""
    assert validate(of(qos, 9000, *containers, resources=resources)).denial is None


@pytest.mark.parametrize(
    ("level", "containers"),
    [
        ({"requests": {"cpu": "2"}, "limits": {"cpu": "4"}}, (container(),)),
        ({"requests": {"cpu": "2"}}, (container(**WHOLE),)),
        ({"limits": {"cpu": "2"}}, (container(**WHOLE),)),
        ({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}, (container(),)),
        ({"requests": {"memory": "1Gi"}}, (container(**UNEQUAL), container("b", requests={"cpu": "1500m"}))),
    ],
)
def test_resources_at_the_pods_level_escape_no_rule(level, containers) -> None:
    """Admission §3.8: on creation, on an update that brings them, and on a resize."""
    new = of("LSR", 9000, *containers, resources=level)
    assert "request-equals-limit" in broken(validate(new))
    old = of("LSR", 9000, *containers, resources=pod_level("2"))
    old["spec"]["containers"] = [{**c, "resources": {}} for c in old["spec"]["containers"]]
    assert "request-equals-limit" in broken(validate(new, old=old))
    assert "request-equals-limit" in broken(validate(new, old=old, subResource="resize"))
    assert validate(new, old=new).denial is None, "what it broke before does not keep it from changing"


@pytest.mark.parametrize(("cpu", "rule"), [("3", None), ("2500m", "whole-cpus")])
def test_a_resize_at_the_pods_level(cpu, rule) -> None:
    """Admission §3.7: to another whole number, both sides alike."""
    old, new = (of("LSR", 9000, container(), resources=pod_level(amount)) for amount in ("2", cpu))
    decision = validate(new, old=old, subResource="resize")
    assert broken(decision) == ({rule} if rule else set())
    assert rule is None or decision.denial.startswith("spec.resources.requests[cpu]: 2.5 in all")


def test_a_resize_of_a_colocated_pod_at_its_own_level() -> None:
    """Admission §3.7: it brings no native cpu; hugepages and what is there already are no obstacle."""
    new = deepcopy(OLD)
    new["spec"]["resources"] = pod_level("1")
    decision = validate(new, old=OLD, subResource="resize")
    assert broken(decision) == {"resize-colocated"}
    assert any(warning.startswith("spec.resources: native cpu in a BE pod") for warning in decision.warnings)
    assert validate(new, old=new, subResource="resize").denial is None
