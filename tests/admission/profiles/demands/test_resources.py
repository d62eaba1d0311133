"""What the API server demands of resources and claims."""

import pytest

from tests.admission.profiles.demands.twins import check
from tests.builders import container, pod

POD_LEVEL = {"requests": {"cpu": "2"}, "limits": {"cpu": "2", "memory": "1Gi"}}
CLAIMS = [{"name": "gpu", "resourceClaimName": "c"}, {"name": "net", "resourceClaimName": "d"}]


def claiming(*claims):
    """Return a pod whose container names claims."""
    return pod(container(resources={"claims": list(claims)}), resourceClaims=CLAIMS)


# A pod that the API server refuses, a like one that it takes, and where the first is wrong.
PAIRS = {
    "the sum of the containers": (
        pod(container(requests={"cpu": "3"}), resources=POD_LEVEL),
        pod(container(requests={"cpu": "2"}), resources=POD_LEVEL),
        "spec",
    ),
    "the sum of limits without requests": (
        pod(container(limits={"cpu": "1500m"}), container("b", limits={"cpu": "1"}), resources=POD_LEVEL),
        pod(container(limits={"cpu": "1"}), container("b", limits={"cpu": "1"}), resources=POD_LEVEL),
        "spec",
    ),
    "the limit of a container": (
        pod(container(requests={"memory": "1"}, limits={"memory": "2Gi"}), resources=POD_LEVEL),
        pod(container(requests={"memory": "1"}, limits={"memory": "1024Mi"}), resources=POD_LEVEL),
        "spec",
    ),
    "what no pod may have as a whole": (
        pod(resources={"requests": {"ephemeral-storage": "1"}}),
        pod(resources={"requests": {"cpu": "1"}}),
        "spec.resources",
    ),
    "claims of the pod": (
        pod(resources={"claims": [{"name": "gpu"}]}, resourceClaims=CLAIMS),
        claiming({"name": "gpu"}),
        "spec.resources",
    ),
    "a claim that the pod has not": (claiming({"name": "none"}), claiming({"name": "net"}), "spec"),
    "a claim twice": (
        claiming({"name": "gpu", "request": "a"}, {"name": "gpu"}),
        claiming({"name": "gpu", "request": "a"}, {"name": "gpu", "request": "b"}),
        "spec.containers[main].resources.claims",
    ),
    "a claim in two ways": (
        pod(resourceClaims=[CLAIMS[0] | {"resourceClaimTemplateName": "t"}]),
        pod(resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}]),
        "spec.resourceClaims[gpu]",
    ),
    "huge pages of a container": (
        pod(container(limits={"hugepages-2Mi": "4Mi"})),
        pod(container(limits={"hugepages-2Mi": "4Mi", "memory": "1Gi"})),
        "spec.containers[main].resources",
    ),
    "huge pages of a pod": (
        pod(container(), resources={"limits": {"hugepages-2Mi": "4Mi"}}),
        pod(container(requests={"cpu": "1"}), resources={"limits": {"hugepages-2Mi": "4Mi"}}),
        "spec.resources",
    ),
    "more than the pod by a thousandth": (
        pod(container(requests={"cpu": "1"}, limits={"cpu": "2001m"}), resources=POD_LEVEL),
        pod(container(requests={"cpu": "1"}, limits={"cpu": "1999999u"}), resources=POD_LEVEL),
        "spec",
    ),
    "less than a unit between limit and request": (
        pod(container(requests={"cpu": "1000100u"}, limits={"cpu": "1"})),
        pod(container(requests={"cpu": "999999u"}, limits={"cpu": "1"})),
        "spec.containers[main].resources",
    ),
}


@pytest.mark.parametrize(("refused", "taken", "at"), PAIRS.values(), ids=PAIRS)
def test_what_the_api_server_demands(refused, taken, at) -> None:
    """Admission §3.10: what is refused is found, and its twin is allowed."""
    check(refused, taken, at)
