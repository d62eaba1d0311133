"""Tenants who want their pods to escape a profile: copied annotations, and dry runs that betray the dice."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.cluster.apiclient import MERGE_PATCH, ApiClient, message
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import container, profile
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation

OWN = "colocation-webhook.io/"
SCHEDULER = "koord-scheduler"
COPIES = 5
LARGE = 1_200_000
"""Characters that JSON writes in six bytes each: an object that etcd takes, and a review of 7 MB."""
NAMES = 60
"""Workloads whose dice are tried: half of them are left out."""


class Tenant:
    """Creates pods in a namespace."""

    def __init__(self, calls: ApiClient, kubectl: Kubectl, namespace: str) -> None:
        self.namespace = namespace
        self.profiles: list[str] = []
        self.calls = calls
        self._kubectl = kubectl

    def create(
        self, prefix: str, *, dry_run: bool = False, metadata: Object | None = None, **spec: Any
    ) -> Object:
        """A pod that nobody schedules, as it is stored or would be."""
        gates = [{"name": "example.com/never"}]
        made = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": prefix, **(metadata or {})},
            "spec": {"containers": [container()], "schedulingGates": gates, **spec},
        }
        query = "?dryRun=All" if dry_run else ""
        code, body = self.calls.call("POST", f"/api/v1/namespaces/{self.namespace}/pods{query}", made)
        assert code == 201, body
        return dict(json.loads(body))

    def under(self, annotations: dict[str, str], **spec: Any) -> None:
        """Make a profile for the namespace, and wait until the webhook applies it."""
        name = f"escapes-{secrets.token_hex(3)}"
        here = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
        made = profile(name, namespaceSelector=here, **spec)
        made["metadata"]["annotations"] = annotations
        self._kubectl.create(made)
        self.profiles.append(name)
        numbers = iter(range(1000))
        eventually(lambda: treated(self.create(f"first{next(numbers)}-")), what="profile applied")


def treated(pod: Object) -> bool:
    """Whether the profile's scheduler was set."""
    return bool(pod["spec"]["schedulerName"] == SCHEDULER)


@pytest.fixture
def tenant(
    release: Installation, control_plane: ControlPlane, new_namespace: Callable[..., str]
) -> Iterator[Tenant]:
    """A tenant of a namespace without other profiles."""
    calls = ApiClient(control_plane)
    made = Tenant(calls, release.kubectl, new_namespace())
    yield made
    calls.close()
    release.kubectl.delete("ccp", *made.profiles)


def test_what_one_pod_was_given_frees_no_other(tenant: Tenant) -> None:
    """A pod of the same second and name that brings the first one's annotations gets all of the profile."""
    pool = {"nodeSelector": {"pool": "colocated"}}
    fields = {"qosClass": "BE", "priorityClassName": "koord-batch", "schedulerName": SCHEDULER}
    tenant.under({}, **fields, labelSuffixes={"app": "-colo"}, patch={"spec": pool})
    for _ in range(COPIES):
        first = tenant.create("job-", metadata={"labels": {"app": "web"}})
        given = first["metadata"]["annotations"]
        copied = {key: value for key, value in given.items() if key.startswith(OWN)}
        assert copied
        looks = {"koordinator.sh/qosClass": "BE", "app": "web"}
        for brought in ({}, {"priorityClassName": "koord-batch", "nodeSelector": {"pool": "prod"}}):
            second = tenant.create("job-", metadata={"labels": looks, "annotations": copied}, **brought)
            assert treated(second)
            assert second["spec"]["nodeSelector"] == pool["nodeSelector"]
            assert second["metadata"]["labels"]["app"] == "web-colo"
            assert second["metadata"]["annotations"][f"{OWN}profiles"] == given[f"{OWN}profiles"]
            requests = second["spec"]["containers"][0]["resources"]["requests"]
            assert "cpu" not in requests


def test_a_dry_run_tells_nothing_about_the_dice(tenant: Tenant) -> None:
    """Names that a dry run leaves out are treated as often as others; a workload's own pods agree."""
    scope = {f"{OWN}probability-scope": "workload"}
    tenant.under(scope, schedulerName=SCHEDULER, probability="50%")
    names = [f"w{number}-" for number in range(NAMES)]
    tried = [treated(tenant.create(name, dry_run=True)) for name in names]
    real = [treated(tenant.create(name)) for name in names]
    agreeing = sum(one is other for one, other in zip(tried, real, strict=True))
    assert NAMES * 0.2 < agreeing < NAMES * 0.8  # one time in 300,000 chance alone says otherwise
    assert NAMES * 0.2 < sum(real) < NAMES * 0.8
    assert [treated(tenant.create(name)) for name in names] == real


def test_a_pod_that_is_large_as_json_is_changed_and_validated(tenant: Tenant) -> None:
    """The API server takes it, so the webhook does, with both copies of an UPDATE."""
    tenant.under({}, schedulerName=SCHEDULER)
    large = container()
    large["env"] = [{"name": "BIG", "value": "<" * LARGE}]
    labels = {"koordinator.sh/qosClass": "LS"}
    stored = tenant.create("large-", metadata={"labels": labels}, containers=[large])
    assert treated(stored)
    path = f"/api/v1/namespaces/{tenant.namespace}/pods/{stored['metadata']['name']}"
    change = {"metadata": {"labels": {"koordinator.sh/qosClass": "BE"}}}
    code, body = tenant.calls.call("PATCH", path, change, content_type=MERGE_PATCH)
    assert code != 200, "the class of a pod cannot be changed"
    assert "koordinator.sh/qosClass" in message(body)
    change = {"metadata": {"labels": {"other": "label"}}}
    code, body = tenant.calls.call("PATCH", path, change, content_type=MERGE_PATCH)
    assert code == 200, body
