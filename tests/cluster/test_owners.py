"""Whether a controller loses pods whose labels were changed: its selector decides, where it can be read."""

import pytest

from tests.kube.conftest import fake  # noqa: F401 — a fixture
from webhook.admission.mutating.relabelling import Owner
from webhook.cluster.owners import RESOURCES, loses_pods
from webhook.kube.client import ApiError

SELECTORS = [
    ({"matchLabels": {"app": "web"}}, {"app": "new"}, True),
    ({"matchLabels": {"app": "web"}}, {"app": None}, True),
    ({"matchLabels": {"app": "web"}}, {"tier": "new"}, False),
    ({"matchLabels": {"app": "web"}}, {"app": "web"}, False),
    ({"matchLabels": {"app": "web", "tier": "front"}}, {"tier": "back", "x": "y"}, True),
    ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, {"app": "new"}, False),
    ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, {"app": None}, True),
    ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, {"app": "b"}, False),
    ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, {"app": "a"}, True),
    ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, {"app": "a"}, True),
    ({"matchExpressions": [{"key": "app", "operator": "Foo"}]}, {"tier": "a"}, True),
]


def put(server, api_version, kind, selector, *, uid="u", name="web"):
    """A controller, stored; who it is to its pods, which is not so where ``uid`` is another one."""
    root = "apis" if "/" in api_version else "api"
    namespace = "spark-demo"
    path = f"/{root}/{api_version}/namespaces/{namespace}/{RESOURCES[api_version, kind]}"
    metadata = {"name": name, "namespace": namespace, "uid": uid}
    server.store(path, ("", name), {"metadata": metadata, "spec": {"selector": selector}})
    return Owner(namespace, api_version, kind, name, "u")


CASES = [
    (*of, *case)
    for of in RESOURCES
    for case in SELECTORS
    if of[1] != "ReplicationController" or "matchLabels" in case[0]  # it selects by equality only
]


@pytest.mark.parametrize(("api_version", "kind", "selector", "changes", "lost"), CASES)
def test_the_selector_decides(fake, api_version, kind, selector, changes, lost) -> None:  # noqa: F811
    """For each kind; a ReplicationController has a map instead."""
    if kind == "ReplicationController":
        selector = selector["matchLabels"]
    owner = put(fake, api_version, kind, selector)
    assert loses_pods(fake.api(), owner, changes, 2.0) is lost


def test_what_does_not_exist_makes_no_pods(fake) -> None:  # noqa: F811
    """Neither an owner that is gone or never was, nor one that is another of the same name."""
    assert not loses_pods(fake.api(), Owner("d", "apps/v1", "ReplicaSet", "web", "u"), {"app": "x"}, 2.0)
    owner = put(fake, "apps/v1", "ReplicaSet", {"matchLabels": {"app": "web"}}, uid="other")
    assert not loses_pods(fake.api(), owner, {"app": "x"}, 2.0)


def test_other_kinds_are_judged_by_what_they_do(fake) -> None:  # noqa: F811
    """Their selectors are not known: a Spark driver, a CloneSet; nothing is asked."""
    for api_version, kind in (
        ("v1", "Pod"),
        ("apps.kruise.io/v1alpha1", "CloneSet"),
        ("apps/v2", "ReplicaSet"),
    ):
        assert loses_pods(fake.api(), Owner("d", api_version, kind, "x", "u"), {"app": "x"}, 2.0)
    assert not fake.requests


def test_a_failure_is_none_of_its_answers(fake) -> None:  # noqa: F811
    """The caller decides by the count."""
    owner = put(fake, "apps/v1", "ReplicaSet", {"matchLabels": {"app": "web"}})
    path = "/apis/apps/v1/namespaces/spark-demo/replicasets/web"
    fake.failures["GET", path] = [(403, {"kind": "Status", "message": "no"})]
    with pytest.raises(ApiError):
        loses_pods(fake.api(), owner, {"app": "x"}, 2.0)
