"""Which pods get CPUs of their own, and how many."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.binding.builders import pod
from webhook.cpuset import BindPolicy, Exclusive, NumaPolicy, QoS
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec, requested_milli

SPEC = "scheduling.koordinator.sh/resource-spec"
NUMA = "scheduling.koordinator.sh/numa-topology-spec"


def wishing(**spec):
    """A pod with a resource-spec."""
    return pod(annotations={SPEC: json.dumps(spec)})


def test_what_a_pod_gets_without_a_word():
    """FullPCPUs, preferred."""
    assert read_resource_spec(pod(cpu="4")) == CPUSetRequest(QoS.LSR, 4, BindPolicy.FULL_PCPUS)


@pytest.mark.parametrize("qos", ["LS", "BE", "SYSTEM", "", "other"])
def test_other_classes_get_none(qos):
    """Only LSE and LSR pods are bound."""
    assert read_resource_spec(pod(qos=qos)) is None


def test_only_prod_is_bound():
    """The priority class is the label's, else that of spec.priority, else by QoS: prod."""
    batch = pod()
    batch["metadata"]["labels"]["koordinator.sh/priority-class"] = "koord-batch"
    assert read_resource_spec(batch) is None
    bare = pod()
    del bare["metadata"]["labels"]["koordinator.sh/priority-class"]
    assert read_resource_spec(bare) is not None
    bare["spec"]["priority"] = 5500
    assert read_resource_spec(bare) is None


def test_required_comes_before_preferred():
    """And Default means what the administrator says."""
    both = wishing(requiredCPUBindPolicy="SpreadByPCPUs", preferredCPUBindPolicy="FullPCPUs")
    wish = read_resource_spec(both)
    assert (wish.policy, wish.required) == (BindPolicy.SPREAD_BY_PCPUS, True)
    wish = read_resource_spec(wishing(preferredCPUBindPolicy="Default"), BindPolicy.SPREAD_BY_PCPUS)
    assert (wish.policy, wish.required) == (BindPolicy.SPREAD_BY_PCPUS, False)
    wish = read_resource_spec(wishing(preferredCPUExclusivePolicy="PCPULevel"))
    assert wish.exclusive is Exclusive.PCPU_LEVEL


def test_constrained_burst_runs_on_a_pool():
    """Koordinator declares the name and gives no set."""
    assert read_resource_spec(wishing(preferredCPUBindPolicy="ConstrainedBurst")) is None


def test_numa_wishes():
    """A pod may ask for NUMA nodes, too."""
    text = json.dumps({"numaTopologyPolicy": "SingleNUMANode", "singleNUMANodeExclusive": "Required"})
    wish = read_resource_spec(pod(annotations={NUMA: text}))
    assert (wish.numa_policy, wish.numa_exclusive) == (NumaPolicy.SINGLE_NUMA_NODE, True)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (pod(cpu="1500m"), "cpu 1500m is no whole number of CPUs"),
        (pod(cpu="lots"), r"spec.containers\[0\].resources.requests\[cpu\]: 'lots' is not a quantity"),
        (pod(annotations={SPEC: "{"}), "resource-spec: '{' is no JSON object"),
        (pod(annotations={SPEC: "[]"}), "is no JSON object"),
        (wishing(requiredCPUBindPolicy="Sideways"), "requiredCPUBindPolicy 'Sideways' is unknown"),
        (wishing(requiredCPUBindPolicy=["FullPCPUs"]), "is unknown"),
        (wishing(preferredCPUExclusivePolicy="All"), "preferredCPUExclusivePolicy 'All' is unknown"),
        (pod(annotations={NUMA: '{"numaTopologyPolicy": "Two"}'}), "numaTopologyPolicy 'Two'"),
    ],
)
def test_what_makes_no_sense_is_said(bad, said):
    """Field, value and remedy."""
    with pytest.raises(ResourceSpecError, match=said):
        read_resource_spec(bad)


def test_no_cpu_no_set():
    """A pod that requests none runs on a pool, whatever its class."""
    none = pod()
    none["spec"]["containers"] = [{"name": "c"}]
    assert read_resource_spec(none) is None


def containers(*amounts):
    """Containers that request these."""
    return [{"resources": {"requests": {"cpu": f"{amount}m"}}} for amount in amounts]


@given(
    st.lists(st.integers(0, 9000), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 9000), st.booleans()), max_size=4),
    st.integers(0, 500),
)
def test_the_request_is_what_is_needed_at_any_moment(main, init, overhead):
    """Run through the pod's life: each init container with the sidecars before it, then all that stays."""
    made = {"spec": {"containers": containers(*main), "overhead": {"cpu": f"{overhead}m"}}}
    made["spec"]["initContainers"] = [
        {**containers(amount)[0], **({"restartPolicy": "Always"} if stays else {})} for amount, stays in init
    ]
    running, most = 0, 0
    for amount, stays in init:
        most = max(most, running + amount)
        running += amount if stays else 0
    assert requested_milli(made) == max(most, running + sum(main)) + overhead


def test_pod_level_requests_stand_for_all():
    """spec.resources replaces the containers' sum."""
    made = pod(cpu="2")
    made["spec"]["resources"] = {"requests": {"cpu": "6"}}
    assert read_resource_spec(made).cpus == 6
