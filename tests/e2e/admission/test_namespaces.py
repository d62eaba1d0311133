"""Namespaces with LimitRanges and ResourceQuotas; namespaces and pods that are left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.objects import assert_be, container, pod, profile
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import NAMESPACE


def limit_range(namespace: str, **limit: Object) -> Object:
    """A LimitRange of containers."""
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "limits", "namespace": namespace},
        "spec": {"limits": [{"type": "Container", **limit}]},
    }


def quota(namespace: str, **hard: str) -> Object:
    """A ResourceQuota."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "quota", "namespace": namespace},
        "spec": {"hard": hard},
    }


def in_namespace(made: Object, namespace: str) -> Object:
    """The same object, there."""
    made["metadata"]["namespace"] = namespace
    return made


def test_limit_range_defaults(kubectl: Kubectl, namespace: str) -> None:
    """The pod keeps its own figures and nothing native, although defaults are filled in after translation."""
    defaults = {"cpu": "200m", "memory": "64Mi"}
    kubectl.create(limit_range(namespace, default=defaults, defaultRequest={"cpu": "100m", "memory": "32Mi"}))
    made = in_namespace(pod("explicit"), namespace)
    eventually(lambda: _defaulted(kubectl, namespace), what="LimitRange in effect")
    assert_be(kubectl.create(made))


def _defaulted(kubectl: Kubectl, namespace: str) -> bool:
    """Whether the API server fills in defaults by now, seen on a pod no profile matches."""
    probe = pod("probe", {}, containers=[{"name": "main", "image": "none"}])
    stored = kubectl.create(in_namespace(probe, namespace), dry_run=True)
    return bool(stored["spec"]["containers"][0]["resources"])


def test_limit_range_defaults_count_for_a_pod_without_figures(kubectl: Kubectl, namespace: str) -> None:
    """Defaults that are there when the webhook is asked count as the pod's own, and are translated."""
    kubectl.create(limit_range(namespace, default={"cpu": "2", "memory": "1Gi"}))
    eventually(lambda: _defaulted(kubectl, namespace), what="LimitRange in effect")
    made = pod("plain", containers=[{"name": "main", "image": "none"}])
    stored = kubectl.create(in_namespace(made, namespace))
    assert_be(stored, {"kubernetes.io/batch-cpu": "2k", "kubernetes.io/batch-memory": "1Gi"})


def test_limit_range_minimum(kubectl: Kubectl, namespace: str) -> None:
    """A minimum refuses colocated pods whatever we do: the warning says which object it is."""
    kubectl.create(limit_range(namespace, min={"cpu": "10m"}))

    def refused() -> bool:
        with pytest.raises(RefusedError) as caught:
            kubectl.create(in_namespace(pod("refused"), namespace))
        return 'LimitRange "limits"' in str(caught.value) and "Warning" in str(caught.value)

    eventually(refused, what="warning beside the refusal")


def test_resource_quota(kubectl: Kubectl, namespace: str) -> None:
    """A quota on cpu refuses colocated pods; the warning names it."""
    kubectl.create(quota(namespace, **{"requests.cpu": "10"}))

    def refused() -> bool:
        with pytest.raises(RefusedError) as caught:
            kubectl.create(in_namespace(pod("refused"), namespace))
        shown = str(caught.value)
        return (
            "Warning" in shown and 'ResourceQuota "quota"' in shown and "must specify requests.cpu" in shown
        )

    eventually(refused, what="warning beside the refusal")


def test_a_quota_of_another_priority_class(kubectl: Kubectl, namespace: str) -> None:
    """It does not select the pod as the profile leaves it: accepted, without a warning."""
    expression = {"scopeName": "PriorityClass", "operator": "In", "values": ["koord-prod"]}
    made = quota(namespace, **{"requests.cpu": "10"})
    made["spec"]["scopeSelector"] = {"matchExpressions": [expression]}
    kubectl.create(made)
    eventually(lambda: kubectl.get("resourcequota", "quota", namespace=namespace)["status"].get("used"))
    assert "Warning" not in kubectl.warnings(in_namespace(pod("accepted"), namespace))


def test_a_quota_of_best_effort_pods(kubectl: Kubectl, namespace: str) -> None:
    """It selects the pod only because it was translated: the warning stands beside the refusal."""
    made = quota(namespace, pods="0")
    made["spec"]["scopes"] = ["BestEffort"]
    kubectl.create(made)

    def refused() -> bool:
        with pytest.raises(RefusedError) as caught:
            kubectl.create(in_namespace(pod("refused"), namespace))
        shown = str(caught.value)
        return "Warning" in shown and "counts BestEffort pods" in shown and "exceeded quota" in shown

    eventually(refused, what="warning beside the refusal")


@pytest.fixture
def for_every_pod(kubectl: Kubectl) -> Iterator[None]:
    """A profile that matches every pod of every namespace."""
    kubectl.create(profile("matches-everything", labels={"touched": "yes"}))
    yield
    kubectl.delete("ccp", "matches-everything")


@pytest.mark.usefixtures("for_every_pod")
def test_what_is_left_alone(kubectl: Kubectl, new_namespace: Callable[..., str]) -> None:
    """kube-system, the release's own namespace, namespaces that opted out, and mirror pods."""
    ordinary = new_namespace()

    def touched(place: str, **annotations: str) -> bool:
        made = in_namespace(pod("probe", {"app": "probe"}), place)
        if annotations:
            made["metadata"]["annotations"] = annotations
            made["spec"]["nodeName"] = "some-node"
        return "touched" in kubectl.create(made, dry_run=True)["metadata"]["labels"]

    eventually(lambda: touched(ordinary), what="profile in effect")
    assert not touched("kube-system")
    assert not touched(NAMESPACE)
    assert not touched(new_namespace({"colocation-webhook.io/ignore": "true"}))
    assert not touched(ordinary, **{"kubernetes.io/config.mirror": "0123456789abcdef"})


def test_a_namespace_made_a_moment_ago(kubectl: Kubectl, new_namespace: Callable[..., str]) -> None:
    """The first pod of a new namespace is judged by that namespace's labels."""
    for _ in range(3):
        place = new_namespace({"koordinator.sh/enable-colocation": "true"})
        assert_be(kubectl.create(in_namespace(pod("first"), place)))


def test_two_containers(kubectl: Kubectl, namespace: str) -> None:
    """Every container is translated by its own figures."""
    made = pod("two", containers=[container("a", "2", "1Gi"), container("b", "500m", "100M")])
    stored = kubectl.create(in_namespace(made, namespace))
    second = stored["spec"]["containers"][1]["resources"]["requests"]
    assert second == {"kubernetes.io/batch-cpu": "500", "kubernetes.io/batch-memory": "100M"}
