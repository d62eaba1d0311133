"""A scheduler that reads the CA once, at its start, trusts what is served all the same."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.certificates.conftest import CONFIGMAPS, DEPLOYMENTS, Cluster
from webhook.certificates.verifying import CertificateError, check_issued_by
from webhook.kube.client import ApiError

MANAGER = "colocation-webhook-certificates"
TRUSTED_CA = "colocation-webhook.io/trusted-ca"
SETTLE = 61.0


class Scheduler:
    """Its Deployment with its controller; each pod keeps what the ConfigMap held when it began."""

    def __init__(self, cluster, replicas=2):
        self.cluster = cluster
        self.replicas = replicas
        self.pods = []
        self.rollouts = 0
        spec = {"replicas": replicas, "template": {"metadata": {"labels": {"a": "b"}}}}
        cluster.put(DEPLOYMENTS, "scheduler", spec=spec, metadata={"uid": "first", "generation": 1})

    @property
    def told(self):
        """The newest CA, by the template."""
        annotations = self.deployment["spec"]["template"]["metadata"].get("annotations", {})
        return annotations.get(TRUSTED_CA)

    @property
    def deployment(self):
        """As it is stored."""
        return self.cluster.objects[DEPLOYMENTS]["", "scheduler"]

    def step(self):
        """Replace one pod, or start one: none starts without the ConfigMap."""
        held = self.cluster.objects[CONFIGMAPS].get(("", "ca"))
        old = [each for each in self.pods if each[0] != self.told]
        if held is not None and (old or len(self.pods) < self.replicas):
            self.pods = [*self.pods, (self.told, held["data"]["ca.crt"])]
            if old and len(self.pods) > self.replicas:
                self.pods.remove(old[0])
        new = sum(told == self.told for told, _ in self.pods)
        deployment = self.deployment
        observed = deployment["metadata"]["generation"]
        deployment["status"] = {
            "observedGeneration": observed,
            "replicas": len(self.pods),
            "updatedReplicas": new,
        }
        self.cluster.store(DEPLOYMENTS, ("", "scheduler"), deployment)

    def finish(self):
        """Replace all."""
        for _ in range(2 * self.replicas):
            self.step()


@pytest.fixture
def scheduler(cluster):
    """Two pods of it."""
    return Scheduler(cluster)


def settle(cluster, *rotators, scheduler=None, rounds=10):
    """Look in turn until nothing is left to do."""
    for _ in range(rounds):
        for rotator in rotators:
            rotator.reconcile()
        if scheduler is not None:
            scheduler.finish()
    del cluster


def bundle(cluster):
    """What the ConfigMap holds."""
    return cluster.objects[CONFIGMAPS]["", "ca"]["data"]["ca.crt"].encode()


def patches(cluster):
    """How often the Deployment was changed by a rotator."""
    return cluster.requests["PATCH", f"{DEPLOYMENTS}/scheduler"]


def test_the_certificate_is_published_and_no_key(cluster, scheduler):
    """The ConfigMap holds what every caBundle does, ours by server-side apply, and ends with its reader."""
    first, second = (cluster.rotator(deployment="scheduler") for _ in range(2))
    settle(cluster, first, second, scheduler=scheduler)
    held = cluster.objects[CONFIGMAPS]["", "ca"]
    assert set(cluster.bundles()) == {bundle(cluster)}
    assert set(held["data"]) == {"ca.crt"}
    assert "PRIVATE" not in str(held)
    assert [each["manager"] for each in held["metadata"]["managedFields"]] == [MANAGER]
    applied = [query for path, query in cluster.queries if path == f"{CONFIGMAPS}/ca" and query]
    assert all(query["force"] == "false" for query in applied)
    (owner,) = held["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Deployment", "scheduler", "first")
    assert patches(cluster) == 1, "of two replicas, one restarts it"
    assert scheduler.deployment["spec"]["template"]["metadata"]["labels"] == {"a": "b"}


def test_a_new_ca_is_used_when_the_scheduler_has_read_it(cluster, scheduler):
    """One rollout for a rotation; the leaf is changed only when no pod is left that does not know the CA."""
    rotators = [cluster.rotator(deployment="scheduler") for _ in range(2)]
    settle(cluster, *rotators, scheduler=scheduler)
    leaf, before = rotators[0].read(), patches(cluster)
    cluster.annotate("ca")
    settle(cluster, *rotators)
    assert bundle(cluster).count(b"BEGIN") == 2
    assert patches(cluster) == before + 1
    cluster.seconds += SETTLE
    settle(cluster, *rotators)
    assert rotators[0].read() == leaf, "an old pod is left"
    assert 0 < rotators[0].reconcile() < 5, "it looks again soon"
    scheduler.finish()
    settle(cluster, *rotators)
    cluster.seconds += SETTLE
    settle(cluster, *rotators)
    new = rotators[0].read()
    assert new != leaf
    for _, known in scheduler.pods:
        check_issued_by(new.chain, known.encode())
    cluster.seconds += 601
    settle(cluster, *rotators)
    assert bundle(cluster).count(b"BEGIN") == 1
    assert patches(cluster) == before + 1, "nobody is restarted to trust less"


def test_a_rollout_that_hangs_does_not_keep_the_ca_for_ever(cluster, scheduler):
    """After an hour the certificates that admission needs are renewed without the scheduler."""
    rotator = cluster.rotator(deployment="scheduler")
    settle(cluster, rotator, scheduler=scheduler)
    leaf = rotator.read()
    cluster.annotate("ca")
    settle(cluster, rotator)
    cluster.seconds += 3601
    settle(cluster, rotator)
    cluster.seconds += SETTLE
    settle(cluster, rotator)
    assert rotator.read() != leaf


@pytest.mark.parametrize("path", [f"{CONFIGMAPS}/ca", f"{DEPLOYMENTS}/scheduler"])
def test_what_cannot_be_read_keeps_no_certificate_back(cluster, scheduler, path):
    """Without the right the webhook serves, and says what it lacks."""
    del scheduler
    rotator = cluster.rotator(deployment="scheduler")
    for _ in range(6):
        cluster.failures["GET", path] = [(403, {"message": "not allowed to"})]
        try:
            rotator.reconcile()
        except ApiError as error:
            assert "not allowed to" in str(error)
    assert rotator.read() is not None
    assert rotator.trusted
    assert ("", "ca") not in cluster.objects[CONFIGMAPS]


def test_somebody_elses_ca_stays(cluster, scheduler):
    """It is a conflict, which is said; the webhook serves."""
    others = {"managedFields": [{"manager": "kubectl", "fieldsV1": {"f:data": {}}}]}
    cluster.put(CONFIGMAPS, "ca", data={"ca.crt": "theirs"}, metadata=others)
    rotator = cluster.rotator(deployment="scheduler")
    with pytest.raises(ApiError, match='conflict with "kubectl"'):
        settle(cluster, rotator, scheduler=scheduler)
    assert rotator.trusted
    assert bundle(cluster) == b"theirs"
    assert patches(cluster) == 0


def test_what_is_gone_is_made_again(cluster, scheduler):
    """The ConfigMap; and it goes with the Deployment that there is, not with one of before."""
    rotator = cluster.rotator(deployment="scheduler")
    settle(cluster, rotator, scheduler=scheduler)
    before, restarts = bundle(cluster), patches(cluster)
    cluster.delete(CONFIGMAPS, "ca")
    settle(cluster, rotator)
    assert bundle(cluster) == before
    assert patches(cluster) == restarts
    scheduler.deployment["metadata"]["uid"] = "second"
    settle(cluster, rotator)
    owners = cluster.objects[CONFIGMAPS]["", "ca"]["metadata"]["ownerReferences"]
    assert [each["uid"] for each in owners] == ["second"]
    cluster.delete(DEPLOYMENTS, "scheduler")
    settle(cluster, rotator)
    assert bundle(cluster) == before
    assert base64.b64decode(cluster.secret["data"]["ca.crt"]) == before


def test_a_write_of_another_replica_is_not_undone(cluster, scheduler):
    """What came in between is a conflict of versions: it is read again, and nothing is reported."""
    rotator = cluster.rotator(deployment="scheduler")
    settle(cluster, rotator, scheduler=scheduler)
    cluster.annotate("ca")
    for path in (f"{CONFIGMAPS}/ca", f"{DEPLOYMENTS}/scheduler"):
        cluster.failures["PATCH", path] = [(409, {"reason": "Conflict", "message": "modified"})]
    settle(cluster, rotator)
    assert rotator.error is None
    assert bundle(cluster).count(b"BEGIN") == 2


ACTIONS = (*("look 0", "look 1") * 3, *("roll", "wait") * 2, "ask", "wait longer")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), min_size=20, max_size=80))
def test_whatever_the_order_every_scheduler_trusts_what_is_served(actions):
    """Two replicas, rollouts of any pace, requests at any time: each pod can verify whom it asks."""
    with Cluster() as cluster:
        cluster.configure()
        scheduler = Scheduler(cluster)
        rotators = [cluster.rotator(deployment="scheduler") for _ in range(2)]
        settle(cluster, *rotators, scheduler=scheduler)
        asked = patches(cluster)
        for action in actions:
            if action.startswith("look"):
                rotators[int(action[-1])].reconcile()
            elif action == "roll":
                scheduler.step()
            elif action == "ask":
                cluster.annotate("ca")
            else:
                cluster.seconds += 601 if action == "wait longer" else SETTLE
                if cluster.seconds > 3000:
                    break
            for rotator in rotators:
                for _, known in scheduler.pods:
                    try:
                        check_issued_by(rotator.read().chain, known.encode())
                    except CertificateError as error:
                        raise AssertionError(f"after {action}: {error}") from error
        assert patches(cluster) - asked <= actions.count("ask")
