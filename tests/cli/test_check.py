"""What is wrong with profiles."""

import json

import pytest
import yaml

from tests.cli import conftest
from tests.pods.test_documents import LAUGH


def profile(name, **spec):
    """Write a profile that selects some pods, unless its fields say otherwise."""
    return conftest.profile(name, **{"selector": {"matchLabels": {"app": "web"}}, **spec})


def test_the_examples_are_clean(run, examples):
    """Even under --strict: no problem, no note, no disagreement."""
    result = run("check", "--objects", examples / "objects", "--strict")
    assert result.exit_code == 0
    assert result.output == "✓ 3 profiles: 0 errors, 0 warnings\n"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"qosClass": "best"}, "spec.qosClass: 'best' is not one of"),
        ({"priorityClassName": "none"}, "spec.priorityClassName: no PriorityClass 'none' among the objects"),
        (
            {"patch": {"spec": {"priorityClassName": "none"}}},
            "spec.patch.spec.priorityClassName: no PriorityClass",
        ),
        ({"qosClass": "BE", "priorityClassName": "koord-prod"}, "rule qos-priority/BE-prod denies every pod"),
        ({"qosClass": "LSR", "patch": {"spec": {"priorityClassName": "koord-mid"}}}, "qos-priority/LSR-mid"),
    ],
)
def test_errors(run, objects, spec, message):
    """Exit status 1."""
    result = run("check", "--objects", objects(profile("p", **spec)))
    assert result.exit_code == 1
    assert "Profile p\n  ✗ " in result.output
    assert message in result.output


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"typo": 1}, "spec.typo: unknown field"),
        ({"patch": {"spec": {"typo": 1}}}, "a Pod has no such field"),
        ({"patch": {"spec": {"priority": 5}}}, "spec.patch.spec.priority: cannot be set"),
        (
            {"qosClass": "LS", "priorityClassName": "koord-batch"},
            "rule qos-priority/LS-batch warns about every pod",
        ),
        (
            {
                "selector": {
                    "matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}],
                }
            },
            "spec.selector: no labels can satisfy all of: a=b, !a",
        ),
    ],
)
def test_warnings(run, objects, spec, message):
    """Exit status 0, with --strict 1."""
    directory = objects(profile("p", **spec))
    result = run("check", "--objects", directory)
    assert result.exit_code == 0
    assert "  ! " in result.output
    assert message in result.output
    assert run("check", "--objects", directory, "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"selectr": {"matchLabels": {"a": "b"}}},
            "spec.selectr: unknown field, ignored: did you mean 'selector'?",
        ),
        ({"QOSClass": "BE"}, "did you mean 'qosClass'?"),
        ({"patch": {"spec": {"nodeselector": {"a": "b"}}}}, "did you mean 'nodeSelector'?"),
        ({"patch": {"spec": {"tolerations": [{"efect": "NoExecute"}]}}}, "did you mean 'effect'?"),
        ({"patch": {"metadata": {"label": {"a": "b"}}}}, "did you mean 'labels'?"),
        (
            {"labels": {"pod-template-hash": "x"}},
            "the label pod-template-hash is set by the pod's controller",
        ),
    ],
)
def test_misspelled_fields_and_labels_of_controllers(run, objects, spec, message):
    """Exit status 1, and what was meant."""
    result = run("check", "--objects", objects(profile("p", **spec)))
    assert result.exit_code == 1
    assert "  ✗ " in result.output
    assert message in result.output


def test_a_profile_for_everybody(run, objects):
    """A warning; --strict fails."""
    directory = objects(conftest.profile("p", qosClass="LS"))
    result = run("check", "--objects", directory)
    assert result.exit_code == 0
    assert "! spec: no selector and no namespaceSelector: holds for every pod" in result.output
    assert run("check", "--objects", directory, "--strict").exit_code == 1


def test_rules_can_be_set(run, objects):
    """A denial that the service was told to switch off is no error."""
    directory = objects(profile("p", qosClass="BE", priorityClassName="koord-prod"))
    assert run("check", "--objects", directory, "--rule", "qos-priority/BE-prod=off").exit_code == 0


def test_overlaps(run, objects):
    """Which two, in which namespaces, which place, both values, and who wins."""
    namespace = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    directory = objects(namespace, profile("a", qosClass="BE"), profile("b", qosClass="LS"))
    result = run("check", "--objects", directory)
    assert result.exit_code == 0
    assert "Profiles a and b can match the same pod and conflict" in result.output
    assert "in namespaces such as n" in result.output
    assert 'metadata.labels[koordinator.sh/qosClass]: a sets "BE", b sets "LS" (wins)' in result.output
    document = json.loads(run("check", "--objects", directory, "-o", "json").output)
    (overlap,) = document["overlaps"]
    assert (overlap["first"], overlap["second"], overlap["wins"]) == ("a", "b", "b")
    assert overlap["namespaces"] == ["n"]
    assert (document["errors"], document["warnings"]) == (0, 1)


def test_namespaces_that_nobody_described_may_exist(run, objects):
    """Profiles overlap even where no namespace of today has them meet."""
    chosen = {"matchLabels": {"team": "x"}}
    directory = objects(profile("a", qosClass="BE", namespaceSelector=chosen), profile("b", qosClass="LS"))
    assert "in none of the given Namespaces" in run("check", "--objects", directory).output


def test_a_thousand_profiles_that_all_disagree(run, objects):
    """The output is bounded and says so."""
    directory = objects(*(profile(f"p{i}", labels={"k": f"v{i}"}) for i in range(1000)))
    result = run("check", "--objects", directory, "--max-overlaps", "5")
    assert result.output.count("can match the same pod") == 5
    assert "more pairs conflict" in result.output


def test_nothing_to_check_is_a_failure(run, objects):
    """Another directory than the one of the profiles: no success is reported."""
    directory = objects()
    result = run("check", "--objects", directory)
    assert result.exit_code == 1
    assert f"nothing to check: {directory} has no ClusterColocationProfile" in result.output
    assert "✓" not in result.output


def test_the_directory_has_to_be_named(run):
    """The message says what to give."""
    result = run("check")
    assert (result.exit_code, "Give a directory of profiles" in result.output) == (2, True)


def test_files_that_cannot_be_read_are_a_failure(run, tmp_path):
    """File and line."""
    (tmp_path / "p.yaml").write_text("a: [")
    result = run("check", "--objects", tmp_path)
    assert result.exit_code == 1
    assert "p.yaml:2:1" in result.output


def test_profiles_with_errors_come_first(run, objects):
    """Each profile has one block, its errors before its warnings."""
    directory = objects(profile("a", typo=1), profile("z", typo=1, qosClass="best"))
    lines = run("check", "--objects", directory).output.splitlines()
    assert [line[:11] for line in lines[:5]] == [
        "Profile z",
        "  ✗ spec.qo",
        "  ! spec.ty",
        "Profile a",
        "  ! spec.ty",
    ]


def test_a_file_of_aliases_is_refused_at_once(run, tmp_path):
    """One line that names the file; it would be written out as 10^8 words."""
    (tmp_path / "laugh.yaml").write_text(LAUGH)
    result = run("check", "--objects", tmp_path)
    assert result.exit_code == 1
    assert f"Error: {tmp_path}/laugh.yaml:7:" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_the_report_for_machines(run, objects, form):
    """The same in both forms, with the exit status of the text."""
    result = run("check", "--objects", objects(profile("a", qosClass="be")), "-o", form)
    report = yaml.safe_load(result.output)
    assert (result.exit_code, report["errors"], report["findings"][0]["profile"]) == (1, 1, "a")


CONFIG = """
kind: ConfigMap
apiVersion: v1
metadata: {name: slo-controller-config, namespace: koordinator-system}
data:
  colocation-config: '{"enable": true, "degradeTimeMinutes": 0, "Enable": true}'
  cpu-burst-config: |
    {"nodeStrategies": [{"nodeSelector": {"matchLabels": {"pool": "a"}}},
                        {"nodeSelector": {"matchLabels": {"zone": "b"}}}]}
---
kind: Node
apiVersion: v1
metadata: {name: n1, labels: {pool: a, zone: b, broken: [1]}}
"""


def test_a_configmap_among_the_files(run, objects):
    """It is checked as the webhook does, with the Nodes of the files."""
    directory = objects(profile("a"))
    (directory / "config.yaml").write_text(CONFIG)
    result = run("check", "--objects", directory)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert "ConfigMap koordinator-system/slo-controller-config" in lines
    text = " ".join(result.output.split())
    assert "✗ colocation-config.degradeTimeMinutes: 0 is out of range: write a number from 1" in text
    assert "(ConfigParamInvalid)" in text
    assert "both select n1: let their nodeSelectors exclude each other (ExistNodeConfict)" in text
    assert "! colocation-config.Enable: is taken for enable; write it so" in text
    assert lines[-1].startswith("1 profile, 1 ConfigMap: 2 errors, ")
    report = yaml.safe_load(run("check", "--objects", directory, "-o", "yaml").output)
    (config,) = report["configMaps"]
    assert [each["reason"] for each in config["errors"]] == ["ConfigParamInvalid", "ExistNodeConfict"]
    assert report["errors"] == 2


def test_a_configmap_that_is_right(run, objects):
    """Nothing is said of it; a doubtful one fails with --strict only."""
    directory = objects(profile("a"))
    (directory / "config.yaml").write_text(
        CONFIG.partition("  cpu-burst")[0].replace(': 0, "Enable": true', ": 1")
    )
    before = run("check", "--objects", directory)
    assert before.exit_code == 0
    assert before.output.splitlines()[-1].startswith(
        ("✓ 1 profile, 1 ConfigMap: ", "1 profile, 1 ConfigMap: 0 er")
    )
    (directory / "config.yaml").write_text(CONFIG.partition("  cpu-burst")[0].replace(": 0", ": 1"))
    assert run("check", "--objects", directory).exit_code == 0
    assert run("check", "--objects", directory, "--strict").exit_code == 1
