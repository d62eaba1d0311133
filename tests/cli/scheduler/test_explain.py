"""``scheduler explain``: every node with its reason, figures and remedy, in 80 columns."""

import datetime as dt
import json
import re
from pathlib import Path

import pytest

from tests.binding.builders import node, nrt, store
from tests.kube.fakeapi import NAMESPACES, FakeApi
from tests.scheduling.builders import waiting
from tests.scheduling.test_nodeload import metric
from webhook.binding.caches import TOPOLOGIES
from webhook.kube.paths import NODES, PODS
from webhook.scheduling.service import NODEMETRICS

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


def of(check, reason):
    """A reason, as JSON has it."""
    return {"check": check, "reason": reason}


def stored(folder, *objects):
    """A folder with these objects."""
    (folder / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return folder


def explained(run, pod, folder, *flags):
    """What is said of a pod: remarks, and of each node."""
    result = run("scheduler", "explain", pod, "--objects", str(folder), "-o", "json", *flags)
    assert result.exit_code in (0, 1), result.output
    found = json.loads(result.stdout)
    return found["remarks"], {each["node"]: each for each in found["nodes"]}


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
    assert found["cool"]["reasons"] == []
    assert found["hot"]["reasons"] == [of("loadAware", "node(s) cpu usage exceed threshold")]
    # 15 in use and 85 % of 4 are 18.4 cores; 65 % of 16, rounded, are 10.479; there is no threshold of 115 %.
    assert found["hot"]["remedies"] == ["7.921 less cpu in use"]
    assert found["small"]["reasons"] == [of("cpuSets", "too few free CPUs for a CPU set")]
    assert "needs 4 CPUs; small has" in found["small"]["remedies"][0]
    assert found["bare"]["reasons"] == [of("cpuSets", "no NodeResourceTopology")]


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
    assert "usageThresholds['cpu']: '65': write a whole number" in note
    text = run("scheduler", "explain", "d/cart", "--objects", str(tmp_path)).stdout
    assert "! annotation scheduling.koordinator.sh/usage-thresholds counts as absent" in " ".join(
        text.split()
    )


@pytest.mark.parametrize("output", ["text", "json", "yaml"])
def test_half_a_character_in_an_annotation_is_said(run, tmp_path, output):
    """JSON can name a resource by what no encoding has; it is printed as JSON writes it."""
    objects = written("odd", 2_000)
    objects[0]["metadata"]["annotations"] = {
        "scheduling.koordinator.sh/usage-thresholds": r'{"usageThresholds": {"\ud800": "65"}}'
    }
    stored(tmp_path, *objects, namespace(), {"apiVersion": "v1", "kind": "Pod", **waiting("cart", "4")})
    result = run("scheduler", "explain", "d/cart", "--objects", str(tmp_path), "-o", output)
    assert result.exit_code == 0, result.output
    assert r"\ud800'" in result.stdout


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
    """A pod that is not there is named; a namespace that no file describes has no labels."""
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
    assert (result.exit_code, "alone: 1 of 1 nodes fits" in result.output) == (0, True)
    said = " ".join(result.output.split())
    assert "no CPU set: the namespace d has no label" in said
    assert "already" not in said
    objects[-1]["spec"]["nodeName"] = "cool"
    (folder / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    result = run("scheduler", "explain", "d/alone", "--objects", str(folder))
    assert "it is on cool already, and counts there" in result.output


def other():
    """A pod that runs on the node n, with all of what is read of it."""
    made = {"apiVersion": "v1", "kind": "Pod", **waiting("other", "4")}
    made["spec"] |= {"nodeName": "n", "priority": 9000}
    made["metadata"]["annotations"] = {"scheduling.koordinator.sh/resource-status": '{"cpuset": "4,12"}'}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": NOW}
    made["status"] = {"phase": "Running", "conditions": [scheduled]}
    return made


def whole():
    """A small cluster with an object of each kind."""
    made, topology, measured = written("n", 2_000)
    made["spec"] = {"taints": [{"key": "a"}]}
    made["metadata"]["annotations"] = {"scheduling.koordinator.sh/usage-thresholds": "{}"}
    made["metadata"]["labels"] = {"a": "b"}
    ledger = {"kind": "NodeCPUAllocation", "metadata": {"name": "n", "uid": "u"}, "spec": {"allocations": []}}
    pod = {"apiVersion": "v1", "kind": "Pod", **waiting("cart", "4"), "status": {"phase": "Pending"}}
    return [made, topology, measured, namespace(), other(), ledger, pod]


def places(value, at=()):
    """The paths of all that stands in an object."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*at, key)
        yield from places(each, (*at, key))


@pytest.mark.parametrize("odd", [5, "x", True, None, 1.5, [1], [{"a": 1}], {"a": {"b": [1]}}], ids=str)
def test_odd_files_are_answered(run, tmp_path, odd):
    """Whatever stands wherever in a file, nodes are explained, or its place is said."""
    for i, of in enumerate(whole()):
        for path in places(of):
            objects = whole()
            at = objects[i]
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = odd
            result = run("scheduler", "explain", "d/cart", "--objects", str(stored(tmp_path, *objects)))
            assert result.exit_code in (0, 1), (of["kind"], path, result.output)
            if result.output.startswith("Error: "):
                said = (f"items[{i}]: ", "there is no pod d/cart", "the namespace d has not been listed")
                assert any(each in result.output for each in said), (of["kind"], path, result.output)


@pytest.mark.parametrize(
    ("kind", "field", "odd", "said"),
    [
        ("Pod", "status", "Running", "status: 'Running': write an object"),
        ("Pod", "spec", 5, "spec: 5: write an object"),
        ("Pod", "spec", {"containers": {"name": "c"}}, "spec.containers: must be a list, not {'name': 'c'}"),
        ("Pod", "spec", {"priority": "9000"}, "spec.priority: must be an integer, not '9000'"),
        ("Pod", "spec", {"nodeName": 7}, "spec.nodeName: 7: write a text, in quotes"),
        (
            "Node",
            "metadata",
            {"name": "n", "annotations": {"a": 5}},
            "metadata.annotations.a: 5: write a text",
        ),
        ("Node", "spec", {"taints": {"key": "a"}}, "spec.taints: {'key': 'a'}: write a list of objects"),
        ("NodeMetric", "status", [1], "status: [1]: write an object"),
        ("Namespace", "metadata", {"name": "d", "labels": "a=b"}, "metadata.labels: 'a=b': write an object"),
        (
            "Namespace",
            "metadata",
            {"name": "d", "labels": {"a": True}},
            "metadata.labels.a: True: write a text",
        ),
    ],
)
def test_a_wrong_type_is_said_with_its_place(run, tmp_path, kind, field, odd, said):
    """Of any object, also of one that is not asked about."""
    objects = whole()
    i = next(i for i, each in enumerate(objects) if each["kind"] == kind)
    objects[i][field] = odd
    result = run("scheduler", "explain", "d/cart", "--objects", str(stored(tmp_path, *objects)))
    assert result.exit_code == 1
    assert f"cluster.json items[{i}]: {said}" in result.output


def test_time_is_that_of_the_newest_metric(run, folder):
    """Recorded objects do not age: a metric in a file is as old as it was then."""
    assert dt.datetime.fromisoformat(NOW) < dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    result = run("scheduler", "explain", "d/cart", "--objects", str(folder))
    assert "expired" not in result.stdout


@pytest.mark.parametrize(
    ("flags", "cpus"),
    [
        ((), "5-6,13-14"),
        (("--cpusets-policy", "SpreadByPCPUs"), "0-3"),
        (("--cpusets-strategy", "LeastAllocated"), "0-1,8-9"),
        (("--cpusets-share-pool", "13"), ""),
    ],
)
def test_cpu_sets_are_given_as_serve_gives_them(run, tmp_path, flags, cpus):
    """The flags of ``serve`` change what a pod would get, and whether it would get anything."""
    other = {"apiVersion": "v1", "kind": "Pod", **waiting("other", "4")}
    other["spec"]["nodeName"] = "n"
    other["metadata"]["annotations"] = {"scheduling.koordinator.sh/resource-status": '{"cpuset": "4,12"}'}
    pod = {"apiVersion": "v1", "kind": "Pod", **waiting("cart", "4")}
    stored(tmp_path, *written("n", 0, "2x1x4x2"), namespace(), pod, other)
    _, found = explained(run, "d/cart", tmp_path, *flags)
    assert found["n"]["cpuset"] == cpus
    assert found["n"]["fits"] is bool(cpus)


def test_a_share_pool_that_cannot_be_meant(run, folder):
    """It is refused by the flag's name."""
    result = run("scheduler", "explain", "d/cart", "--objects", str(folder), "--cpusets-share-pool", "x")
    assert result.exit_code == 2
    assert "--cpusets-share-pool" in result.output


def test_remedies_are_possible(run, tmp_path):
    """A threshold is named up to 100 %, and no less use than there is."""
    small, large = (
        {"apiVersion": "v1", "kind": "Pod", **waiting(name, cpu)} for name, cpu in (("a", "2"), ("b", "16"))
    )
    stored(tmp_path, *written("warm", 10_000), *written("idle", 0), namespace(), small, large)
    _, found = explained(run, "d/a", tmp_path)
    assert found["warm"]["remedies"] == ["1.221 less cpu in use, or a threshold of 73 %"]
    _, found = explained(run, "d/b", tmp_path)
    assert found["idle"]["remedies"][0] == (
        "a pod that is expected to use at most 10.479 cpu, or a threshold of 85 %"
    )


def test_a_node_without_a_metric_is_said(run, tmp_path):
    """Nothing is known of what it uses, which is not nothing in use."""
    pod = {"apiVersion": "v1", "kind": "Pod", **waiting("cart", "4")}
    stored(tmp_path, *written("known", 0), *written("unknown"), namespace(), pod)
    _, found = explained(run, "d/cart", tmp_path)
    assert (found["known"]["measured"], found["unknown"]["measured"]) == (True, False)
    assert found["known"]["load"]
    assert found["unknown"]["load"] == []
    result = run("scheduler", "explain", "d/cart", "--objects", str(tmp_path))
    known, unknown = result.stdout.split("✓ unknown")
    assert "cpu: 0 there +" in known
    assert "there +" not in unknown
    assert "no NodeMetric says what is in use: no pod is kept from it by load" in unknown


@pytest.mark.parametrize(
    ("given", "labels", "settings", "said"),
    [
        ({}, {}, "{}", []),
        ({"ownerReferences": [{"kind": "DaemonSet", "name": "d", "apiVersion": "apps/v1", "uid": "u"}]},
         {}, "{}", ["a pod of a DaemonSet: load keeps it from no node"]),
        ({}, {"colocation-webhook.io/cpuset": "no"}, "{}",
         ["no CPU set: the namespace d has no label colocation-webhook.io/cpuset=enabled"]),
        ({"qos": "LS"}, {"colocation-webhook.io/cpuset": "no"}, "{}", []),
        ({}, {}, "{loadAware: false, cpuSets: false}",
         ["load is not looked at: the settings switch it off",
          "CPU sets are not looked at: the settings switch them off"]),
    ],
)  # fmt: skip
def test_checks_that_do_not_look_at_a_pod_are_said(run, tmp_path, given, labels, settings, said):
    """A node fits such a pod for another cause than that there is room."""
    pod = {"apiVersion": "v1", "kind": "Pod", **waiting("cart", "4", **given)}
    stored(tmp_path, *written("n", 0), namespace(**labels), pod)
    file = tmp_path / "settings"
    file.write_text(settings)
    remarks, found = explained(run, "d/cart", tmp_path, "--settings", str(file))
    assert remarks == said
    assert found["n"]["fits"]
    text = run("scheduler", "explain", "d/cart", "--objects", str(tmp_path), "--settings", str(file)).stdout
    assert all(line in " ".join(text.split()) for line in said)


def test_a_cluster(run, tmp_path, folder):
    """From an API server it says the same as from files, also where kinds are not defined there."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    kinds = {"Node": NODES, "Pod": PODS, "Namespace": NAMESPACES, "NodeMetric": NODEMETRICS,
             "NodeResourceTopology": TOPOLOGIES}  # fmt: skip
    with FakeApi() as api:
        kubeconfig = tmp_path / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.port}"}}
        context = {"name": "x", "context": {"cluster": "c"}}
        kubeconfig.write_text(
            json.dumps({"current-context": "x", "contexts": [context], "clusters": [cluster]})
        )
        api.objects.update({path: {} for path in kinds.values()})
        for each in json.loads((folder / "cluster.json").read_text())["items"]:
            if each["kind"] == "NodeMetric":
                each["status"]["updateTime"] = now
            store(api, kinds[each["kind"]], each)
        asked = ("scheduler", "explain", "d/cart", "-o", "json")
        live = run(*asked, "--kubeconfig", str(kubeconfig))
        assert live.exit_code == 0, live.output
        assert json.loads(live.stdout) == json.loads(run(*asked, "--objects", str(folder)).stdout)
        del api.objects[TOPOLOGIES], api.objects[NODEMETRICS]
        bare = run(*asked, "--kubeconfig", str(kubeconfig))
        assert bare.exit_code == 1
        for each in json.loads(bare.stdout)["nodes"]:
            assert each["reasons"] == [of("cpuSets", "no NodeResourceTopology")]
            assert each["measured"] is False
