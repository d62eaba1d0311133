"""Which pods get CPUs of their own, and how many."""

import json

import pytest

from tests.binding.builders import pod
from webhook.cpuset.allocation import BindPolicy, Exclusive, Request
from webhook.cpuset.hints import NumaPolicy
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import Pod
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, node_pod, read_resource_spec

SPEC = "scheduling.koordinator.sh/resource-spec"
NUMA = "scheduling.koordinator.sh/numa-topology-spec"


def stating(**spec):
    """A pod with a resource-spec."""
    return pod(annotations={SPEC: json.dumps(spec)})


def test_what_a_pod_gets_without_an_annotation():
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
    both = stating(requiredCPUBindPolicy="SpreadByPCPUs", preferredCPUBindPolicy="FullPCPUs")
    request = read_resource_spec(both)
    assert (request.policy, request.required) == (BindPolicy.SPREAD_BY_PCPUS, True)
    request = read_resource_spec(stating(preferredCPUBindPolicy="Default"), BindPolicy.SPREAD_BY_PCPUS)
    assert (request.policy, request.required) == (BindPolicy.SPREAD_BY_PCPUS, False)
    request = read_resource_spec(stating(preferredCPUExclusivePolicy="PCPULevel"))
    assert request.exclusive is Exclusive.PCPU_LEVEL


def test_constrained_burst_runs_on_a_pool():
    """Koordinator declares the name and gives no set."""
    assert read_resource_spec(stating(preferredCPUBindPolicy="ConstrainedBurst")) is None


def test_numa_policies():
    """A pod may ask for NUMA nodes, too."""
    text = json.dumps({"numaTopologyPolicy": "SingleNUMANode", "singleNUMANodeExclusive": "Required"})
    request = read_resource_spec(pod(annotations={NUMA: text}))
    assert (request.numa_policy, request.numa_exclusive) == (NumaPolicy.SINGLE_NUMA_NODE, True)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (pod(cpu="1500m"), "cpu 1500m is no whole number of CPUs"),
        (pod(cpu="lots"), r"spec.containers\[0\].resources.requests\[cpu\]: 'lots' is not a quantity"),
        (pod(annotations={SPEC: "{"}), "resource-spec: '{' is no JSON object"),
        (pod(annotations={SPEC: "[]"}), "is no JSON object"),
        (stating(requiredCPUBindPolicy="Sideways"), "requiredCPUBindPolicy 'Sideways' is unknown"),
        (stating(requiredCPUBindPolicy=["FullPCPUs"]), "is unknown"),
        (stating(preferredCPUExclusivePolicy="All"), "preferredCPUExclusivePolicy 'All' is unknown"),
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


def test_pod_level_requests_stand_for_all():
    """spec.resources replaces the containers' sum."""
    made = pod(cpu="2")
    made["spec"]["resources"] = {"requests": {"cpu": "6"}}
    assert read_resource_spec(made).cpus == 6


def test_a_node_counts_a_pod_with_its_own_cpus():
    """Amount, policy and exclusion are those of the request."""
    made = stating(requiredCPUBindPolicy="SpreadByPCPUs", preferredCPUExclusivePolicy="PCPULevel")
    asked = Request(0, BindPolicy.SPREAD_BY_PCPUS, required=True, exclusive=Exclusive.PCPU_LEVEL)
    assert node_pod(made, "u") == Pod("u", QoS.LSR, 2000, asked)


@pytest.mark.parametrize(
    ("made", "qos", "milli"),
    [
        (pod(qos="LS", cpu="1500m"), QoS.LS, 1500),
        (pod(qos="", cpu="2"), QoS.LS, 2000),
        (pod(qos="other", cpu="2"), QoS.LS, 2000),
        (pod(qos="SYSTEM", cpu="2"), QoS.SYSTEM, 2000),
        (pod(qos="BE", cpu="2"), QoS.BE, 0),
        (stating(preferredCPUBindPolicy="ConstrainedBurst"), QoS.LS, 2000),
    ],
)
def test_a_node_counts_other_pods_on_a_pool(made, qos, milli):
    """A pod that is bound to no CPUs runs on the pool of its class, an LSR pod on the share pool."""
    assert node_pod(made, "u") == Pod("u", qos, milli)


def test_batch_cpu_counts_in_thousandths():
    """2k of batch CPU is two CPUs."""
    made = pod(qos="BE")
    made["spec"]["containers"] = [{"resources": {"requests": {"kubernetes.io/batch-cpu": "2k"}}}]
    assert node_pod(made, "u") == Pod("u", QoS.BE, 2000)


def test_a_quantity_that_cannot_be_read_is_named():
    """Also of a pod on a pool."""
    with pytest.raises(ResourceSpecError, match=r"requests\[cpu\]: 'lots' is not a quantity"):
        node_pod(pod(qos="LS", cpu="lots"), "u")
