"""Manifest files, read as kubectl reads them."""

import json

import click
import pytest

from webhook.cli.options.manifests import read_manifests, read_pods
from webhook.pods.manifests.workloads import NotShown


def pod(name, **spec):
    """Write a pod."""
    containers = [{"name": "c", "image": "i"}]
    meta = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
    return json.dumps({**meta, "spec": {"containers": containers, **spec}})


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes files into one folder and returns it."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    return write


def names(*files):
    """Return the names of the pods of files, and how many errors there are."""
    found = read_manifests(files)
    return [pod.name for pod in found.pods], len(found.errors)


def test_a_directory_is_read_in_the_order_of_names(folder):
    """Its YAML and JSON files, not those of its subdirectories."""
    where = folder(b_yaml=pod("b"), a_json=pod("a"), c_yml=pod("c"), d_txt="x", sub__e_yaml=pod("e"))
    assert names(where) == (["a", "b", "c"], 0)
    assert names(where, f"{where}/sub") == (["a", "b", "c", "e"], 0)


def test_a_directory_without_files_is_an_error(folder):
    """As in kubectl."""
    found = read_manifests([folder(a_txt="x")])
    assert found.errors == [f"{found.errors[0].partition(':')[0]}: holds no file named *.yaml, *.yml, *.json"]


def test_an_unreadable_file_costs_only_itself(folder):
    """Of several."""
    where = folder(a_yaml=pod("a"), b_yaml="a: [", c_yaml=pod("c"))
    assert names(where) == (["a", "c"], 1)
    with pytest.raises(click.ClickException, match=r"b\.yaml:2:1: not YAML"):
        read_pods(where)


@pytest.mark.parametrize(
    "listed",
    [
        {"apiVersion": "v1", "kind": "List"},
        {"apiVersion": "v1", "kind": "PodList"},
    ],
)
def test_one_bad_item_of_a_list_costs_only_itself(folder, listed):
    """Items of a typed list need no kind."""
    items = [json.loads(pod("a")), {"metadata": {"name": "b"}, "spec": {}}, 3, json.loads(pod("c"))]
    if listed["kind"] == "PodList":
        for item in items[::3]:
            del item["kind"], item["apiVersion"]
    assert names(folder(l_json=json.dumps({**listed, "items": items})) + "/l.json") == (["a", "c"], 2)


def test_every_object_that_is_not_shown_is_named(folder):
    """Also inside of a List."""
    service, flink = (
        {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": {}}
        for version, kind in (("v1", "Service"), ("flink.apache.org/v1beta1", "FlinkDeployment"))
    )
    listed = {"apiVersion": "v1", "kind": "List", "items": [service, flink]}
    found = read_manifests([folder(a_json=json.dumps(listed), b_json=json.dumps(flink))])
    assert [(ignored.object, ignored.reason) for ignored in found.ignored] == [
        ("Service x", NotShown.NO_PODS),
        ("FlinkDeployment x", NotShown.UNKNOWN),
        ("FlinkDeployment x", NotShown.UNKNOWN),
    ]
    assert "items[1]: FlinkDeployment x: kind not known" in str(found.ignored[1])


HEAD = "apiVersion: v1\nkind: Pod\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "metadata: {name: {{ .Values.name }}}\n",
        HEAD + 'metadata:\n  name: {{ include "app.fullname" . }}\n',
        "{{- if .Values.enabled }}\n" + HEAD + "{{- end }}\n",
        HEAD + "metadata:\n  labels:\n    {{- toYaml .Values.labels | nindent 4 }}\n",
        HEAD + 'metadata: {name: "{{ $name }}"}\nspec: {containers: [{name: c, image: i}]}\n',
        HEAD
        + 'metadata: {name: a, namespace: "{{ .Release.Namespace }}"}\nspec: {containers: [{name: c}]}\n',
        HEAD + 'metadata: {name: a, labels: {a: "{{.Chart.Name}}"}}\nspec: {containers: [{name: c}]}\n',
        HEAD + 'metadata: {name: a}\nspec: {containers: [{name: c, image: "{{ .Values.image }}:1"}]}\n',
    ],
)
def test_an_unrendered_helm_template_is_named(folder, text):
    """What parses as YAML, too; other documents of the file are shown."""
    found = read_manifests([folder(t_yaml=f"{text}---\n{pod('a')}\n")])
    assert [one.name for one in found.pods] == ["a"]
    (error,) = found.errors
    assert "unrendered Helm template: render it first: helm template" in error


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "metadata: {name: a}\nspec: {containers: [{name: c, image: i, args: ['{{ .Name }}']}]}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {t: '{{ .Values.x }}'}\n",
        HEAD + "metadata: {name: 'a-{{inputs.parameters.x}}'}\nspec: {containers: [{name: c, image: i}]}\n",
        HEAD
        + "metadata: {name: a, annotations: {t: '{{ $labels.pod }}'}}\nspec: {containers: [{name: c}]}\n",
    ],
)
def test_other_braces_are_no_helm_template(folder, text):
    """Arguments, data and annotations may hold templates of something else; so do Argo Workflows."""
    assert read_manifests([folder(t_yaml=text)]).errors == []
