"""The doctor with few rights, or none."""

from tests.cli.doctor.builders import CONFIGMAPS, LEASES, MUTATING, NODES, PODS, VALIDATING, refused
from tests.kube.fakeapi import PROFILES


def test_what_may_not_be_read_costs_one_line(doctor, cluster):
    """All rights that lack are one error, whatever else works; the rest is examined."""
    for path in (NODES, LEASES, MUTATING):
        cluster.failures["GET", path] = [refused(path)] * 9
    code, found = doctor()
    assert code == 1
    assert found["error"].count("not checked") == 1
    assert (
        "rights: not checked: webhook configurations, serving certificate, view of the cluster, schedulers, "
        "schedulers that ask, extender, nodes, publishers, bindings, Koordinator's webhook: may not "
        "list mutatingwebhookconfigurations, list leases"
    ) in found["error"]
    assert "profiles: 1 of 1 are ready" in found["ok"]


def test_schedulers_are_judged_without_the_right_to_read_configmaps(doctor, cluster):
    """Only who asks the webhook stays unknown: profiles and Leases say the rest."""
    cluster.failures["GET", CONFIGMAPS] = [refused(CONFIGMAPS)] * 9
    code, found = doctor()
    assert code == 1
    assert "schedulers: koord-scheduler: it renews its Lease" in found["ok"]
    assert "not checked: schedulers that ask, extender: may not list configmaps" in found["error"]


def test_what_was_found_before_a_refusal_is_kept(doctor, cluster):
    """A check that ends in the middle has said something already."""
    cluster.objects[MUTATING].clear()
    cluster.failures["GET", VALIDATING] = [refused(VALIDATING)] * 9
    found = doctor()[1]["error"]
    assert "webhook configurations: there is no mutating webhook" in found
    assert "not checked: webhook configurations" in found


PENDING = "0/3 nodes are available: 3 Insufficient kubernetes.io/batch-cpu."


def pod(fake, name, phase="Running", said=None, profiles=""):
    """Put a pod into the namespace of the kubeconfig's context."""
    conditions = [{"type": "PodScheduled", "status": "False", "message": said}] if said else []
    fake.put(
        "/api/v1/namespaces/default/pods",
        name,
        metadata={"annotations": {"colocation-webhook.io/profiles": profiles} if profiles else {}},
        spec={"schedulerName": "koord-scheduler"} | ({"nodeName": "n"} if phase == "Running" else {}),
        status={"phase": phase, "conditions": conditions},
    )


def test_with_few_rights_the_pods_of_the_namespace_are_looked_at(doctor, cluster):
    """Which were changed, and why those that wait do so."""
    for path in (MUTATING, VALIDATING, PROFILES, NODES, PODS, LEASES, "/metrics"):
        cluster.failures["GET", path] = [refused(path)] * 9
    pod(cluster, "web")
    pod(cluster, "one", profiles="spark,team")
    pod(cluster, "two", "Pending", PENDING, "spark")
    pod(cluster, "three", "Pending", "", "spark")
    code, found = doctor()
    assert (code, found["error"].count("\n")) == (1, 0)
    assert "namespace default: 3 of 4 pods were changed by profiles, by spark, team" in found["ok"]
    assert f"two is Pending: {PENDING} -> ask whether nodes publish batch resources" in found["warning"]
    assert (
        "three is Pending, and no scheduler has said why -> ask whether the scheduler koord"
        in found["warning"]
    )


def test_the_rights_of_nobody_at_all(doctor, cluster):
    """Without even the pods of the namespace there is the one error, and nothing else."""
    for path in (
        MUTATING,
        VALIDATING,
        PROFILES,
        NODES,
        LEASES,
        "/metrics",
        "/api/v1/namespaces/default/pods",
    ):
        cluster.failures["GET", path] = [refused(path)] * 9
    code, found = doctor()
    assert (code, found["ok"], found["warning"], found["error"].count("\n")) == (1, "", "", 0)
