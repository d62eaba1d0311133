"""``scheduler explain``: every node with its reason, figures and remedy, in 80 columns."""

import datetime as dt
import json
import re
from pathlib import Path

import pytest

from tests.binding.builders import node, nrt
from tests.scheduling.builders import waiting
from tests.scheduling.test_nodeload import metric

NOW = "2026-01-31T08:00:00Z"
ROOT = Path(__file__).parents[3]


def written(name, usage=None, shape="1x2x4x2"):
    """A node of 16 CPUs: its objects."""
    made = {**node(name, uid=name), "apiVersion": "v1", "kind": "Node"}
    made["status"] = {"allocatable": {"cpu": "16", "memory": "64Gi"}}
    objects = [made]
    if shape:
        topology = {"apiVersion": "topology.node.k8s.io/v1alpha1", "kind": "NodeResourceTopology"}
        objects.append({**topology, **nrt(shape, name)})
    if usage is not None:
        measured = {"apiVersion": "slo.koordinator.sh/v1alpha1", "kind": "NodeMetric"}
        status = {**metric(usage, 0)["status"], "updateTime": NOW}
        objects.append({**measured, "metadata": {"name": name}, "status": status})
    return objects


def namespace(name="d", **labels):
    """A namespace that opted in."""
    given = {"colocation-webhook.io/cpuset": "enabled", **labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": given}}


@pytest.fixture
def folder(tmp_path):
    """Four nodes, each with another answer, and a pod that waits."""
    pod = {"apiVersion": "v1", "kind": "Pod", **waiting("cart", "4")}
    objects = [
        *written("cool", 2_000),
        *written("hot", 15_000),
        *written("small", 0, "1x1x1x2"),
        *written("bare", 0, ""),
        namespace(),
        pod,
    ]
    (tmp_path / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return tmp_path


def test_every_node_has_its_reason_and_remedy(run, folder):
    """Figures are here, not in the reasons; the best node stands first."""
    result = run("scheduler", "explain", "d/cart", "--objects", str(folder), "-o", "json")
    assert result.exit_code == 0, result.output
    found = {each["node"]: each for each in json.loads(result.stdout)["nodes"]}
    assert next(iter(found)) == "cool"
    assert found["cool"]["fits"] is True
    assert len(found["cool"]["cpuset"].split(",")) <= 4
    assert found["cool"]["cpuset"]
    assert found["hot"]["reasons"] == ["node(s) cpu usage exceed threshold"]
    # 15 in use and 85 % of 4 are 18.4 cores; 65 % of 16, rounded, are 10.479.
    assert found["hot"]["remedies"] == ["7.921 less cpu in use, or a threshold of 115 %"]
    assert found["small"]["reasons"] == ["too few free CPUs for a CPU set"]
    assert "needs 4 CPUs; small has" in found["small"]["remedies"][0]
    assert found["bare"]["reasons"] == ["no NodeResourceTopology"]


def test_a_broken_annotation_is_said(run, tmp_path):
    """Where a Node's own thresholds cannot be meant, field and remedy stand with the node, fit or not."""
    objects = written("odd", 2_000)
    objects[0]["metadata"]["annotations"] = {
        "scheduling.koordinator.sh/usage-thresholds": '{"usageThresholds": {"cpu": "65"}}'
    }
    objects += [
        *written("even", 2_000),
        namespace(),
        {"apiVersion": "v1", "kind": "Pod", **waiting("cart", "4")},
    ]
    (tmp_path / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    result = run("scheduler", "explain", "d/cart", "--objects", str(tmp_path), "-o", "json")
    found = {each["node"]: each["notes"] for each in json.loads(result.stdout)["nodes"]}
    assert found["even"] == []
    (note,) = found["odd"]
    assert "usageThresholds[cpu]: '65': write a whole number" in note
    text = run("scheduler", "explain", "d/cart", "--objects", str(tmp_path)).stdout
    assert "! annotation scheduling.koordinator.sh/usage-thresholds counts as absent" in " ".join(
        text.split()
    )


def test_text_has_eighty_columns(run, folder):
    """No line is longer, and every node is named."""
    result = run("scheduler", "explain", "d/cart", "--objects", str(folder))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "1 of 4 nodes fits" in lines[0]
    for name in ("cool", "hot", "small", "bare"):
        assert any(name in line for line in lines)


def test_the_documents_example_is_what_is_printed(run):
    """docs/scheduling.md shows the command on the examples, and its answer."""
    document = (ROOT / "docs" / "scheduling.md").read_text()
    (command, shown), *more = re.findall(
        r"<!-- scheduler explain -->\n```\n\$ (.*?)\n(.*?)```", document, re.DOTALL
    )
    assert not more
    program, *words = command.replace("examples/", f"{ROOT}/examples/").split()
    assert program == "colocation-webhook"
    assert run(*words).output == shown


def test_no_node_fits(run, folder):
    """The status says so."""
    (folder / "settings.yaml").write_text("loadAware: {usageThresholds: {cpu: 1}}")
    result = run(
        "scheduler",
        "explain",
        "d/cart",
        "--objects",
        str(folder),
        "--settings",
        str(folder / "settings.yaml"),
    )
    assert result.exit_code == 1
    assert "0 of 4 nodes fit" in result.stdout


def test_what_is_missing_is_said(run, folder):
    """A pod or a namespace that is not there is named."""
    result = run("scheduler", "explain", "d/nobody", "--objects", str(folder))
    assert (result.exit_code, "there is no pod d/nobody: namespace d has " in result.output) == (1, True)
    result = run("scheduler", "explain", "e/nobody", "--objects", str(folder))
    assert (result.exit_code, "there is no pod e/nobody: namespace e has no pod" in result.output) == (
        1,
        True,
    )
    objects = [*written("cool"), {"apiVersion": "v1", "kind": "Pod", **waiting("alone")}]
    (folder / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    result = run("scheduler", "explain", "d/alone", "--objects", str(folder))
    assert result.exit_code == 1
    assert "namespace d" in result.output


def test_time_is_that_of_the_newest_metric(run, folder):
    """Recorded objects do not age: a metric in a file is as old as it was then."""
    assert dt.datetime.fromisoformat(NOW) < dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    result = run("scheduler", "explain", "d/cart", "--objects", str(folder))
    assert "expired" not in result.stdout
