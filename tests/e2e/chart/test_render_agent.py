"""What the chart renders of the agent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.cluster.kubectl import Object
from tests.e2e.release.rendering import (
    AGENT,
    AGENT_OPTIONS,
    DEFAULT,
    NEWEST,
    Helm,
    of_kind,
)


def agent_of(objects: list[Object]) -> Object:
    """The pod template of the DaemonSet."""
    (daemonset,) = of_kind(objects, "DaemonSet")
    template: Object = daemonset["spec"]["template"]
    return template


def test_the_agent_is_off_by_default(helm: Helm) -> None:
    """Neither its pods nor its rights are there."""
    assert not [each for each in helm.render(DEFAULT, NEWEST) if "agent" in each["metadata"]["name"]]


@pytest.mark.parametrize("values", [AGENT, AGENT_OPTIONS], ids=["default", "all options"])
def test_the_agent_has_few_rights_on_its_node(helm: Helm, values: Object) -> None:
    """Nothing of the host but files, of which only its own folder can be written; no capability."""
    spec = agent_of(helm.render(values, NEWEST))["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & spec.keys()
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
    state = values["agent"].get("stateDir", "/var/lib/colocation-webhook")
    for mount in container["volumeMounts"]:
        assert mount["mountPath"] == paths[mount["name"]]
        if mount["mountPath"] != state:
            assert (mount["readOnly"], mount["recursiveReadOnly"]) == (True, "IfPossible")
    assert set(paths.values()) == {"/sys/fs/cgroup", state} | (
        {"/var/lib/kubelet"} if values is AGENT_OPTIONS else set()
    )


def test_an_agent_has_two_minutes_to_start(helm: Helm) -> None:
    """On a node that is short of CPU it takes longer than a running one may be silent."""
    (container,) = agent_of(helm.render(AGENT, NEWEST))["spec"]["containers"]
    startup, liveness = container["startupProbe"], container["livenessProbe"]
    assert startup["httpGet"] == liveness["httpGet"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 120


def test_an_agent_that_enforces_writes_cgroups_and_events(helm: Helm) -> None:
    """And nothing else more than one that observes."""
    values: Object = {"agent": {**AGENT["agent"], "mode": "enforce"}}
    before, after = helm.render(AGENT, NEWEST), helm.render(values, NEWEST)
    (container,) = agent_of(after)["spec"]["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert "readOnly" not in mounts["cgroups"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (role,), (more,) = (
        [each for each in of_kind(objects, "ClusterRole") if each["metadata"]["name"].endswith("-agent")]
        for objects in (before, after)
    )
    assert [rule for rule in more["rules"] if rule not in role["rules"]] == [
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}
    ]


def test_what_an_agent_needs_for_processes(helm: Helm) -> None:
    """Each value adds its own rights, and nothing else changes."""
    plain = agent_of(helm.render(AGENT, NEWEST))["spec"]

    def rendered(**values: Any) -> tuple[Object, Object]:
        spec = agent_of(helm.render({"agent": {**AGENT["agent"], **values}}, NEWEST))["spec"]
        return spec, spec["containers"][0]

    spec, container = rendered(oomScoreAdj=True)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}
    assert {"name": "proc", "mountPath": "/host/proc"} in container["volumeMounts"]
    assert [each for each in spec["volumes"] if each not in plain["volumes"]] == [
        {"name": "proc", "hostPath": {"path": "/proc", "type": "Directory"}}
    ]
    assert "hostPID" not in spec
    assert {"--oom-score-adj", "--host-proc=/host/proc"} <= set(container["args"])
    spec, container = rendered(nice={"LS": -5, "BE": 10})
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_NICE"]}
    assert spec["hostPID"] is True
    assert spec["volumes"] == plain["volumes"]
    assert {"--nice=LS=-5", "--nice=BE=10"} <= set(container["args"])
    spec, container = rendered(oomScoreAdj=True, nice={"BE": 10})
    assert container["securityContext"]["capabilities"]["add"] == ["DAC_OVERRIDE", "SYS_NICE"]
    assert spec["volumes"] == plain["volumes"]
    assert not [each for each in container["args"] if "host-proc" in each]


def test_an_agent_that_reads_the_configmap_may_read_that_one(helm: Helm) -> None:
    """Nothing else, and only where it is named."""
    values: Object = {"agent": {**AGENT["agent"], "configMap": "koordinator-system/slo-controller-config"}}
    before, after = helm.render(AGENT, NEWEST), helm.render(values, NEWEST)
    role, binding = (each for each in after if each["metadata"]["name"].endswith("-agent-config"))
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "koordinator-system"
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["slo-controller-config"],
            "verbs": ["list", "watch"],
        }
    ]
    (container,) = agent_of(after)["spec"]["containers"]
    container["args"].remove("--config=koordinator-system/slo-controller-config")
    assert [each for each in after if each not in (role, binding)] == before


def test_the_last_resort_adds_no_right(helm: Helm) -> None:
    """One argument more; without the value the agent kills nobody."""
    values: Object = {"agent": {**AGENT["agent"], "mode": "enforce"}, "eviction": {"enabled": True}}
    before = helm.render(values, NEWEST)
    after = helm.render({**values, "eviction": {"enabled": True, "killAfterSeconds": 60}}, NEWEST)
    (plain,), (container,) = (agent_of(each)["spec"]["containers"] for each in (before, after))
    assert [each for each in container["args"] if each not in plain["args"]] == ["--kill-after=60"]
    assert not [each for each in plain["args"] if "kill" in each]
    container["args"].remove("--kill-after=60")
    assert before == after


def test_the_agents_settings(helm: Helm) -> None:
    """What the values say is in its command line, its annotations and its pod."""
    objects = helm.render(AGENT_OPTIONS, NEWEST)
    template = agent_of(objects)
    (container,) = template["spec"]["containers"]
    assert container["args"][:3] == ["agent", "--in-cluster", "--mode=observe"]
    assert {
        "--state-dir=/data/agent",
        "--yarn-cgroup=hadoop-yarn",
        '--node-slo={"resourceUsedThresholdWithBE":{"enable":true}}',
        "--suppress-be",
        "--suppress-least-cpus=1",
        "--suppress-pressure=20",
        "--kubelet-dir=/var/lib/kubelet",
        "--metrics-bind=:9090",
        "--metrics-path=/actuator/prometheus",
    } <= set(container["args"])
    assert container["env"] == [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    ]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9090",
        "prometheus.io/path": "/actuator/prometheus",
        "example.com/a": "b",
    }
    assert template["spec"]["nodeSelector"] == {"disk": "fast"}
    assert "priorityClassName" not in template["spec"]
    (monitor,) = of_kind(objects, "PodMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in {port["name"] for port in container["ports"]}
    definitions = {each["metadata"]["name"] for each in of_kind(objects, "CustomResourceDefinition")}
    assert "noderesourcetopologies.topology.node.k8s.io" in definitions


def test_the_agents_rights_in_the_cluster(helm: Helm) -> None:
    """It reads nodes and pods, and writes a status and a topology; a policy holds it to its own node."""
    objects = helm.render(AGENT, NEWEST)
    (role,) = [
        each for each in of_kind(objects, "ClusterRole") if each["metadata"]["name"].endswith("-agent")
    ]
    assert {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    } == {
        ("nodes", "list"),
        ("nodes", "watch"),
        ("pods", "list"),
        ("pods", "watch"),
        ("nodemetrics", "list"),
        ("nodemetrics", "watch"),
        ("nodeslos", "list"),
        ("nodeslos", "watch"),
        ("nodemetrics/status", "patch"),
        ("noderesourcetopologies", "create"),
        ("noderesourcetopologies", "patch"),
    }
    (own,) = [
        each for each in of_kind(objects, "Role") if each["metadata"]["name"] == role["metadata"]["name"]
    ]
    (daemonset,) = of_kind(objects, "DaemonSet")
    assert own["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["daemonsets"],
            "resourceNames": [daemonset["metadata"]["name"]],
            "verbs": ["get"],
        }
    ]
    (policy,) = of_kind(objects, "ValidatingAdmissionPolicy")
    (binding,) = of_kind(objects, "ValidatingAdmissionPolicyBinding")
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    written = {
        resource
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for resource in rule["resources"]
    }
    assert written == {"nodemetrics", "nodemetrics/status", "noderesourcetopologies"}


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_agents_know_their_daemonset_and_its_mode(helm: Helm, mode: str) -> None:
    """An agent that ends asks for it; the annotation is a pod's, and means the same."""
    (daemonset,) = of_kind(helm.render({"agent": {"enabled": True, "mode": mode}}, NEWEST), "DaemonSet")
    assert daemonset["metadata"]["annotations"] == {"colocation-webhook.io/agent": mode}
    spec = daemonset["spec"]["template"]["spec"]
    assert f"--daemonset=somewhere/{daemonset['metadata']['name']}" in spec["containers"][0]["args"]
    assert spec["terminationGracePeriodSeconds"] == 60


def test_before_an_uninstall_the_agents_are_removed(helm: Helm) -> None:
    """By a Job whose account may read and delete their DaemonSet, and which is there for that time only."""
    objects = helm.render(AGENT, NEWEST)
    (daemonset,) = of_kind(objects, "DaemonSet")
    hooks = {
        each["kind"]: each
        for each in objects
        if each["metadata"]["name"] == f"{daemonset['metadata']['name']}-removal"
    }
    assert set(hooks) == {"ServiceAccount", "Role", "RoleBinding", "Job"}
    for kind, each in hooks.items():
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-delete"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        assert annotations.get("helm.sh/hook-weight", "0") == ("0" if kind == "Job" else "-1")
    (rule,) = hooks["Role"]["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (["daemonsets"], [daemonset["metadata"]["name"]])
    assert rule["verbs"] == ["get", "delete"]
    spec = hooks["Job"]["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == hooks["ServiceAccount"]["metadata"]["name"]
    (container,) = spec["containers"]
    assert container["args"][:4] == [
        "agent",
        "remove",
        "--in-cluster",
        f"--daemonset=somewhere/{daemonset['metadata']['name']}",
    ]
