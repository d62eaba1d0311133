"""What would happen to the pods of a manifest."""

import json

import pytest
import yaml

from tests.cli.conftest import profile
from tests.cli.preview.builders import POD


def test_the_spark_application_of_the_examples(run, examples):
    """Driver and executor, translated, with the reason of every change."""
    result = run("preview", "--objects", examples / "objects", examples / "manifests/spark-tc-complex.yaml")
    assert result.exit_code == 0
    assert "Pod spark-tc-complex-driver  changed" in result.stdout
    assert "+         kubernetes.io/batch-memory: 3456Mi" in result.stdout
    assert "✓ spark-demo" in result.stdout
    assert "· online-services  namespaceSelector: tier=online, the namespace has no tier" in result.stdout
    assert "~ spec.priority = 5000  (was 0)" in result.stdout
    assert "colocation-webhook.io/" not in result.stdout
    assert "2 pods: 2 changed, 0 unchanged, 0 denied" in result.stdout
    assert "\x1b" not in result.stdout


def test_every_example_is_shown(run, examples):
    """None is denied; a Service is reported as ignored; a BE pod that no profile takes is warned of."""
    result = run("preview", "--objects", examples / "objects", *sorted((examples / "manifests").iterdir()))
    assert result.exit_code == 0
    assert "8 pods: 4 changed, 4 unchanged, 0 denied" in result.stdout
    assert "Service web creates no pods, ignored" in result.stderr
    assert "! spec.containers[0].resources: native cpu and memory in a BE pod" in result.stdout


def test_colours(run, examples):
    """On demand also where there is no terminal."""
    command = ("preview", "--objects", examples / "objects", examples / "manifests/web-deployment.yaml")
    assert "\x1b[32m" in run(*command, "--color", "always").stdout
    assert "\x1b" not in run(*command, "--color", "never").stdout


def test_standard_input_and_namespace(run, objects):
    """``-`` is read; -n is for manifests that name no namespace."""
    chosen = profile(
        "p", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "here"}}, qosClass="LS"
    )
    directory = objects(chosen)
    assert "changed" in run("preview", "--objects", directory, "-n", "here", "-", stdin=POD).stdout
    elsewhere = run("preview", "--objects", directory, "-", stdin=POD).stdout
    assert "unchanged" in elsewhere
    assert "no file describes namespace default" in elsewhere


def test_denials_give_exit_status_1(run, objects):
    """Of the mutating webhook, of the validating one, and of the API server."""
    missing = objects(profile("p", priorityClassName="none"))
    result = run("preview", "--objects", missing, "-", stdin=POD)
    assert result.exit_code == 1
    assert "✗ spec.priorityClassName: profile" in result.stdout
    assert "· p  matched, but the pod is denied" in result.stdout
    denied = objects(profile("p", qosClass="BE", priorityClassName="koord-prod"))
    invalid = run("preview", "--objects", denied, "-", stdin=POD)
    assert invalid.exit_code == 1
    assert "qos-priority/BE-prod" in invalid.stdout
    unknown = POD + "  priorityClassName: nobody\n"
    refused = run("preview", "--objects", objects(), "-", stdin=unknown)
    assert refused.exit_code == 1
    assert "no PriorityClass 'nobody'" in refused.stdout


def test_rules_can_be_set(run, objects):
    """As for the service."""
    directory = objects(profile("p", qosClass="BE", priorityClassName="koord-prod"))
    rule = ("--rule", "qos-priority/BE-prod=warn")
    result = run("preview", "--objects", directory, *rule, "-", stdin=POD)
    assert result.exit_code == 0
    assert "Warnings" in result.stdout


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_machines_get_everything(run, examples, form):
    """Pods before and after, patch, explanation with causes."""
    manifest = examples / "manifests/spark-tc-complex.yaml"
    result = run("preview", "--objects", examples / "objects", "-o", form, manifest)
    driver, executor = yaml.safe_load(result.stdout)["pods"]
    assert driver["outcome"] == executor["outcome"] == "changed"
    assert driver["explanation"]["operations"][0]["causes"][0]["source"] == "spark-demo"
    assert driver["after"]["metadata"]["labels"]["koordinator.sh/qosClass"] == "BE"
    assert "koordinator.sh/qosClass" not in driver["before"]["metadata"]["labels"]


def test_only_so_many_profiles_are_explained(run, objects):
    """The applied ones first, then the nearest misses; the rest is counted."""
    far = [profile(f"a{i}", namespaceSelector={"matchLabels": {"no": "no"}}) for i in range(20)]
    near = profile("z-near", selector={"matchLabels": {"app": "y"}})
    directory = objects(*far, near, profile("zz", qosClass="LS"))
    result = run("preview", "--objects", directory, "--profiles", "2", "-", stdin=POD)
    assert "✓ zz" in result.stdout
    assert "· z-near  selector: app=y, the pod has app=x" in result.stdout
    assert "and 20 more" in result.stdout


def test_a_probability_falls_otherwise_with_another_seed(run, objects):
    """And the same way with the same one."""
    directory = objects(profile("p", qosClass="LS", probability=50))
    seen = {
        seed: run("preview", "--objects", directory, "--seed", seed, "-", stdin=POD).stdout
        for seed in map(str, range(12))
    }
    assert {"0 changed" in text for text in seen.values()} == {True, False}
    assert run("preview", "--objects", directory, "--seed", "3", "-", stdin=POD).stdout == seen["3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "standard input:2:1: not YAML"),
        ("just text", "standard input:1: not a Kubernetes object"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}",
            "Deployment d: spec.template.spec.containers is missing",
        ),
        ("apiVersion: v1\nkind: Pod\nspec: {containers: [!!binary YQ==]}", "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_read(run, objects, text, message):
    """One line, exit status 1."""
    result = run("preview", "--objects", objects(), "-", stdin=text)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Pod\nmetadata: {labels: [a]}\nspec: {containers: [{name: c}]}",
        "apiVersion: v1\nkind: Pod\nspec: {containers: [1]}",
        (
            "apiVersion: apps/v1\nkind: Deployment\n"
            "spec: {template: {metadata: {labels: x}, spec: {containers: [{resources: 3}]}}}"
        ),
        (
            "apiVersion: v1\nkind: Pod\n"
            "spec: {resources: {limits: {cpu: 1}, requests: x}, containers: [{resources: 1}]}"
        ),
    ],
)
def test_a_broken_pod_is_denied_like_in_the_service(run, objects, text):
    """The denial names the field."""
    result = run("preview", "--objects", objects(profile("p", qosClass="BE")), "-", stdin=text)
    assert result.exit_code == 1
    assert "must be a" in result.stdout


def test_files_are_required(run, objects):
    """Wrong use."""
    assert run("preview", "--objects", objects()).exit_code == 2
    assert run("preview", "--objects", objects(), "/nowhere.yaml").exit_code in {1, 2}


def test_a_document_that_cannot_be_read_does_not_hide_the_others(run, objects):
    """It is named, counted in the last line and in JSON, and costs exit status 1."""
    broken = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {}\n"
    binary = "apiVersion: v1\nkind: Pod\nspec: {containers: [!!binary YQ==]}\n"
    manifest = f"a: [\n---\n{POD}---\n{broken}---\n{binary}"
    result = run("preview", "--objects", objects(profile("p", qosClass="LS")), "-", stdin=manifest)
    assert result.exit_code == 1
    assert "Pod p  changed" in result.stdout
    assert "1 pod: 1 changed, 0 unchanged, 0 denied; not shown: 3 that cannot be read\n" in result.stdout
    assert "Deployment d: spec.template.spec.containers is missing" in result.stderr
    shown = run("preview", "--objects", objects(), "-o", "json", "-", stdin=manifest)
    assert shown.exit_code == 1
    assert len(json.loads(shown.stdout)["errors"]) == 3


@pytest.mark.parametrize("manifest", ["", "---\n", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"])
def test_nothing_to_show_is_a_failure(run, objects, manifest):
    """A pipeline that lost its input is not taken for one without changes."""
    result = run("preview", "--objects", objects(), "-", stdin=manifest)
    assert result.exit_code == 1
    assert "nothing to show: no pod, and no object that creates pods" in result.stderr


def test_a_pod_of_a_cluster_was_changed_already(run, tmp_path, examples):
    """What it was changed by, and what another one like it would get: nothing new."""
    manifest = tmp_path / "pod.json"
    pod = json.loads((examples / "reviews" / "spark-driver.json").read_text())["request"]["object"]
    manifest.write_text(json.dumps(pod))
    preview = ("preview", "--objects", examples / "objects", manifest)
    (first,) = json.loads(run(*preview, "-o", "json").output)["pods"]
    assert first["outcome"] == "changed"
    live = first["after"] | {"status": {"phase": "Pending"}}
    manifest.write_text(json.dumps(live))
    text = run(*preview).output
    assert "already changed by spark-demo; below: what a new one would get" in text
    assert "0 changed, 1 unchanged" in text
    assert "Changes" not in text
    live["metadata"]["annotations"]["colocation-webhook.io/profiles"] = 1
    manifest.write_text(json.dumps(live))
    assert "already changed" not in run(*preview).output
