"""What the chart renders of the scheduler."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.e2e.cluster.kubectl import Object
from tests.e2e.release.rendering import (
    ALL_OPTIONS,
    AUTHORITY,
    CPUSETS,
    DEFAULT,
    NEWEST,
    OWN_SECRET,
    SCHEDULER,
    Helm,
    of_kind,
)


def scheduler_of(objects: list[Object]) -> tuple[Object, Object]:
    """The pod of the scheduler, and its configuration."""
    (pod,) = [
        each["spec"]["template"]["spec"]
        for each in of_kind(objects, "Deployment")
        if each["metadata"]["name"].endswith("-scheduler")
    ]
    (text,) = [
        each["data"]["scheduler.yaml"]
        for each in of_kind(objects, "ConfigMap")
        if "scheduler.yaml" in each["data"]
    ]
    return pod, yaml.safe_load(text)


def test_scheduler(helm: Helm) -> None:
    """The image is of the cluster's version; the configuration scores what the seed's does."""
    pod, configuration = scheduler_of(helm.render(SCHEDULER, "1.33.5-gke.1080000"))
    (container,) = pod["containers"]
    assert container["image"] == "registry.k8s.io/kube-scheduler:v1.33.5"
    assert "--feature-gates=SchedulerPopFromBackoffQ=false" in container["command"]
    (profile,) = configuration["profiles"]
    assert profile["schedulerName"] == "koord-scheduler"
    (fit, preemption) = profile["pluginConfig"]
    assert preemption == {"name": "DefaultPreemption", "args": {"minCandidateNodesPercentage": 100}}
    counted = [each["name"] for each in fit["args"]["scoringStrategy"]["resources"]]
    assert counted == ["cpu", "memory", "kubernetes.io/batch-cpu", "kubernetes.io/batch-memory"]
    assert configuration["percentageOfNodesToScore"] == 100
    (extender,) = configuration["extenders"]
    assert extender["urlPrefix"] == "https://release-colocation-webhook.somewhere.svc:443/scheduler"
    assert extender["tlsConfig"]["caFile"]
    assert extender["nodeCacheCapable"] is True
    assert extender["ignorable"] is True
    older, _ = scheduler_of(helm.render(SCHEDULER, "1.32.1"))
    assert not any("feature-gates" in each for each in older["containers"][0]["command"]), "not known there"


@pytest.mark.parametrize(
    ("cluster", "tag", "known"),
    [
        ("1.32.1", "v1.33.0", True),
        ("1.33.5", "v1.32.9", False),
        ("1.33.5", "v1.33.0-rc.1", True),
        ("1.33.5", "v1.32.9-gke.1", False),
        ("1.33.5", "mine", True),
        ("1.32.1", "mine", False),
        ("1.32.1", "2.1.0", False),
        ("1.32.1", "2025.01.15", False),
        ("1.32.1", "v2.0.0-k8s1.33", False),
        ("1.33.5", "v0.30.3", True),
    ],
)
def test_flags_are_of_the_version_that_runs(helm: Helm, cluster: str, tag: str, *, known: bool) -> None:
    """That of the image's tag, where it says one: a scheduler does not start with a gate that it has not."""
    values = {**SCHEDULER, "scheduler": {**SCHEDULER["scheduler"], "image": {"tag": tag}}}
    pod, _ = scheduler_of(helm.render(values, cluster))
    (container,) = pod["containers"]
    assert container["image"].endswith(f":{tag}")
    assert any("SchedulerPopFromBackoffQ" in each for each in container["command"]) is known


@pytest.mark.parametrize("name", ["1e3", "123", "true"])
def test_a_name_that_is_a_text_only_with_quotes(helm: Helm, name: str) -> None:
    """It stays a text wherever it stands."""
    objects = helm.render({"scheduler": {"enabled": True, "name": name}}, NEWEST)
    _, configuration = scheduler_of(objects)
    assert [each["schedulerName"] for each in configuration["profiles"]] == [name]
    named = [rule.get("resourceNames", []) for each in of_kind(objects, "Role") for rule in each["rules"]]
    assert all(isinstance(each, str) for names in named for each in names)
    assert [name] in named


def test_scheduler_is_off_by_default(helm: Helm) -> None:
    """Without it no scheduler, and no right for it."""
    for values in (DEFAULT, CPUSETS):
        text = json.dumps(helm.render(values, NEWEST))
        assert "kube-scheduler" not in text
        assert "nodemetrics" not in text


def test_checks_of_the_scheduler_can_be_switched_off(helm: Helm) -> None:
    """Load, CPU sets and preemption, each by itself."""
    off = {**SCHEDULER["scheduler"], "checks": {"load": False, "cpuSets": False, "preemption": False}}
    objects = helm.render({**SCHEDULER, "scheduler": off}, NEWEST)
    (settings,) = [
        yaml.safe_load(each["data"]["settings.yaml"])
        for each in of_kind(objects, "ConfigMap")
        if "settings.yaml" in each["data"]
    ]
    assert (settings["loadAware"], settings["cpuSets"]) == (False, False)
    assert "preemptVerb" not in scheduler_of(objects)[1]["extenders"][0]


@pytest.mark.parametrize("wakes", [True, False])
def test_only_who_wakes_pods_may_patch_them(helm: Helm, *, wakes: bool) -> None:
    """The right and the setting come together; CPU sets have the right in any case."""
    values = {**SCHEDULER, "scheduler": {**SCHEDULER["scheduler"], "wakePods": wakes}}
    for more, may in ((values, wakes), ({**values, "cpusets": CPUSETS["cpusets"]}, True)):
        objects = helm.render(more, NEWEST)
        verbs = {
            verb
            for role in of_kind(objects, "ClusterRole")
            for rule in role["rules"]
            if "pods" in rule.get("resources", ()) and "annotations" not in role["metadata"]
            for verb in rule["verbs"]
        }
        assert ("patch" in verbs) == may
        (text,) = [
            each["data"]["settings.yaml"]
            for each in of_kind(objects, "ConfigMap")
            if "settings.yaml" in each["data"]
        ]
        assert yaml.safe_load(text)["wakePods"] is wakes


def webhook_of(objects: list[Object]) -> tuple[list[str], list[Object]]:
    """The flags of the webhook, and the rights in its namespace."""
    (container,) = [
        container
        for each in of_kind(objects, "Deployment")
        for container in each["spec"]["template"]["spec"]["containers"]
        if container["name"] == "webhook"
    ]
    roles = {each["metadata"]["name"]: each["rules"] for each in of_kind(objects, "Role")}
    return container["args"], roles.get("release-colocation-webhook", [])


def test_the_ca_of_managed_certificates(helm: Helm) -> None:
    """The webhook keeps the ConfigMap that the scheduler mounts, and may do that and restart it, no more."""
    objects = helm.render({"scheduler": {"enabled": True}}, NEWEST)
    flags, rules = webhook_of(objects)
    assert "--ca-configmap=somewhere/release-colocation-webhook-scheduler-ca" in flags
    assert "--ca-deployment=release-colocation-webhook-scheduler" in flags
    rights = {
        (resource, tuple(rule.get("resourceNames", ()))): rule["verbs"]
        for rule in rules
        for resource in rule["resources"]
    }
    assert rights["configmaps", ("release-colocation-webhook-scheduler-ca",)] == ["get", "create", "patch"]
    assert rights["deployments", ("release-colocation-webhook-scheduler",)] == ["get", "patch"]
    assert [resource for resource, _ in rights].count("deployments") == 1
    pod, _ = scheduler_of(objects)
    mounted = {each["name"]: each["configMap"]["name"] for each in pod["volumes"]}
    assert mounted["ca"] == "release-colocation-webhook-scheduler-ca"
    assert not any("secret" in each for each in pod["volumes"]), "never the key"
    assert "ca.crt" not in json.dumps([each.get("data") for each in of_kind(objects, "ConfigMap")]).replace(
        "caFile: /etc/kube-scheduler/ca/ca.crt", ""
    )


@pytest.mark.parametrize(
    "values",
    [{"scheduler": {"enabled": True, "caConfigMap": "mine"}}, SCHEDULER, DEFAULT],
    ids=["own ConfigMap", "own Secret", "no scheduler"],
)
def test_no_right_to_what_is_not_kept(helm: Helm, values: dict[str, object]) -> None:
    """Where another keeps the CA, the webhook may do nothing to Deployments and ConfigMaps."""
    flags, rules = webhook_of(helm.render(values, NEWEST))
    assert not any(each.startswith("--ca-") for each in flags)
    assert not {"configmaps", "deployments"} & {each for rule in rules for each in rule["resources"]}


def test_a_client_certificate(helm: Helm) -> None:
    """With the CA of clients the scheduler shows the certificate of its Secret."""
    scheduler = {"enabled": True, "clientCertificateSecret": "shown"}
    objects = helm.render({"webhook": {"clientCA": AUTHORITY}, "scheduler": scheduler}, NEWEST)
    pod, configuration = scheduler_of(objects)
    (extender,) = configuration["extenders"]
    folder = "/etc/kube-scheduler/client"
    assert extender["tlsConfig"]["certFile"] == f"{folder}/tls.crt"
    assert extender["tlsConfig"]["keyFile"] == f"{folder}/tls.key"
    mounts = {each["mountPath"]: each["name"] for each in pod["containers"][0]["volumeMounts"]}
    secrets = {each["name"]: each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
    assert secrets[mounts[folder]] == "shown"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"scheduler": {"enabled": True}, "certificates": ALL_OPTIONS["certificates"]},
            "scheduler.caConfigMap: .* without a CA trusts anybody",
        ),
        ({**SCHEDULER, "webhook": {"clientCA": AUTHORITY}}, "scheduler.clientCertificateSecret"),
        ({**OWN_SECRET, "scheduler": {"enabled": True, "caConfigMap": "ca"}}, "scheduler.caConfigMap: with"),
        ({**OWN_SECRET, "scheduler": {"enabled": True, "name": "default-scheduler"}}, "scheduler.name"),
        (
            {**SCHEDULER, "scheduler": {"enabled": True, "loadAware": {"usageThresholds": {"cpu": -1}}}},
            "usageThresholds/cpu.*minimum",
        ),
        (
            {**SCHEDULER, "scheduler": {"enabled": True, "loadAware": {"usageThreshold": {}}}},
            "usageThreshold",
        ),
    ],
)
def test_scheduler_is_refused(helm: Helm, values: dict[str, object], message: str) -> None:
    """Without a CA, where it would place pods of another scheduler, and with settings that nobody reads."""
    with pytest.raises(AssertionError, match=message):
        helm.render(values, NEWEST)
