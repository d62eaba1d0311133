"""What no scheduler sends, and what nothing should have written: a refusal, a reason, and never a fault."""

import json
import re
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.scheduling.builders import args, call, evictions, loaded, synced, waiting
from tests.scheduling.test_ranking import NAMES, World
from webhook.admission.review import ReviewError
from webhook.kube.cache.reflector import KindStatus
from webhook.scheduling.endpoint import Extender
from webhook.scheduling.metrics import SchedulingMetrics
from webhook.scheduling.settings import (
    SchedulingSettings,
    SchedulingSettingsError,
    read_settings,
    read_settings_file,
)

UIDLESS = waiting()
UIDLESS["metadata"].pop("uid")


def victims(pods, **more):
    """A preempt call about a node where the pod fits, with whatever stands in ``Pods``."""
    by_node = {"node-1": {"Pods": pods, "NumPDBViolations": 0, **more}}
    return json.dumps({"Pod": waiting(), "NodeNameToMetaVictims": by_node}).encode()


NO_QUESTION = {"no JSON": (b"{", "no JSON"), "a list": (b"[]", "must be an object")}

WRONG = {
    "no pod": ("filter", b'{"NodeNames": []}', "Pod: must be an object, not null"),
    "a pod without uid": ("filter", args(UIDLESS, "node-1"), "Pod.metadata.uid: must be a text, not null"),
    "spec is a text": ("filter", args({**waiting(), "spec": "x"}, "node-1"), "Pod.spec: must be"),
    "status is a list": ("filter", args({**waiting(), "status": []}, "node-1"), "Pod.status: must be"),
    "names are numbers": ("filter", args(waiting(), NodeNames=[1]), "NodeNames: must be a list of names"),
    "no nodes at all": ("filter", args(waiting(), NodeNames=None), "Nodes, NodeNames: both are absent"),
    "neither names nor nodes": ("prioritize", args(waiting(), NodeNames=None), "Nodes, NodeNames"),
    "nodes without names": ("prioritize", args(waiting(), NodeNames=None, Nodes={"items": [3]}), "items"),
    "no victims": ("preempt", args(waiting()), "NodeNameToVictims"),
    "victims are a list": (
        "preempt",
        json.dumps({"Pod": waiting(), "NodeNameToMetaVictims": []}).encode(),
        "NodeNameToMetaVictims",
    ),
    "a victim without uid": ("preempt", evictions(waiting(), n=[""]), "UID"),
    "pods are a text": (
        "preempt",
        victims("a"),
        "[node-1]: must be an object with Pods",
    ),
    **{
        f"violations are {value!r}": (
            "preempt",
            victims([{"UID": "a"}], NumPDBViolations=value),
            "NodeNameToMetaVictims[node-1].NumPDBViolations: must be a whole number from 0, not ",
        )
        for value in (True, "1", 1.5, -1, [])
    },
}


@pytest.mark.parametrize("verb", ["filter", "prioritize", "preempt"])
@pytest.mark.parametrize(("body", "message"), NO_QUESTION.values(), ids=NO_QUESTION)
def test_what_is_no_question_is_refused(told, verb, body, message):
    """A body that is no object of JSON is a 400 of any verb."""
    status, answer = call(told, verb, body)
    assert status == HTTPStatus.BAD_REQUEST
    assert message in json.loads(answer)["message"]


@pytest.mark.parametrize(("verb", "body", "message"), WRONG.values(), ids=WRONG)
def test_wrong_questions_are_refused(told, verb, body, message):
    """A scheduler reads no body of a 4xx, so filter says in a 200 what is wrong, as the others cannot."""
    status, answer = call(told, verb, body)
    found = json.loads(answer)
    if verb == "filter":
        assert status == HTTPStatus.OK
        assert message in found["Error"]
        assert (found["NodeNames"], found["Nodes"]) == (None, None)
        assert not found["FailedNodes"]
        assert not found["FailedAndUnresolvableNodes"]
    else:
        assert status == HTTPStatus.BAD_REQUEST
        assert message in found["message"]


@pytest.mark.parametrize("pods", [None, []])
def test_a_node_without_victims_is_no_candidate(told, pods):
    """A scheduler takes an empty list for an error and ends its try: the node is left out."""
    synced(told)
    assert json.loads(call(told, "preempt", victims([{"UID": "a"}])).body)["NodeNameToMetaVictims"] == {
        "node-1": {"Pods": [{"UID": "a"}], "NumPDBViolations": 0}
    }
    status, answer = call(told, "preempt", victims(pods))
    assert (status, json.loads(answer)) == (HTTPStatus.OK, {"NodeNameToMetaVictims": {}})


WORDS = [
    "Pod", "metadata", "spec", "status", "NodeNames", "Nodes", "items", "uid", "name", "namespace",
    "containers", "initContainers", "resources", "requests", "limits", "overhead", "cpu", "memory",
    "labels", "annotations", "conditions", "ownerReferences", "priority", "nominatedNodeName", "type",
    "NodeNameToVictims", "NodeNameToMetaVictims", "Pods", "UID", "node-1",
    "koordinator.sh/qosClass", "scheduling.koordinator.sh/resource-spec",
]  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([*WORDS, "LSR", "-1", "1e9", "9" * 30, "{", "\ud83d\ude00", "DaemonSet"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


def extender(world: World) -> Extender:
    """The three verbs over a cluster of the test."""
    return Extender(world.cluster, lambda: "", SchedulingMetrics(CollectorRegistry()))


@given(st.sampled_from(["filter", "prioritize", "preempt"]), ANYTHING, st.booleans())
def test_no_body_is_a_fault(verb, document, near):
    """Whatever JSON comes, near to a call of a scheduler or not, is refused or answered."""
    if near and isinstance(document, dict):
        victims = {"NodeNameToMetaVictims": {"node-1": {"Pods": [{"UID": "a"}]}}}
        document = {**victims, "NodeNames": ["node-1"], **document, "Pod": {**waiting(), **document}}
    try:
        found = getattr(extender(World()), verb)(json.dumps(document).encode())
    except ReviewError as error:
        assert error.status == HTTPStatus.BAD_REQUEST
        assert error.message
    else:
        json.dumps(found)


@given(
    st.lists(st.sampled_from([*NAMES, "", "node-9", "x" * 300, "\u00e9", "a/b"]), max_size=8),
    st.sampled_from(["LS", "LSR", "BE", ""]),
)
def test_no_node_is_dropped_without_a_reason(names, qos):
    """Each name that was asked about comes back, as one that passes or with a reason, in both forms."""
    of = waiting(cpu="6", qos=qos)
    asks = extender(World())
    found = asks.filter(args(of, *names))
    assert found["Error"] == ""
    out = {**found["FailedNodes"], **found["FailedAndUnresolvableNodes"]}
    assert found["NodeNames"] == [name for name in names if name not in out]
    assert set(out) <= set(names)
    assert all(out.values())
    whole = [{"metadata": {"name": name}} for name in dict.fromkeys(names) if name]
    form = asks.filter(args(of, NodeNames=None, Nodes={"items": whole}))
    assert form["NodeNames"] is None
    passed = [each["metadata"]["name"] for each in form["Nodes"]["items"]]
    left = {**form["FailedNodes"], **form["FailedAndUnresolvableNodes"]}
    assert passed == [each["metadata"]["name"] for each in whole if each["metadata"]["name"] not in left]
    assert left == {name: reason for name, reason in out.items() if name}
    scores = asks.prioritize(args(of, *names))
    assert [each["Host"] for each in scores] == list(dict.fromkeys(names))


ABSURD = st.sampled_from([
    None, True, -1, 0, 10**18, 1.5, "", "-5", "1e30", "9" * 40, "NaN", "12x", [], {}, ["cpu"], {"cpu": "1"},
    {"cpu": "-1", "memory": "1e40"}, {"resources": {"cpu": "-7", "memory": []}},
    {"resources": {"cpu": "9" * 40}},
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-31T08:00:00Z", "yesterday",
])  # fmt: skip
METRIC_FIELDS = ["updateTime", "nodeMetric", "podsMetric", "prodReclaimableMetric", "hostApplicationMetric"]
INNER_FIELDS = [
    "nodeUsage",
    "systemUsage",
    "aggregatedNodeUsages",
    "podUsage",
    "name",
    "priority",
    "resources",
]


@given(
    status=st.dictionaries(
        st.sampled_from(METRIC_FIELDS),
        ABSURD | st.dictionaries(st.sampled_from(INNER_FIELDS), ABSURD) | st.lists(ABSURD, max_size=2),
    )
    | ABSURD,
    interval=ABSURD,
    allocatable=st.dictionaries(st.sampled_from(["cpu", "memory"]), ABSURD) | ABSURD,
    thresholds=st.text(max_size=5) | st.sampled_from([
        '{"usageThresholds": {"cpu": -5}}', '{"usageThresholds": {"cpu": 1e400}}', '{"usageThresholds": [1]}',
        '{"prodUsageThresholds": {"cpu": "65"}}', '{"usageThresholds": {"cpu": ' + "9" * 50 + "}}",
        '{"aggregatedUsage": {"usageThresholds": {"cpu": 60}, "usageAggregationType": 7}}', "[" * 5000,
    ]),
)  # fmt: skip
def test_absurd_nodes_and_metrics_are_answered(status, interval, allocatable, thresholds):
    """Whatever stands in a Node and its NodeMetric, the node passes or has a reason, and gets points."""
    world = World()
    noted = {"scheduling.koordinator.sh/usage-thresholds": thresholds}
    node = {
        "metadata": {"name": NAMES[0], "uid": "u", "annotations": noted},
        "status": {"allocatable": allocatable},
    }
    made = {
        "metadata": {"name": NAMES[0]},
        "spec": {"metricCollectPolicy": {"reportIntervalSeconds": interval}},
        "status": status,
    }
    for store, of in ((world.cluster.loads.nodes, node), (world.cluster.loads.metrics, made)):
        store.changed(of)
    asks = extender(world)
    for qos in ("LS", "BE"):
        found = asks.filter(args(waiting(qos=qos), NAMES[0]))
        out = found["FailedAndUnresolvableNodes"]
        assert found["NodeNames"] == ([] if out else [NAMES[0]])
        assert set(out.values()) <= {
            "node(s) nodeMetric expired",
            "node(s) cpu usage exceed threshold",
            "node(s) memory usage exceed threshold",
            "node(s) cpu aggregated usage exceed threshold",
        }
        (score,) = asks.prioritize(args(waiting(qos=qos), NAMES[0]))
        assert 0 <= score["Score"] <= 10


def test_ten_thousand_names_are_answered(told):
    """Each of them, known or not."""
    names = [f"node-{i}" for i in range(10_000)]
    passed, reasons = told.filter(waiting(), *names)
    assert passed == ["node-1"]
    assert len(reasons) == 9_999


def test_missing_definition_of_metrics_is_no_reason_to_wait(told):
    """Where NodeMetrics are not defined no node has one: load passes, and the call is answered."""
    synced(told)
    contact = KindStatus(error="404", failures=1, served=False)
    told.scheduling._reflectors["scheduler-nodemetrics"].contact = contact
    told.tell(nodes=[loaded("node-1")])
    status, body = call(told, "filter", args(waiting(qos="LS"), "node-1"))
    assert (status, json.loads(body)["NodeNames"]) == (HTTPStatus.OK, ["node-1"])


def test_other_failures_of_metrics_are(told):
    """A right that is missing, or an API server that is away, says nothing of whether there are metrics."""
    synced(told)
    contact = KindStatus(error="403", failures=3)
    told.scheduling._reflectors["scheduler-nodemetrics"].contact = contact
    status, body = call(told, "filter", args(waiting(qos="LS"), "node-1"))
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "scheduler-nodemetrics" in json.loads(body)["message"]


def test_documented_settings_are_the_defaults():
    """The file in docs/scheduling.md says what an empty one means."""
    text = (Path(__file__).parents[2] / "docs" / "scheduling.md").read_text()
    (block,) = [each for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "wakePods" in each]
    assert read_settings(yaml.safe_load(block)) == SchedulingSettings()


def test_settings_file(tmp_path):
    """An empty file has all defaults; what cannot be meant is refused with file and field."""
    file = tmp_path / "scheduler.yaml"
    file.write_text("")
    assert read_settings_file(file) == SchedulingSettings()
    for text, message in (
        ("loadaware: {}", "loadaware: the field is unknown"),
        ("loadAware: {usageThresholds: {cpu: -5}}", r"usageThresholds\[cpu\]: -5"),
        ("weights: {cpuSets: 1000}", "weights.cpuSets: 1000"),
        ("weights: 3", "weights: 3"),
        ("cpuSets: 3", "cpuSets: 3"),
        ("[]", "must be an object"),
        ("{", "scheduler.yaml"),
    ):
        file.write_text(text)
        with pytest.raises(SchedulingSettingsError, match=message):
            read_settings_file(file)
    with pytest.raises(SchedulingSettingsError, match="absent"):
        read_settings_file(tmp_path / "absent")
