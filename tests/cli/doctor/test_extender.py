"""What the doctor says of a scheduler that asks the webhook: it has to know whom it asks."""

import base64
import json

import pytest

from tests.cli.doctor.builders import CONFIGMAPS, DEPLOYMENTS, LEASES, MUTATING, NOW, PODS, lease
from tests.kube.fakeapi import PROFILES
from webhook.certificates.issuing import make_authority

URL = "https://hook.home.svc:443/scheduler"
FILE = "/etc/kube-scheduler/ca/ca.crt"


def install(cluster, authority=None, election=None, **extender):
    """A scheduler's Deployment and configuration, as the chart makes them; ``extender``: other fields."""
    asked = {"urlPrefix": URL, "enableHTTPS": True, "tlsConfig": {"caFile": FILE}} | extender
    profiles = [{"schedulerName": "of-the-chart"}]
    configuration = {"kind": "KubeSchedulerConfiguration", "extenders": [asked], "profiles": profiles}
    configuration["leaderElection"] = election
    text = json.dumps(configuration)
    cluster.put(CONFIGMAPS, "scheduler", data={"scheduler.yaml": text})
    others = "{kind: KubeSchedulerConfiguration, profiles: [{schedulerName: of-others}]}"
    cluster.put(CONFIGMAPS, "another", data={"scheduler.yaml": others, "x": "{"})
    mounts = [
        {"name": "configuration", "mountPath": "/etc/kube-scheduler/configuration"},
        {"name": "ca", "mountPath": "/etc/kube-scheduler/ca"},
    ]
    volumes = [
        {"name": "configuration", "configMap": {"name": "scheduler"}},
        {"name": "ca", "configMap": {"name": "authority"}},
    ]
    pod = {"volumes": volumes, "containers": [{"volumeMounts": mounts}]}
    cluster.put(DEPLOYMENTS, "scheduler", spec={"template": {"spec": pod}})
    if authority is not None:
        cluster.put(CONFIGMAPS, "authority", data={"ca.crt": authority.decode()})
    if "urlPrefix" not in extender and election is None:
        cluster.put(LEASES, "of-the-chart", spec=lease())


def test_the_ca_that_is_in_use(doctor, cluster, authority):
    """Nothing is wrong, also while two CAs are trusted."""
    install(cluster, authority[0].certificate + make_authority(NOW).certificate)
    code, found = doctor()
    assert (code, found["error"]) == (0, "")
    assert "the extender is verified by the CA in ConfigMap authority" in found["ok"]


@pytest.mark.parametrize(
    ("extender", "message"),
    [
        ({"tlsConfig": None}, "has no CA: the scheduler trusts anybody"),
        ({"tlsConfig": "x"}, "has no CA: the scheduler trusts anybody"),
        ({"tlsConfig": {"serverName": "hook.home.svc"}}, "has no CA: the scheduler trusts anybody"),
        ({"tlsConfig": {"insecure": True, "caFile": FILE}}, "has no CA: the scheduler trusts anybody"),
        ({"enableHTTPS": False}, "is asked without TLS"),
        ({"urlPrefix": "http://hook.home.svc/scheduler"}, "is asked without TLS"),
    ],
)
def test_a_scheduler_that_verifies_nobody(doctor, cluster, authority, extender, message):
    """It is an error, with the remedy: whoever answers says where pods go."""
    install(cluster, authority[0].certificate, **extender)
    code, found = doctor()
    assert code == 1
    assert message in found["error"]
    assert "tlsConfig.caFile" in found["error"]


def test_another_ca_and_none(doctor, cluster, authority):
    """A CA that is not published to the scheduler, and a ConfigMap that is not there."""
    install(cluster)
    assert "ConfigMap authority with the CA does not exist" in doctor()[1]["error"]
    install(cluster, make_authority(NOW).certificate)
    assert "ca.crt lacks 1 of the CAs that caBundle has" in doctor()[1]["error"]
    install(cluster, authority[0].certificate)
    both = authority[0].certificate + make_authority(NOW).certificate
    hooks = cluster.objects[MUTATING]["", "ours"]["webhooks"]
    hooks[0]["clientConfig"]["caBundle"] = base64.b64encode(both).decode()
    assert "ca.crt lacks 1 of the CAs that caBundle has" in doctor()[1]["error"]


def test_what_cannot_be_seen_is_no_error(doctor, cluster, authority):
    """A CA in the file itself, extenders of others, and schedulers without one."""
    install(cluster, authority[0].certificate, tlsConfig={"caData": "eA=="})
    assert "which cannot be seen from here" in doctor()[1]["ok"]
    install(cluster, urlPrefix="http://somebody/elses", enableHTTPS=False)
    code, found = doctor()
    assert code == 0
    assert "no kube-scheduler in its namespace asks the webhook" in found["ok"]


@pytest.mark.parametrize("named", [True, False])
def test_a_scheduler_that_asks_the_webhook_and_does_not_run(doctor, cluster, authority, named):
    """Pods name it themselves, and no profile does: that they wait for it is an error all the same."""
    install(cluster, authority[0].certificate)
    if not named:
        for name in list(cluster.objects[PROFILES]):
            del cluster.objects[PROFILES][name]
    assert "of-the-chart: it renews its Lease" in doctor()[1]["ok"]
    cluster.put(LEASES, "of-the-chart", spec=lease(seconds=900))
    assert "of-the-chart (named by ConfigMap scheduler): no sign of it" in doctor()[1]["error"]
    old = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    cluster.put(PODS, "p", "a", metadata=old, spec={"schedulerName": "of-the-chart"})
    code, found = doctor()
    assert code == 1
    assert "of-the-chart (named by ConfigMap scheduler): 1 pods wait for it" in found["error"]
    assert "look why its pods do not run: its Deployment" in found["error"]
    assert "of-others" not in found["error"]


@pytest.mark.parametrize(
    ("election", "namespace"),
    [
        ({"leaderElect": True, "resourceName": "of-the-chart-stock"}, "kube-system"),
        ({"resourceName": "of-the-chart-stock", "resourceNamespace": "home"}, "home"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_the_lease_that_a_configuration_names(doctor, cluster, authority, election, namespace, named):
    """Its scheduler runs as long as that one is renewed, in the namespace that holds for it."""
    install(cluster, authority[0].certificate, election)
    if named:
        cluster.objects[PROFILES]["", "spark"]["spec"]["schedulerName"] = "of-the-chart"
    lacks = "of-the-chart (named by {}): no sign of it".format("spark" if named else "ConfigMap scheduler")
    error = doctor()[1]["error"]
    assert lacks in error
    assert "look why its pods do not run" in error, "it is installed already, whoever names it"
    cluster.put(LEASES, "of-the-chart-stock", "elsewhere", metadata={"namespace": "elsewhere"}, spec=lease())
    assert lacks in doctor()[1]["error"], "of another scheduler"
    cluster.put(LEASES, "of-the-chart-stock", namespace, metadata={"namespace": namespace}, spec=lease())
    code, found = doctor()
    assert (code, found["error"]) == (0, "")
    assert "of-the-chart: it renews its Lease" in found["ok"]
    cluster.put(LEASES, "of-the-chart", "other", metadata={"namespace": "other"}, spec=lease())
    both = sorted(["other/of-the-chart", f"{namespace}/of-the-chart-stock"])
    assert f"2 schedulers renew a Lease: {', '.join(both)}" in doctor()[1]["error"]


def test_a_scheduler_without_a_lease(doctor, cluster, authority):
    """It is not missed for want of one; pods say whether it runs."""
    install(cluster, authority[0].certificate, {"leaderElect": False, "resourceName": "x"})
    code, found = doctor()
    assert (code, found["error"]) == (0, "")
    assert "of-the-chart: without a Lease (leaderElect: false) and pods, it cannot be seen" in found["ok"]
    old = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    cluster.put(PODS, "p", "a", metadata=old, spec={"schedulerName": "of-the-chart"})
    assert "1 pods wait for it and none was bound" in doctor()[1]["error"]
    cluster.put(PODS, "q", "a", metadata=old, spec={"schedulerName": "of-the-chart", "nodeName": "n-1"})
    code, found = doctor()
    assert (code, found["warning"]) == (0, "")


@pytest.mark.parametrize("extenders", ["5", "{a: 1}", "[7, null]", "text"])
def test_extenders_that_are_none(doctor, cluster, extenders):
    """No scheduler starts with them, so nobody asks the webhook."""
    text = f"{{kind: KubeSchedulerConfiguration, extenders: {extenders}}}"
    cluster.put(CONFIGMAPS, "scheduler", data={"scheduler.yaml": text})
    code, found = doctor()
    assert code == 0
    assert "no kube-scheduler in its namespace asks the webhook" in found["ok"]
