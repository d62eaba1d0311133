"""What the API server does to a pod before webhooks see it; tests/e2e compares it with a real one."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import view_of
from webhook.cli.preview.admissionplugins import arrive
from webhook.pods.manifests.controllers import MADE_UP

NOT_READY = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
VIEW = view_of(
    [
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "l", "namespace": "limited"},
            "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]},
        }
    ]
)


def arrived(namespace="default", metadata=None, **spec):
    """Return a pod as webhooks see it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", **(metadata or {})},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }
    assert arrive(pod, namespace, VIEW) is None
    return pod


@pytest.mark.parametrize(
    ("own", "added"),
    [
        ([], 2),
        ([NOT_READY], 1),
        ([{**NOT_READY, "effect": ""}], 1),
        ([{**NOT_READY, "effect": "NoSchedule"}], 2),
        ([{"operator": "Exists"}], 0),
        ([{"operator": "Exists", "effect": "NoSchedule"}], 2),
    ],
)
def test_tolerations(own, added):
    """Of a node that is not ready or not reached, where the pod says nothing of them."""
    found = arrived(tolerations=copy.deepcopy(own))["spec"]["tolerations"]
    assert found[: len(own)] == own
    assert [toleration["tolerationSeconds"] for toleration in found[len(own) :]] == [300] * added


@pytest.mark.parametrize(
    ("spec", "account", "mounted"),
    [
        ({}, "default", True),
        ({"serviceAccountName": "own"}, "own", True),
        ({"serviceAccount": "old"}, "old", True),
        ({"automountServiceAccountToken": False}, "default", False),
    ],
)
def test_service_accounts(spec, account, mounted):
    """The pod has one, and its token is mounted unless the pod says otherwise."""
    found = arrived(**spec)["spec"]
    assert found["serviceAccountName"] == found["serviceAccount"] == account
    name = f"kube-api-access-{MADE_UP}"
    assert [volume["name"] for volume in found.get("volumes", [])] == ([name] if mounted else [])
    assert [mount["name"] for mount in found["containers"][0].get("volumeMounts", [])] == (
        [name] if mounted else []
    )


def test_a_mirror_pod_has_no_account():
    """The kubelet would not know it again."""
    mirrored = arrived(metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})
    assert not mirrored["spec"].keys() & {"serviceAccountName", "volumes"}


def test_a_live_pod_keeps_its_token():
    """A volume of that name is taken, and mounted where it is not."""
    live = arrived(volumes=[{"name": "kube-api-access-abcde", "projected": {}}])["spec"]
    assert [volume["name"] for volume in live["volumes"]] == ["kube-api-access-abcde"]
    assert live["containers"][0]["volumeMounts"][0]["name"] == "kube-api-access-abcde"


def test_limit_ranges_are_those_of_the_namespace():
    """And no others."""
    assert arrived("limited")["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1"},
        "limits": {"cpu": "1"},
    }
    assert arrived()["spec"]["containers"][0]["resources"] == {}


FIELDS = (
    "containers", "initContainers", "volumes", "tolerations", "serviceAccountName", "priorityClassName",
    "priority", "preemptionPolicy", "resources", "overhead", "securityContext", "hostNetwork",
)  # fmt: skip
INNER = (
    "name", "image", "resources", "env", "ports", "volumeMounts", "livenessProbe", "lifecycle", "httpGet",
    "requests", "limits", "cpu", "key", "effect", "configMap", "projected", "sources", "downwardAPI", "items",
    "ephemeral", "volumeClaimTemplate", "spec", "valueFrom", "fieldRef", "grpc", "emptyDir", "sizeLimit",
)  # fmt: skip
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.sampled_from(("1", "Exists"))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(INNER), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=4), st.sampled_from(("default", "limited")))
def test_no_pod_breaks_it(spec, namespace):
    """What is of a wrong type is left to the decision, which says what is wrong."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [], **spec}}
    arrive(pod, namespace, VIEW)
    settled = copy.deepcopy(pod)
    arrive(pod, namespace, VIEW)
    assert pod == settled, "what is completed is not completed again"
