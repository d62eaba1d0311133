"""Requests that are missing are filled in as the API server does."""

import copy

import pytest

from webhook.pods.apiserver.defaulting import default_pod_requests, default_requests


def pod(*containers, **spec):
    """A pod whose containers have these resources."""
    return {"spec": {"containers": [{"resources": resources} for resources in containers], **spec}}


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_a_limit_without_a_request_becomes_one(kind):
    """What is requested stays as it is."""
    made = {
        "spec": {kind: [{"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}}]}
    }
    default_requests(made)
    assert made["spec"][kind][0]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}


def test_at_the_pods_level_only_what_no_container_requests():
    """The containers' requests together, and of what none requests the limit; in the review nothing yet."""
    made = pod({"limits": {"cpu": "1"}}, resources={"limits": {"cpu": "4", "memory": "1Gi"}})
    default_requests(made)
    assert "requests" not in made["spec"]["resources"]
    default_pod_requests(made)
    assert made["spec"]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    "made",
    [
        pod({}),
        pod(None),
        pod({"limits": []}),
        pod({"requests": [], "limits": {"cpu": "1"}}),
        {"spec": {"containers": "x", "resources": []}},
        {"spec": {"containers": [3]}},
    ],
)
def test_other_pods_stay_as_they_are(made):
    """A field of a wrong type is left to whoever checks shapes."""
    before = copy.deepcopy(made)
    default_requests(made)
    assert made == before
