"""What the doctor says of profiles, schedulers and CPU sets."""

import pytest

from tests.cli.doctor.builders import HOME_PODS, LEASES, MUTATING, PODS, lease, profile


def test_profiles_that_are_not_ready_conflict_or_have_no_status(doctor, cluster):
    """With what the conditions say."""
    profile(cluster, "a", ready="False")
    profile(cluster, "b", conflicting="True")
    profile(cluster, "c", observedGeneration=0)
    code, found = doctor()
    assert code == 1
    assert "a: not ready (R): what is wrong" in found["error"]
    assert "b: conflicts with another" in found["warning"]
    assert "the status of c is missing or outdated" in found["warning"]
    assert "2 of 4 are ready" in found["ok"]


def test_two_schedulers_of_one_name(doctor, cluster):
    """Two Leases of its name that are renewed: both would place its pods; an old one is nobody's."""
    cluster.put(LEASES, "koord-scheduler", "elsewhere", spec=lease(seconds=900))
    assert "koord-scheduler: it renews its Lease" in doctor()[1]["ok"]
    cluster.put(LEASES, "koord-scheduler", "elsewhere", spec=lease())
    assert "2 schedulers renew a Lease: " in doctor()[1]["error"]


def test_schedulers_without_a_sign_of_life(doctor, cluster):
    """No Lease, no bound pod; pods that wait; pods that it has bound."""
    cluster.put(LEASES, "koord-scheduler", spec=lease(seconds=900))
    assert "koord-scheduler (named by spark): no sign of it" in doctor()[1]["error"]
    old = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    cluster.put(PODS, "p", "a", metadata=old, spec={"schedulerName": "koord-scheduler"})
    assert "1 pods wait for it and none was bound" in doctor()[1]["error"]
    cluster.put(PODS, "q", "a", metadata=old, spec={"nodeName": "n-1"})
    assert "has bound 1 pods, 1 wait" in doctor()[1]["warning"]
    cluster.delete(PODS, "p", "a")
    assert "has bound 1 pods" in doctor()[1]["ok"]


@pytest.mark.parametrize(
    ("arguments", "verdict", "message"),
    [
        (["serve", "--client-ca=/etc/ca.crt"], "ok", "clients show a certificate"),
        (["serve", "--cpusets"], "warning", "hook-1: /bind answers clients without a certificate"),
        (["serve"], "warning", "set webhook.clientCA in the chart's values"),
    ],
)
def test_who_may_ask_for_cpu_sets(doctor, cluster, arguments, verdict, message):
    """A review of a binding has an effect, so a client without a certificate is worth a warning."""
    (configuration,) = cluster.objects[MUTATING].values()
    client = configuration["webhooks"][0]["clientConfig"]
    service = {**client["service"], "path": "/bind"}
    configuration["webhooks"].append(
        {"name": "bindings.cpuset.colocation-webhook.io", "clientConfig": {**client, "service": service}}
    )
    (made,) = cluster.objects[HOME_PODS].values()
    made["spec"]["containers"] = [{"args": arguments}]
    assert message in doctor()[1][verdict]
    cluster.objects[HOME_PODS].clear()
    assert "no pod of the webhook is found" in doctor()[1]["warning"]
