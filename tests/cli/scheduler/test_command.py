"""``scheduler translate``: the seed's ConfigMap, and configurations that cannot be read."""

import json
from pathlib import Path

import pytest
import yaml

SEED = Path(__file__).parents[3] / "examples" / "scheduler" / "koord-scheduler-config.yaml"
API = "kubescheduler.config.k8s.io"
LOADED = f"""
kind: KubeSchedulerConfiguration
apiVersion: {API}/v1
profiles: [{{pluginConfig: [{{name: LoadAwareScheduling, args: {{usageThresholds: {{cpu: 650}}}}}}]}}]
"""


def translated(run, file):
    """The translation of a file."""
    result = run("scheduler", "translate", str(file), "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_seeds_configuration(run):
    """What a stock scheduler has stays, in v1; load awareness becomes ours; the rest is named with advice."""
    found = translated(run, SEED)
    configuration = found["configuration"]
    assert configuration["apiVersion"] == f"{API}/v1"
    assert configuration["leaderElection"]["resourceName"] != "koord-scheduler"
    assert "v1beta2" not in json.dumps(configuration)
    (profile,) = configuration["profiles"]
    assert profile["schedulerName"] == "koord-scheduler"
    assert [each["name"] for each in profile["pluginConfig"]] == ["NodeResourcesFit"]
    stock = {
        name for point in profile["plugins"].values() for each in point["enabled"] for name in each.values()
    }
    assert stock == {"DefaultPreemption", "DefaultBinder"}
    scheduler = found["values"]["scheduler"]
    assert scheduler["loadAware"]["usageThresholds"] == {"cpu": 65, "memory": 95}
    assert scheduler["loadAware"]["nodeMetricExpirationSeconds"] == 300
    assert scheduler["weights"] == {"loadAware": 1, "cpuSets": 1}
    assert len(scheduler["scoringStrategy"]["resources"]) == 4
    assert found["values"]["cpusets"] == {"enabled": True}
    lost = {line.partition(":")[0]: line for line in found["withoutCounterpart"]}
    assert set(lost) == {"Coscheduling", "ElasticQuota", "Reservation", "DeviceShare"}
    assert "Kueue" in lost["Coscheduling"]
    assert "Kueue" in lost["ElasticQuota"]


def test_the_configuration_alone(run, tmp_path):
    """Without its ConfigMap the configuration says the same."""
    (text,) = yaml.safe_load(SEED.read_text())["data"].values()
    plain = tmp_path / "plain.yaml"
    plain.write_text(text)
    assert translated(run, plain) == translated(run, SEED)


def test_the_document_that_fits_is_translated(run, tmp_path):
    """Other documents of a ConfigMap, in the same key or another, are no configuration."""
    (text,) = yaml.safe_load(SEED.read_text())["data"].values()
    data = {"a": f"---\nkind: Other\n---\n{text}\n---\n", "b": "kind: Other # KubeSchedulerConfiguration"}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"kind": "ConfigMap", "data": data}))
    assert translated(run, file) == translated(run, SEED)


def test_text(run):
    """People get values, configuration, and both lists."""
    result = run("scheduler", "translate", str(SEED))
    assert result.exit_code == 0
    for title in ("Values of the chart", "Taken over", "Without counterpart"):
        assert title in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "kind: null"),
        ("kind: KubeSchedulerConfiguration", "apiVersion: null"),
        (f"kind: KubeSchedulerConfiguration\napiVersion: {API}/v2", "v1beta2, v1beta3, v1"),
        (f"kind: KubeSchedulerConfiguration\napiVersion: {API}/v1", "profiles: 0"),
        (
            LOADED,
            "usageThresholds[cpu]: 650: write a whole number from 0 to 100",
        ),
        ("kind: ConfigMap\ndata: {a: b}", "data: 0 documents are a KubeSchedulerConfiguration"),
        ("kind: ConfigMap\ndata: {a: '# KubeSchedulerConfiguration'}", "data: 0 documents are a KubeSched"),
        ("kind: ConfigMap\ndata: {a: 'kind: Other # KubeSchedulerConfiguration'}", "data: 0 documents are"),
        (
            json.dumps({"kind": "ConfigMap", "data": {"a": f"{LOADED}\n---\n{LOADED}"}}),
            "data: 2 documents are",
        ),
        (json.dumps({"kind": "ConfigMap", "data": {"a": LOADED, "b": LOADED}}), "data: 2 documents are"),
        (json.dumps({"kind": "ConfigMap", "data": {"a": LOADED, "b": 3}}), "usageThresholds[cpu]: 650"),
        ("kind: ConfigMap\ndata: {a: '{ # KubeSchedulerConfiguration'}", "data[a]:2:1: not YAML"),
        ("a: 1\n---\nb: 2", "2 documents"),
        ("{", "config.yaml"),
    ],
)
def test_wrong_configurations_are_refused(run, tmp_path, text, message):
    """A file that cannot be meant is refused with its field and what to give."""
    file = tmp_path / "config.yaml"
    file.write_text(text)
    result = run("scheduler", "translate", str(file))
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("parallelism: !!binary aGVsbG8=", "parallelism: b'hello'"),
        ("extenders: [{urlPrefix: !!set {a, b}}]", "extenders[0].urlPrefix: {"),
        ("leaderElection: {leaseDuration: !!timestamp 2026-01-01}", "leaderElection.leaseDuration: datetime"),
        ("clientConnection: {? !!binary aGVsbG8= : 1}", "clientConnection, key b'hello'"),
        ("? !!binary aGVsbG8=\n: 1", "KubeSchedulerConfiguration, key b'hello'"),
    ],
)
@pytest.mark.parametrize("output", ["text", "json", "yaml"])
def test_what_no_json_has_is_refused(run, tmp_path, field, place, output):
    """YAML has more types than a configuration; the field is named, in whatever form it was to be printed."""
    file = tmp_path / "config.yaml"
    file.write_text(f"kind: KubeSchedulerConfiguration\napiVersion: {API}/v1\nprofiles: [{{}}]\n{field}\n")
    result = run("scheduler", "translate", str(file), "-o", output)
    assert result.exit_code == 1
    assert place in result.output
    assert "no JSON has this" in result.output


def test_plugins_of_nobody_are_named(run, tmp_path):
    """What neither side knows is left out, and said."""
    file = tmp_path / "config.yaml"
    profile = {
        "schedulerName": "mine",
        "pluginConfig": [{"name": "Mine", "args": {}}, {"name": "NodeNUMAResource", "args": {
            "defaultCPUBindPolicy": "SpreadByPCPUs", "numaScoringStrategy": {"type": "LeastAllocated"}}}],
        "plugins": {"filter": {"enabled": [{"name": "Theirs"}, {"name": "NodeName"}]},
                    "multiPoint": {"enabled": [{"name": "NodeNUMAResource"}]}},
    }  # fmt: skip
    whole = {"kind": "KubeSchedulerConfiguration", "apiVersion": f"{API}/v1beta3", "profiles": [profile]}
    file.write_text(json.dumps(whole))
    found = translated(run, file)
    assert found["configuration"]["profiles"][0]["plugins"] == {"filter": {"enabled": [{"name": "NodeName"}]}}
    assert [line.partition(":")[0] for line in found["withoutCounterpart"]] == ["Mine", "Theirs"]
    sets = {"enabled": True, "defaultPolicy": "SpreadByPCPUs", "numaStrategy": "LeastAllocated"}
    assert found["values"]["cpusets"] == sets


def test_values_are_such_as_the_chart_takes(run, tmp_path):
    """A scoring strategy that the chart refuses, and other extenders, stand under what has no counterpart."""
    file = tmp_path / "config.yaml"
    strategy = {"type": "RequestedToCapacityRatio", "resources": [{"name": "cpu", "weight": 1}]}
    fit = {"name": "NodeResourcesFit", "args": {"kind": "NodeResourcesFitArgs", "scoringStrategy": strategy}}
    whole = {"kind": "KubeSchedulerConfiguration", "apiVersion": f"{API}/v1",
             "profiles": [{"schedulerName": "mine", "pluginConfig": [fit]}],
             "extenders": [{"urlPrefix": "https://gpu"}]}  # fmt: skip
    file.write_text(json.dumps(whole))
    found = translated(run, file)
    assert "scoringStrategy" not in found["values"]["scheduler"]
    (kept,) = found["configuration"]["profiles"][0]["pluginConfig"]
    assert kept == {"name": "NodeResourcesFit", "args": {"scoringStrategy": strategy}}
    scoring, extender = found["withoutCounterpart"]
    assert "'RequestedToCapacityRatio': the chart's scheduler has LeastAllocated or MostAllocated" in scoring
    assert "'https://gpu': the chart's scheduler asks this webhook and no other extender" in extender


def test_what_the_chart_would_refuse_is_said(run, tmp_path):
    """The name of the cluster's own scheduler, and a weight out of range, are no values; 0 counts 1."""
    scored = [{"name": "LoadAwareScheduling", "weight": 5000}, {"name": "NodeNUMAResource", "weight": 0}]
    profile = {"plugins": {"score": {"enabled": scored}}}
    whole = {"kind": "KubeSchedulerConfiguration", "apiVersion": f"{API}/v1", "profiles": [profile]}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(whole))
    found = translated(run, file)
    assert found["values"]["cpusets"] == {"enabled": True}
    assert not {"name", "weights"} & found["values"]["scheduler"].keys()
    name, alone, weight = found["withoutCounterpart"]
    assert alone.startswith("NodeNUMAResource, at score alone: ")
    assert name.startswith("schedulerName default-scheduler: the cluster's own scheduler has that name")
    assert weight.startswith("LoadAwareScheduling, weight 5000: scheduler.weights.loadAware is 1 to 100")


def test_what_is_switched_off_is_not_done(run, tmp_path):
    """A plugin of Koordinator's that a profile disables is neither taken over nor missed: load is off."""
    off = [{"name": "LoadAwareScheduling", "weight": 3}, {"name": "Coscheduling"}, {"name": "NodeName"}]
    profile = {"schedulerName": "mine", "plugins": {"filter": {"disabled": off}}}
    whole = {"kind": "KubeSchedulerConfiguration", "apiVersion": f"{API}/v1", "profiles": [profile]}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(whole))
    found = translated(run, file)
    default = {"type": "LeastAllocated", "resources": []}
    assert found["values"] == {
        "scheduler": {"enabled": True, "name": "mine", "checks": {"load": False}, "scoringStrategy": default}
    }
    (line,) = found["withoutCounterpart"]
    assert line.startswith("NodeName, disabled at filter: only in the configuration")
    assert found["configuration"]["profiles"][0]["plugins"] == {
        "filter": {"disabled": [{"name": "NodeName"}]}
    }
    assert not any("LoadAware" in line for line in found["takenOver"])


def test_standard_input(run):
    """A configuration comes as well from another command, and errors say from where."""
    found = run("scheduler", "translate", "-", "-o", "json", stdin=SEED.read_bytes())
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) == translated(run, SEED)
    wrong = run("scheduler", "translate", "-", stdin=b"{")
    assert wrong.exit_code == 1
    assert wrong.output.count("standard input") == 1
