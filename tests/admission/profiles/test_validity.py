"""What can be said of a profile's pods without a pod: wrong values, and what is missing."""

import re

import pytest

from tests.builders import batch_profile, mutate, pod, profile, view_of
from webhook.admission.profiles.findings import own_findings
from webhook.protocol import Action

TERMS = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a"}]}]
    }
}
WEIGHTED = {
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 0, "podAffinityTerm": {"topologyKey": "zone"}}
    ]
}


def caps(**spec):
    """Return a profile whose patch changes a pod's spec."""
    return profile("caps", patch={"spec": spec})


def main(**fields):
    """Return a profile whose patch changes the container ``main``."""
    return caps(containers=[{"name": "main", "image": "i"} | fields])


def found_in(raw, rules=None):
    """Return severity and message of what is found about a profile."""
    view = view_of([raw])
    (read,) = view.profiles.values()
    assert read.ready
    return [(f.severity.value, f.message) for f in own_findings(read, view, rules or {})]


REFUSED = [
    (
        profile("p", koordinatorPriority=-1),
        r"spec\.koordinatorPriority: -1 is no label value: write 0 or more",
    ),
    (caps(nodeSelector={"a b": "x"}), r"\.spec\.nodeSelector\[a b\]: .*key 'a b'"),
    (caps(nodeSelector={"a": "x y"}), r"\.spec\.nodeSelector\[a\]: .*value 'x y'"),
    (caps(nodeSelector={"a": "-"}), r"\.spec\.nodeSelector\[a\]: .*value '-'"),
    (caps(activeDeadlineSeconds=0), r"0 is not from 1 to"),
    (caps(securityContext={"runAsUser": -1}), r"-1 is not from 0 to"),
    (caps(restartPolicy="always"), r"'always' is not one of Always, Never, OnFailure"),
    (caps(dnsPolicy="x"), r"'x' is not one of ClusterFirst,"),
    (caps(hostname="a.b"), r"'a\.b' is no DNS label"),
    (caps(hostAliases=[{"ip": "1.2.3"}]), r"\.hostAliases\[1\.2\.3\]\.ip: .*'1\.2\.3' is no IP address"),
    (caps(volumes=[{"name": "A", "emptyDir": {}}]), r"volumes\[A\]\.name: .*'A' is no DNS label"),
    (caps(tolerations=[{"key": "a", "effect": "No"}]), r"\[0\]\.effect: .*'No' is not one of"),
    (caps(tolerations=[{"key": "a", "operator": "Exists", "value": "x"}]), r"\[0\]: .*operator Exists"),
    (caps(affinity={"nodeAffinity": TERMS}), r"matchExpressions\[0\]\.operator: the patch makes a new"),
    (caps(affinity={"podAffinity": WEIGHTED}), r"\[0\]\.weight: .*0 is not from 1 to 100"),
    (main(imagePullPolicy="always"), r"'always' is not one of"),
    (main(ports=[{"containerPort": 70000}]), r"70000 is not from 1 to 65535"),
    (main(ports=[{"containerPort": 1, "protocol": "udp"}]), r"'udp' is not one of SCTP, TCP"),
    (main(env=[{"name": "a=b", "value": "x"}]), r"'a=b' is no environment variable name"),
    (main(livenessProbe={"exec": {"command": ["a"]}, "periodSeconds": 2**33}), r"8589934592 is"),
    (main(resources={"limits": {"foo": "1"}}), r"'foo' is no resource of Kubernetes"),
    (main(resources={"limits": {"a b/c": "1"}}), r"key 'a b/c'"),
    (main(resources={"limits": {"example.com/a": "500m"}}), r"'500m' of example\.com/a is no whole number"),
    (
        main(resources={"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}),
        r"'3Mi' of hugepages-2Mi is no whole number",
    ),
    (main(envFrom=[{}]), r"envFrom\[0\]: the patch leaves none of"),
]
TAKEN = [
    caps(nodeSelector={"example.com/disk": "", "a": "X_1.y"}),
    caps(restartPolicy="", activeDeadlineSeconds=1, hostname="a-1"),
    caps(tolerations=[{"operator": "Exists"}, {"key": "a", "effect": "", "operator": "Equal"}]),
    caps(securityContext={"runAsUser": 0, "sysctls": [{"name": "kernel.shm_rmid_forced"}]}),
    caps(volumes=[{"name": "v"}], hostAliases=[{"ip": "::1"}]),
    main(ports=[{"containerPort": 1, "hostPort": 0}], env=[{"name": "a b"}]),
    main(resources={"limits": {"example.com/a": 1, "hugepages-2Mi": "4Mi", "cpu": "500m"}}),
    main(lifecycle={"preStop": {"sleep": {}}}, livenessProbe={"httpGet": {"port": "http"}}),
    batch_profile(koordinatorPriority=0),
]


@pytest.mark.parametrize(("raw", "problem"), REFUSED)
def test_a_value_that_could_never_work(raw, problem) -> None:
    """Admission §3.10: an error of the profile, or a warning where the rule warns."""
    raw["spec"]["selector"] = {"matchLabels": {"app": "x"}}
    ((severity, message),) = found_in(raw)
    assert severity == "error"
    assert re.search(problem, message)
    assert found_in(raw, {"valid-result": Action.WARN}) == [("warning", message)]
    assert found_in(raw, {"valid-result": Action.OFF}) == []


@pytest.mark.parametrize(("raw", "problem"), REFUSED)
def test_a_profile_with_such_a_value_is_applied(raw, problem) -> None:
    """Admission §3.10: its pods get the answer, so that no other pod is treated otherwise than before."""
    new = pod(labels={"app": "x"})
    denial = mutate(new, raw).denial or ""
    assert f'profile "{raw["metadata"]["name"]}"' in denial
    assert "rule valid-result" in denial
    del problem


@pytest.mark.parametrize("raw", TAKEN)
def test_what_looks_unusual_and_is_valid(raw) -> None:
    """Admission §3.10: has neither error nor warning, and its pods are allowed."""
    raw["spec"]["selector"] = {"matchLabels": {"app": "x"}}
    assert found_in(raw) == []
    assert mutate(pod(labels={"app": "x"}), raw).denial is None


@pytest.mark.parametrize(
    ("patching", "at"),
    [
        (main(image=None), "spec.patch.spec.containers[main].image"),
        (main(volumeMounts=[{"mountPath": "/a"}]), "spec.patch.spec.containers[main].volumeMounts[/a].name"),
        (caps(os={}), "spec.patch.spec.os.name"),
        (caps(volumes=[{"name": "v", "secret": {}}]), "spec.patch.spec.volumes[v].secret.secretName"),
        (main(livenessProbe={}), "spec.patch.spec.containers[main].livenessProbe"),
        (
            main(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            "spec.patch.spec.containers[main].resources",
        ),
    ],
)
def test_what_can_be_said_without_a_pod(patching, at) -> None:
    """Admission §3.10: `check`, /validate and the condition warn of what only some pods make up for."""
    view = view_of([patching])
    found = own_findings(view.profiles["caps"], view, {})
    assert ("warning", at) in {(f.severity, f.message.partition(": ")[0]) for f in found}


@pytest.mark.parametrize(
    "spec",
    [
        {"tolerations": [{"key": "a", "operator": "Exists"}]},
        {"containers": [{"name": "main", "image": "i", "env": [{"name": "A", "value": "x"}]}]},
        {"volumes": [{"name": "v"}], "nodeSelector": {"example.com/disk": "ssd"}},
    ],
)
def test_a_patch_that_is_complete(spec) -> None:
    """Admission §3.10: a patch that no pod could be invalid by is not warned of."""
    view = view_of([caps(**spec)])
    found = own_findings(view.profiles["caps"], view, {})
    assert [finding for finding in found if finding.message.startswith("spec.patch")] == []
