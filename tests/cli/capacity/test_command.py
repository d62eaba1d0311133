"""What a person sees of a node's capacity, from files and from a cluster."""

import datetime as dt
import json
import re
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.capacity.cluster import batch_pod, config, inventory, metric, node, offered, ours, pod
from tests.cli.conftest import ROOT
from webhook.capacity.inventory import inventory_of
from webhook.cli.main import main
from webhook.cli.options.clock import Clock

NOW = dt.datetime(2026, 1, 31, 8, 0, 42, tzinfo=dt.UTC)
EXAMPLE = ROOT / "examples" / "capacity"
DOCUMENT = (ROOT / "docs" / "capacity.md").read_text()


def run(*arguments: object) -> Any:
    """Run ``capacity`` years after what is in the files."""
    command = ["capacity", *map(str, arguments)]
    found = CliRunner().invoke(main, command, obj=Clock(lambda: dt.datetime(2030, 1, 1, tzinfo=dt.UTC)))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def block(name: str) -> str:
    """Return the code block of the document behind a comment."""
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_document_shows_what_is_printed() -> None:
    """The example of docs/capacity.md is the beginning of the real output, in 80 columns."""
    found = run("explain", "node-1", "--objects", EXAMPLE)
    assert found.exit_code == 0
    assert found.output.startswith(block("explain"))
    assert block("zones") in found.output
    assert max(map(len, found.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("settings", "resource", "shown"),
    [
        ({}, 0, "10200"),
        ({"cpuCalculatePolicy": "maxUsageRequest"}, 0, "2200"),
        ({"memoryCalculatePolicy": "request"}, 1, "52828097741"),
    ],
)
def test_the_documents_figures(settings: dict[str, str], resource: int, shown: str) -> None:
    """The figures in the table of policies are those of the example's node."""
    objects = list(yaml.safe_load_all((EXAMPLE / "cluster.yaml").read_text()))
    threshold = {"cpuReclaimThresholdPercent": 60, "memoryReclaimThresholdPercent": 65}
    found = inventory_of([*objects, config(**threshold, **settings)]).capacity("node-1", NOW)
    assert str(offered(found)[resource]) == shown
    assert f"| {shown} |" in DOCUMENT


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, "6000"),
        ({"midUnallocatedPercent": 50}, "13500"),
        ({"midUnallocatedPercent": 50, "midCPUThresholdPercent": 40}, "12800"),
        ({"midReclaimMode": "static", "midStaticCPUReservedPercent": 25}, "8000"),
    ],
)
def test_the_documents_mid(settings: dict[str, Any], shown: str) -> None:
    """The figures in the table of mid resources are those of the example's node."""
    reclaimable = {"prodReclaimableMetric": {"resource": {"resources": {"cpu": "6"}}}}
    objects = [each for each in predicting(**reclaimable) if each["kind"] != "ConfigMap"]
    found = inventory_of([*objects, config(**settings)]).explain("node-1", NOW)
    mid = next(each for each in found.sums if each.resource == "kubernetes.io/mid-cpu")
    assert str(mid.offered) == shown
    assert f"| {shown} |" in DOCUMENT


def predicting(**status: Any) -> list[dict[str, Any]]:
    """Return the example's objects under the policy peak, with more in its NodeMetric."""
    objects = list(yaml.safe_load_all((EXAMPLE / "cluster.yaml").read_text()))
    measured = next(each for each in objects if each["kind"] == "NodeMetric")
    measured["status"]["nodeMetric"] |= status.pop("nodeMetric", {})
    measured["status"] |= status
    return [*(each for each in objects if each["kind"] != "ConfigMap"), config(**ours(policy="peak"))]


def test_the_documents_peak(tmp_path: Any) -> None:
    """The worked example of peak is what is printed; the other figures of its table are right, too."""
    prediction = {"prodPeakMetric": {"resource": {"resources": {"cpu": "12"}}}}
    listed = {"kind": "List", "apiVersion": "v1", "items": predicting(**prediction)}
    (tmp_path / "all.json").write_text(json.dumps(listed))
    found = run("explain", "node-1", "--objects", tmp_path).output
    assert block("peak") in found
    assert max(map(len, found.splitlines())) <= 80
    usage = {name: {"resources": {"cpu": cpu}} for name, cpu in (("avg", "9"), ("p99", "10"))}
    window = {"nodeMetric": {"aggregatedNodeUsages": [{"duration": "30m0s", "usage": usage}]}}
    for more, shown in ((window, "8050"), ({}, "2200")):
        assert str(offered(inventory_of(predicting(**more)).capacity("node-1", NOW))[0]) == shown
        assert f"| {shown} |" in DOCUMENT


@pytest.mark.parametrize(
    ("moment", "cpu"),
    [("2026-01-30T23:30+08:00", 19200), ("2026-01-30T12:00+08:00", 1600), ("2026-01-31T23:30+08:00", 0)],
)
def test_the_documents_times(moment: str, cpu: int) -> None:
    """The example of timeOfDay does what the document says of it."""
    now = dt.datetime.fromisoformat(moment)
    found = inventory(node(), metric(at=now.isoformat()), config(**ours(**json.loads(block("timeOfDay")))))
    assert offered(found.capacity("node-1", now))[0] == cpu


def test_the_sum_adds_up() -> None:
    """The terms in JSON come to what is offered, and the pods' parts to the term for pods."""
    found = json.loads(run("explain", "node-1", "--objects", EXAMPLE, "-o", "json").output)
    for each in found["resources"][:2]:
        value = 0
        for term in each["terms"]:
            sign = {"start": 1, "plus": 1, "minus": -1}[term["step"]]
            value += sign * term["amount"]
        assert value == each["offered"]
        kept = next(term["amount"] for term in each["terms"] if term["name"] == "pods")
        assert sum(one["amount"] for one in each["pods"]) == kept
    assert yaml.safe_load(run("explain", "node-1", "--objects", EXAMPLE, "-o", "yaml").output) == found


def test_show(tmp_path: Any) -> None:
    """One line a node, and why a node is held."""
    late = metric(at="2026-01-31T07:50:00Z")
    objects = [node(), late, config(), batch_pod("a/b", "700", "3Gi"), {"kind": "Secret", "metadata": {}}]
    (tmp_path / "all.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))
    at = ("--at", NOW.isoformat())
    found = run("show", "--objects", tmp_path, *at)
    assert found.output.splitlines() == [
        "NODE      BATCH-CPU     REQ    USED   MEMORY      REQ     USED    AGE  STATE",
        "node-1          700     700       0    3.0Gi    3.0Gi    0.0Gi   642s  held",
        "  the metric is 642 s old",
    ]
    listed = json.loads(run("show", "--objects", tmp_path, *at, "-o", "json").output)
    assert [each["state"] for each in listed["nodes"]] == ["held"]


def test_what_would_change_it(tmp_path: Any) -> None:
    """Bounds that hold are named, and so is what was ignored."""
    settings = {"batchCPUThresholdPercent": 10, "nodeConfigs": [{"cpuReclaimThresholdPercent": 1}]}
    objects = [
        node(),
        metric(("a/web", "1", "128Gi")),
        config(**settings),
        pod("a/web", {"cpu": "1"}),
        batch_pod("a/b", "1", "3Gi"),
    ]
    (tmp_path / "all.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))
    text = run("explain", "node-1", "--objects", tmp_path).output
    assert "batch-cpu: is limited by batch threshold: 10 % of capacity" in text
    assert "batch-memory: is at its floor" in text
    assert "batch-memory: ten points of memoryReclaimThresholdPercent are 12.8Gi" in text
    assert "nodeConfigs[0].nodeSelector: is absent" in " ".join(text.split())


def configured(text: str) -> str:
    """Return the ConfigMap with a text as its strategy."""
    return (
        f"kind: ConfigMap\nmetadata: {{name: slo-controller-config}}\ndata: {{colocation-config: '{text}'}}\n"
    )


@pytest.mark.parametrize("at", ["yesterday", "2026-01-31T08:00:00"])
def test_a_time_that_is_none(at: str) -> None:
    """It is wrong usage, with an example."""
    found = run("show", "--objects", EXAMPLE, "--at", at)
    assert found.exit_code == 2
    assert "write for example 2026-01-31T08:00:00Z" in found.output


def test_long_names_of_nodes(tmp_path: Any) -> None:
    """They have a line of their own: a table is never wider than 80 columns, and no name is cut."""
    long = node(cpu="192", memory="1024Gi")
    long["metadata"]["name"] = "gke-prod-cluster-batch-pool-1a2b3c4d-x0kq"
    (tmp_path / "all.json").write_text(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": [long, config()]})
    )
    lines = run("show", "--objects", tmp_path).output.splitlines()
    assert lines[1] == "gke-prod-cluster-batch-pool-1a2b3c4d-x0kq"
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "Node", "metadata": {"name": 1}},
        {"kind": "Node", "metadata": "x"},
        {"kind": "Node", "metadata": {"name": "n", "labels": "x"}, "status": []},
        {
            "kind": "Node",
            "metadata": {"name": "node-1", "labels": {"node.koordinator.sh/cpu-reclaim-ratio": []}},
        },
        {"kind": "Node", "metadata": {"name": "node-1", "annotations": {"a": 1}}},
        {"kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": 3, "allocatable": "x"}},
        {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [1]}},
        {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"resources": "x"}]}},
        {"kind": "Pod", "metadata": {"name": "p", "labels": {"koordinator.sh/qosClass": []}}, "spec": {}},
        {"kind": "ConfigMap", "metadata": {"name": "slo-controller-config"}, "data": "x"},
        {"kind": "NodeMetric", "metadata": {"name": []}, "status": 1},
    ],
)
def test_objects_of_another_shape(tmp_path: Any, wrong: dict[str, Any]) -> None:
    """The object is named; there is no traceback."""
    objects = [{"apiVersion": "v1", **each} for each in (node(), wrong)]
    (tmp_path / "all.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))
    for command in (("explain", "node-1"), ("show",)):
        found = run(*command, "--objects", tmp_path)
        assert found.exit_code == 0 or found.output.startswith("Error: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Node\nmetadata: {name: n}\n", "there is no node 'node-1': the nodes are n"),
        ("- [", "not YAML"),
        (configured("{"), "colocation-config: is not JSON"),
        (
            configured('{"cpuReclaimThresholdPercent": "60"}'),
            "colocation-config.cpuReclaimThresholdPercent: '60' is not a whole number",
        ),
        (
            configured('{"degradeTimeMinutes": 0}'),
            "colocation-config.degradeTimeMinutes: 0 is out of range: write a number from 1",
        ),
    ],
)
def test_wrong_input(tmp_path: Any, text: str, message: str) -> None:
    """One line that names place, value and remedy, and exit status 1."""
    (tmp_path / "x.yaml").write_text(text)
    found = run("explain", "node-1", "--objects", tmp_path)
    assert found.exit_code == 1
    assert message in found.output
    assert "Traceback" not in found.output


def test_a_node_that_is_not_there(tmp_path: Any) -> None:
    """It is said what to do about files without nodes, and about a directory of which nothing is read."""
    for command in (("explain", "node-1"), ("show",)):
        found = run(*command, "--objects", tmp_path)
        assert (found.exit_code, f"{tmp_path}: holds no file named *.yaml" in found.output) == (1, True)
    (tmp_path / "pod.json").write_text(json.dumps(pod("a/web", {"cpu": "1"})))
    found = run("explain", "node-1", "--objects", tmp_path)
    assert (found.exit_code, f"{tmp_path} has none: add what 'kubectl get nodes" in found.output) == (1, True)
