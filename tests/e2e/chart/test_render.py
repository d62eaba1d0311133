"""The chart rendered: for both ends of the supported versions, for no options and all of them."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest

from tests.e2e.cluster.binaries import ROOT, find
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.release.rendering import (
    ALL_OPTIONS,
    AUTHORITY,
    CPUSETS,
    DEFAULT,
    NEWEST,
    NO_OPTIONS,
    OUT_OF_CLUSTER,
    OWN_SECRET,
    SETS,
    Helm,
    of_kind,
)
from webhook.admission.validating.rules import RULES

OLDEST = "1.30.0"
# Kinds of others, for which there is no schema here.
FOREIGN = {"Certificate", "ServiceMonitor", "PodMonitor", "PrometheusRule", "ClusterColocationProfile"}


@pytest.mark.parametrize("name", SETS)
def test_lint(helm: Helm, name: str) -> None:
    """``helm lint --strict`` has nothing to say."""
    helm.lint(SETS[name])


@pytest.mark.parametrize(("name", "version"), list(itertools.product(SETS, [OLDEST, NEWEST])))
def test_schemas(helm: Helm, name: str, version: str) -> None:
    """Every object of Kubernetes' own fits the schema of its version, without unknown fields."""
    objects = helm.render(SETS[name], version)
    for each in objects:
        if each["kind"] not in FOREIGN and each["kind"] != "CustomResourceDefinition":
            kubernetes_validate.validate(each, ".".join(version.split(".")[:2]), strict=True)
    if name == "all options":
        assert {each["kind"] for each in objects} >= FOREIGN - {"PodMonitor"}


def test_the_versions_are_those_of_the_chart(helm: Helm) -> None:
    """One minor version less is refused; versions that are still to come are not, nor those of vendors."""
    for version in (OLDEST, NEWEST, "1.38.0", "1.45.1", "1.33.5-gke.1080000", "1.31.2-eks-7f9249a"):
        assert helm.render(DEFAULT, version)
    with pytest.raises(AssertionError, match="incompatible with Kubernetes"):
        helm.render(DEFAULT, "1.29.9")


def pod_of(objects: list[Object]) -> Object:
    """The pod template of the Deployment."""
    (deployment,) = of_kind(objects, "Deployment")
    template: Object = deployment["spec"]["template"]
    return template


def test_settings_of_the_pod(helm: Helm) -> None:
    """What the values say about pods, network and volumes is in the Deployment; null takes a default away."""
    pod = pod_of(helm.render(ALL_OPTIONS, NEWEST))
    spec = pod["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert [each["topologyKey"] for each in spec["topologySpreadConstraints"]] == ["rack"]
    (container,) = spec["containers"]
    assert container["env"] == ALL_OPTIONS["env"]
    assert ALL_OPTIONS["volumeMounts"][0] in container["volumeMounts"]
    assert ALL_OPTIONS["volumes"][0] in spec["volumes"]
    default = pod_of(helm.render(DEFAULT, NEWEST))["spec"]
    assert default["securityContext"]["runAsUser"] == 65532
    assert {"hostNetwork", "dnsPolicy"}.isdisjoint(default)
    assert len(default["topologySpreadConstraints"]) == 2


@pytest.mark.parametrize("policy", ["ClusterFirst", "Default", "None"])
def test_the_dns_policy_is_the_stated_one(helm: Helm, policy: str) -> None:
    """With and without hostNetwork."""
    for host in (True, False):
        values = {"hostNetwork": host, "dnsPolicy": policy}
        assert pod_of(helm.render(values, NEWEST))["spec"]["dnsPolicy"] == policy


def test_common_labels_are_on_every_object(helm: Helm) -> None:
    """On the pods, too, where podLabels win; never in a selector, which cannot change."""
    objects = helm.render(ALL_OPTIONS, NEWEST)
    for each in objects:
        assert each["metadata"]["labels"]["example.com/team"] == "platform", each["kind"]
    labels = pod_of(objects)["metadata"]["labels"]
    assert (labels["example.com/team"], labels["example.com/shared"]) == ("platform", "pod")
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert "example.com/team" not in deployment["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize("field", ["commonLabels", "podLabels"])
def test_labels_of_the_selector_are_refused(helm: Helm, field: str) -> None:
    """The Deployment would no longer find its pods."""
    for label in ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"):
        with pytest.raises(AssertionError, match=f"at '/{field}/"):
            helm.render({field: {label: "x"}}, NEWEST)
    assert helm.render({field: {"app.kubernetes.io/part-of": "x"}}, NEWEST)


def test_annotations_of_the_configurations(helm: Helm) -> None:
    """They are on both, beside cert-manager's."""
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        (configuration,) = of_kind(helm.render(ALL_OPTIONS, NEWEST), kind)
        annotations = configuration["metadata"]["annotations"]
        assert set(annotations) == {"admissions.enforcer/disabled", "cert-manager.io/inject-ca-from"}
        (configuration,) = of_kind(helm.render(DEFAULT, NEWEST), kind)
        assert "annotations" not in configuration["metadata"]


@pytest.mark.parametrize("rule", ["whole-cpu", "qos-priority/BE-product", "Whole-cpus", "", "rules"])
def test_a_rule_that_nobody_knows_is_refused(helm: Helm, rule: str) -> None:
    """Otherwise its replicas would not start. Every rule that there is may be set."""
    with pytest.raises(AssertionError, match="at '/rules'"):
        helm.render({"rules": {rule: "warn"}}, NEWEST)
    assert helm.render({"rules": dict.fromkeys(RULES, "warn")}, NEWEST)


def test_who_may_view_may_read_profiles(helm: Helm) -> None:
    """One role for "view" and "edit", which only reads; ledgers where there are any."""
    for values, resources in (
        (DEFAULT, {"clustercolocationprofiles"}),
        (CPUSETS, {"clustercolocationprofiles", "nodecpuallocations"}),
    ):
        (role,) = [each for each in of_kind(helm.render(values, NEWEST), "ClusterRole") if aggregated(each)]
        assert aggregated(role) == {"view", "edit"}
        assert {resource for rule in role["rules"] for resource in rule["resources"]} == resources
        assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    for off in (NO_OPTIONS, {"rbac": {"aggregateToView": False}}):
        assert not [each for each in of_kind(helm.render(off, NEWEST), "ClusterRole") if aggregated(each)]


def aggregated(role: Object) -> set[str]:
    """The default roles that a role is added to."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {label.removeprefix(prefix) for label in role["metadata"]["labels"] if label.startswith(prefix)}


def test_resize_is_named_where_it_exists(helm: Helm) -> None:
    """``pods/resize`` came with 1.33."""
    for version, expected in (("1.32.9", False), ("1.33.0", True), (NEWEST, True)):
        (configuration,) = of_kind(helm.render(DEFAULT, version), "ValidatingWebhookConfiguration")
        rules = configuration["webhooks"][0]["rules"]
        assert (["pods/resize"] in [rule["resources"] for rule in rules]) is expected


@pytest.mark.parametrize("name", SETS)
def test_configurations_follow_the_rules(helm: Helm, name: str) -> None:
    """Short timeouts, no side effects, no secrets of scope, the release's own pods left out."""
    objects = helm.render(SETS[name], NEWEST)
    mutating = of_kind(objects, "MutatingWebhookConfiguration")
    for configuration in mutating + of_kind(objects, "ValidatingWebhookConfiguration"):
        for webhook in configuration["webhooks"]:
            assert 2 <= webhook["timeoutSeconds"] <= 5
            binds = webhook["name"].startswith("bindings.")
            assert webhook["sideEffects"] == ("NoneOnDryRun" if binds else "None")
            assert webhook["matchPolicy"] == "Equivalent"
            assert webhook["failurePolicy"] == ("Fail" if binds else "Ignore")
            assert "*" not in str(webhook["rules"])
            if webhook["name"].startswith(("pods.", "bindings.")):
                left_out, opted_out = webhook["namespaceSelector"]["matchExpressions"][:2]
                assert left_out["values"][:3] == ["kube-system", "kube-node-lease", "somewhere"]
                assert opted_out == {
                    "key": "colocation-webhook.io/ignore",
                    "operator": "NotIn",
                    "values": ["true"],
                }
                assert binds or "config.mirror" in webhook["matchConditions"][0]["expression"]
    webhook, *bindings = mutating[0]["webhooks"]
    assert bool(bindings) is (name == "cpusets")
    assert webhook["reinvocationPolicy"] == "IfNeeded"
    assert webhook["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
            "scope": "Namespaced",
        }
    ]


def test_bindings_are_asked_about_where_that_is_wanted(helm: Helm) -> None:
    """A second entry, for namespaces that opted in; flags, definitions and rights come with it."""
    objects = helm.render(CPUSETS, NEWEST)
    (configuration,) = of_kind(objects, "MutatingWebhookConfiguration")
    entry = configuration["webhooks"][1]
    assert entry["name"] == "bindings.cpuset.colocation-webhook.io"
    assert entry["rules"][0]["resources"] == ["pods/binding", "bindings"]
    assert entry["clientConfig"]["service"]["path"] == "/bind"
    opted_in = {"key": "colocation-webhook.io/cpuset", "operator": "In", "values": ["enabled"]}
    assert entry["namespaceSelector"]["matchExpressions"][-1] == opted_in
    (deployment,) = of_kind(objects, "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--cpusets", "--cpusets-lease=somewhere/release-colocation-webhook-cpusets"} <= set(arguments)
    assert len(of_kind(objects, "CustomResourceDefinition")) == 3
    off = helm.render(DEFAULT, NEWEST)
    assert len(of_kind(off, "CustomResourceDefinition")) == 1
    assert "cpuset" not in json.dumps(off)


def test_what_options_leave_out(helm: Helm) -> None:
    """Definition, classes, account, roles, budget and Deployment are there only when they are wanted."""
    wanted = {each["kind"] for each in helm.render(DEFAULT, NEWEST)}
    few = [each for each in helm.render(NO_OPTIONS, NEWEST) if "helm.sh/hook" not in str(each["metadata"])]
    assert {each["kind"] for each in few} == {
        "Deployment", "Service", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
    }  # fmt: skip
    assert wanted >= {"CustomResourceDefinition", "PriorityClass", "PodDisruptionBudget", "ServiceAccount"}
    outside = {each["kind"] for each in helm.render(OUT_OF_CLUSTER, NEWEST)}
    assert not outside & {"Deployment", "Service", "PodDisruptionBudget"}
    assert outside >= {"ServiceAccount", "ClusterRole", "Role", "CustomResourceDefinition"}


def test_replicas_know_their_peers(helm: Helm) -> None:
    """The flag names a headless Service of all replicas, ready or not; policies let them ask."""
    objects = helm.render(ALL_OPTIONS, NEWEST)
    (deployment,) = of_kind(objects, "Deployment")
    _, peers = of_kind(objects, "Service")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = peers["spec"]["ports"]
    assert f"--peer={peers['metadata']['name']}:{port['port']}" in container["args"]
    assert (peers["spec"]["clusterIP"], peers["spec"]["publishNotReadyAddresses"]) == ("None", True)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert peers["spec"]["selector"].items() <= labels.items()
    (policy,) = of_kind(objects, "NetworkPolicy")
    for side, direction in (("from", "ingress"), ("to", "egress")):
        rules = [each for each in policy["spec"][direction] if {"port": "admin"} in each["ports"]]
        chosen = [
            peer["podSelector"]["matchLabels"]
            for each in rules
            for peer in each[side]
            if "podSelector" in peer
        ]
        assert any(selector.items() <= labels.items() for selector in chosen)
    # Prometheus would find each replica twice if the ports had one name.
    (monitor,) = of_kind(objects, "ServiceMonitor")
    assert port["name"] != monitor["spec"]["endpoints"][0]["port"]


def test_what_uninstall_keeps(helm: Helm) -> None:
    """The definition and the PriorityClasses, and nothing else."""
    kept = {
        each["kind"]
        for each in helm.render(ALL_OPTIONS, NEWEST)
        if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {"CustomResourceDefinition", "PriorityClass"}


def test_cert_manager_fills_in_the_authority(helm: Helm) -> None:
    """The annotation names the Certificate, whose name is the Service's; no caBundle is written."""
    objects = helm.render(ALL_OPTIONS, NEWEST)
    (certificate,) = of_kind(objects, "Certificate")
    service, _peers = of_kind(objects, "Service")
    assert certificate["spec"]["dnsNames"][0] == f"{service['metadata']['name']}.somewhere.svc"
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        (configuration,) = of_kind(objects, kind)
        annotation = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
        assert annotation == f"somewhere/{certificate['metadata']['name']}"
        assert "caBundle" not in str(configuration)


def test_managed_certificates_leave_nothing_to_helm(helm: Helm) -> None:
    """No Secret, no caBundle, nothing mounted; flags, names and rights speak of the same objects."""
    objects = helm.render(DEFAULT, NEWEST)
    assert not of_kind(objects, "Secret")
    configurations = of_kind(objects, "MutatingWebhookConfiguration")
    configurations += of_kind(objects, "ValidatingWebhookConfiguration")
    (name,) = {each["metadata"]["name"] for each in configurations}
    assert "caBundle" not in str(configurations)
    (deployment,) = of_kind(objects, "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp"]
    arguments = spec["containers"][0]["args"]
    service = configurations[0]["webhooks"][0]["clientConfig"]["service"]
    assert f"--certificate-name={service['name']}.{service['namespace']}.svc" in arguments
    assert f"--webhook-configuration={name}" in arguments
    (secret,) = (each.partition("/")[2] for each in arguments if each.startswith("--manage-certificates="))
    rules = [
        rule for role in of_kind(objects, "Role") for rule in role["rules"] if "secrets" in rule["resources"]
    ]
    assert [(rule.get("resourceNames"), rule["verbs"]) for rule in rules] == [
        (None, ["create"]),
        ([secret], ["get", "list", "watch", "update"]),
    ]
    for other in (OWN_SECRET, ALL_OPTIONS):
        text = str(helm.render(other, NEWEST))
        assert "--manage-certificates" not in text
        assert "'secrets'" not in text
        assert "--tls-cert" in text


def test_the_authority_of_clients_is_mounted(helm: Helm) -> None:
    """The flag names a file of the chart's ConfigMap, which is mounted; without the value there is none."""
    objects = helm.render(ALL_OPTIONS, NEWEST)
    (stored,) = of_kind(objects, "ConfigMap")
    assert stored["data"] == {"ca.crt": AUTHORITY}
    (deployment,) = of_kind(objects, "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    (volume,) = (each for each in spec["volumes"] if "configMap" in each)
    assert volume["configMap"]["name"] == stored["metadata"]["name"]
    (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == volume["name"])
    assert f"--client-ca={mount['mountPath']}/ca.crt" in spec["containers"][0]["args"]
    assert "client-ca" not in str(helm.render(DEFAULT, NEWEST))


@pytest.mark.parametrize("scheduler", ["", "koord-scheduler", "1.5"])
def test_the_scheduler_of_the_example_profiles(helm: Helm, scheduler: str) -> None:
    """They name the scheduler of the value, and none by default."""
    values = {"create": True, "schedulerName": scheduler} if scheduler else {"create": True}
    profiles = of_kind(helm.render({"exampleProfiles": values}, NEWEST), "ClusterColocationProfile")
    assert [each["metadata"]["name"] for each in profiles] == ["spark-demo", "spark-submit"]
    assert [each["spec"].get("schedulerName", "") for each in profiles] == [scheduler, scheduler]


@pytest.mark.parametrize("scheduler", ["Koord-Scheduler", "koord scheduler", "koord_scheduler", "-a", "a..b"])
def test_no_scheduler_has_such_a_name(helm: Helm, scheduler: str) -> None:
    """A scheduler's name that no pod could have is refused, by the name of the value."""
    with pytest.raises(AssertionError, match="schedulerName"):
        helm.render({"exampleProfiles": {"create": True, "schedulerName": scheduler}}, NEWEST)


def test_koordinators_feature_gates(cache: Path, tmp_path: Path) -> None:
    """The README's command sets both gates, in a chart that hands them on as Koordinator's does."""
    readme = (ROOT / "README.md").read_text()
    command = r"^helm upgrade koordinator .* \\\n  --set (featureGates=.*)$"
    (setting,) = re.findall(command, readme, re.MULTILINE)
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: koordinator, version: 1.0.0}")
    template = tmp_path / "templates" / "arguments.yaml"
    template.write_text("arguments: [--feature-gates={{ .Values.featureGates }}]")
    done = subprocess.run(  # noqa: S603 — the README's own setting
        ["/bin/bash", "-c", f'"$0" template gates "$1" --set {setting}', find("helm", cache), tmp_path],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "[--feature-gates=PodMutatingWebhook=false,PodValidatingWebhook=false]" in done.stdout


@pytest.mark.parametrize("name", SETS)
def test_the_api_server_accepts_the_objects(
    helm: Helm, kubectl: Kubectl, in_cluster: object, name: str
) -> None:
    """A server dry run stores every object of kinds that this API server knows, warning of nothing."""
    del in_cluster
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "somewhere"}}
    kubectl.apply(place)
    for each in helm.render(SETS[name], NEWEST):
        if each["kind"] in {"Certificate", "ServiceMonitor", "PodMonitor", "PrometheusRule"}:
            continue
        if each["kind"] in {"ServiceAccount", "Pod"} and each["metadata"]["name"].endswith("-doctor"):
            continue  # the pod's account would have to be there: see test_doctor
        command = ["apply", "--server-side", "--force-conflicts"]
        if each["kind"] != "CustomResourceDefinition":
            each["metadata"]["name"] += "-dry"
            command = ["create"]
        if each["kind"] == "ClusterColocationProfile":
            each["metadata"]["annotations"] = {}
        done = kubectl.run(*command, "--dry-run=server", "-f", "-", stdin=json.dumps(each))
        assert "Warning" not in done.stderr, done.stderr
