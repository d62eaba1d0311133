"""A pod's request is what kube-scheduler counts, for every resource."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_request


def containers(*amounts, resource="cpu"):
    """Containers that request these thousandths."""
    return [{"resources": {"requests": {resource: f"{amount}m"}}} for amount in amounts]


@pytest.mark.parametrize("resource", ["cpu", "memory", "kubernetes.io/batch-cpu", "hugepages-2Mi"])
@given(
    st.lists(st.integers(0, 9000), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 9000), st.booleans()), max_size=4),
    st.integers(0, 500),
)
def test_the_request_is_what_is_needed_at_any_moment(resource, main, init, overhead):
    """Each init container runs with the sidecars started before it, then all that stays runs."""
    of = {"containers": containers(*main, resource=resource), "overhead": {resource: f"{overhead}m"}}
    of["initContainers"] = [
        {**containers(amount, resource=resource)[0], **({"restartPolicy": "Always"} if stays else {})}
        for amount, stays in init
    ]
    running, most = 0, 0
    for amount, stays in init:
        most = max(most, running + amount)
        running += amount if stays else 0
    assert pod_request({"spec": of}, resource) == max(most, running + sum(main)) + overhead


@pytest.mark.parametrize(
    ("resource", "milli"),
    [("cpu", 6500), ("memory", 6500), ("hugepages-2Mi", 6500), ("kubernetes.io/batch-cpu", 2500)],
)
def test_a_request_at_the_pods_level_replaces_those_of_containers(resource, milli):
    """Kubernetes knows it for cpu, memory and huge pages; overhead is added in each case."""
    pod = {
        "spec": {
            "containers": containers(2000, resource=resource),
            "resources": {"requests": {resource: "6"}},
            "overhead": {resource: "500m"},
        }
    }
    assert pod_request(pod, resource) == milli


@pytest.mark.parametrize("pod", [{}, {"spec": None}, {"spec": {"containers": [{"resources": None}]}}])
def test_a_pod_without_requests_requests_nothing(pod):
    """What is absent or null counts nothing."""
    assert pod_request(pod, "cpu") == 0


def test_each_quantity_is_rounded_up_as_the_api_server_stores_it():
    """Half a thousandth is a thousandth, in each container."""
    of = {"containers": [{"resources": {"requests": {"cpu": "500u"}}}] * 2}
    assert pod_request({"spec": of}, "cpu") == 2


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"containers": [{}, *containers("x")]}, r"spec\.containers\[1\]\.resources\.requests\[cpu\]: 'xm'"),
        ({"initContainers": containers("x")}, r"spec\.initContainers\[0\]\.resources\.requests\[cpu\]"),
        ({"resources": {"requests": {"cpu": "-1"}}}, r"spec\.resources\.requests\[cpu\]: '-1' is negative"),
        ({"overhead": {"cpu": []}}, r"spec\.overhead\[cpu\]: \[\] is not a quantity"),
    ],
)
def test_a_bad_quantity_is_named(of, said):
    """The message has field, value and remedy."""
    with pytest.raises(QuantityError, match=said):
        pod_request({"spec": of}, "cpu")
