"""What an API server makes of a pod before it calls the webhook: priorities, and defaults of a namespace."""

import json

import pytest
import yaml

from tests.cli.conftest import profile
from tests.cli.preview.builders import POD


def priority_class(name, value, **fields):
    """Write a PriorityClass."""
    meta = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
    return json.dumps({**meta, "value": value, **fields})


def test_the_pod_arrives_as_the_api_server_sends_it(run, objects):
    """Requests from limits, scheduler, priority and preemptionPolicy by the class."""
    classes = priority_class("mine", 7, preemptionPolicy="Never")
    pod = yaml.safe_load(POD)
    pod["spec"]["priorityClassName"] = "mine"
    result = run("preview", "--objects", objects(classes), "-o", "json", "-", stdin=json.dumps(pod))
    spec = json.loads(result.stdout)["pods"][0]["before"]["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (7, "Never")
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("classes", "spec", "wanted"),
    [
        ([], {}, (None, 0, "PreemptLowerPriority")),
        ([("a", 7, {"globalDefault": True})], {}, ("a", 7, "PreemptLowerPriority")),
        ([("a", 7, {"globalDefault": True, "preemptionPolicy": "Never"})], {}, ("a", 7, "Never")),
        (
            [("b", 9, {"globalDefault": True}), ("a", -7, {"globalDefault": True})],
            {},
            ("a", -7, "PreemptLowerPriority"),
        ),
        (
            [("a", 7, {"globalDefault": True}), ("b", 9, {})],
            {"priorityClassName": "b"},
            ("b", 9, "PreemptLowerPriority"),
        ),
        ([("a", 7, {})], {"priorityClassName": "a", "priority": 7}, ("a", 7, "PreemptLowerPriority")),
        ([], {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}, (None, 0, "PreemptLowerPriority")),
    ],
)
def test_priority_as_the_api_server_sets_it(run, objects, classes, spec, wanted):
    """By the class that the pod names, else the global default of the lowest value, else 0."""
    directory = objects(*(priority_class(name, value, **fields) for name, value, fields in classes))
    pod = yaml.safe_load(POD)
    pod["spec"] |= spec
    result = run("preview", "--objects", directory, "-o", "json", "-", stdin=json.dumps(pod))
    assert result.exit_code == 0
    before = json.loads(result.stdout)["pods"][0]["before"]["spec"]
    assert tuple(before.get(f) for f in ("priorityClassName", "priority", "preemptionPolicy")) == wanted


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"priority": 5}, "spec.priority"),
        ({"priorityClassName": "a", "priority": 8}, "spec.priority"),
        ({"preemptionPolicy": "Never"}, "spec.preemptionPolicy"),
        ({"priorityClassName": "a", "preemptionPolicy": "Never"}, "spec.preemptionPolicy"),
        ({"priorityClassName": "other"}, "spec.priorityClassName"),
        ({"priorityClassName": 3}, "spec.priorityClassName"),
    ],
)
def test_priorities_that_the_api_server_refuses(run, objects, spec, field):
    """What the pod says of its priority is not what its class says."""
    pod = yaml.safe_load(POD)
    pod["spec"] |= spec
    result = run("preview", "--objects", objects(priority_class("a", 7)), "-", stdin=json.dumps(pod))
    assert result.exit_code == 1
    assert f"✗ {field}: " in result.stdout


def test_a_global_default_decides_about_a_profile_that_sets_a_qos_class_only(run, objects):
    """The pod is of the default's class, so it is not translated, and validation denies it."""
    be = profile("be-only", selector={"matchLabels": {"app": "x"}}, qosClass="BE")
    directory = objects(be, priority_class("site-default", 9500, globalDefault=True))
    result = run("preview", "--objects", directory, "-", stdin=POD)
    assert result.exit_code == 1
    assert "(rule qos-priority/BE-prod)" in result.stdout
    assert "batch-cpu" not in result.stdout
    assert "every pod that matches and names no PriorityClass" in run("check", "--objects", directory).stdout


def limit_range(**item):
    """Write a LimitRange of containers in the namespace default."""
    meta = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "default"}}
    return json.dumps({**meta, "spec": {"limits": [{"type": "Container", **item}]}})


@pytest.mark.parametrize(
    ("labels", "rule"),
    [("BE", None), ("LSR", "request-equals-limit"), ("LSE", "whole-cpus")],
)
def test_limit_range_defaults_are_the_pods_own(run, objects, labels, rule):
    """They are translated, and the rules judge them."""
    figures = {"default": {"cpu": "500m", "memory": "512Mi"}, "defaultRequest": {"cpu": "250m"}}
    classes = {"BE": "koord-batch"}
    made = profile("p", selector={"matchLabels": {"app": "x"}}, qosClass=labels,
                   priorityClassName=classes.get(labels, "koord-prod"))  # fmt: skip
    pod = yaml.safe_load(POD)
    del pod["spec"]["containers"][0]["resources"]
    result = run(
        "preview",
        "--objects",
        objects(made, limit_range(**figures)),
        "-o",
        "json",
        "-",
        stdin=json.dumps(pod),
    )
    (found,) = json.loads(result.stdout)["pods"]
    own = found["before"]["spec"]["containers"][0]["resources"]
    assert own == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    }
    if rule is None:
        translated = found["after"]["spec"]["containers"][0]["resources"]
        assert translated["requests"] == {
            "kubernetes.io/batch-cpu": "250",
            "kubernetes.io/batch-memory": "512Mi",
        }
    else:
        assert f"(rule {rule})" in found["denials"][0]


def test_what_the_containers_request_counts_at_the_pods_level(run, objects):
    """A limit there without a request gets it before validation, as in the API server."""
    pod = yaml.safe_load(POD)
    pod["metadata"]["labels"]["koordinator.sh/qosClass"] = "LSR"
    pod["spec"] |= {"priorityClassName": "koord-prod", "resources": {"limits": {"cpu": "2"}}}
    for cpu, exit_code in (("2", 0), ("1", 1)):
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
        result = run("preview", "--objects", objects(), "-", stdin=json.dumps(pod))
        assert result.exit_code == exit_code, result.stdout
