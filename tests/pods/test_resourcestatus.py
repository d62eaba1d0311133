"""The annotation of a pod's CPUs is written in Koordinator's form and read with care."""

import pytest

from tests.binding.builders import STATUS, node_topology, pod
from webhook.pods.resourcestatus import StatusError, given_cpus, resource_status


@pytest.mark.parametrize("text", ["{", "[]", '"0"', '{"cpuset": 3}', '{"cpuset": "3-1"}', '{"cpuset": "a"}'])
def test_an_annotation_that_cannot_be_read_is_named(text):
    """The message shows it."""
    with pytest.raises(StatusError, match="resource-status"):
        given_cpus(pod(annotations={STATUS: text}))


def test_the_set_that_an_annotation_names():
    """CPU ids, from a cpulist."""
    assert given_cpus(pod(cpuset="0-1,4")) == {0, 1, 4}


@pytest.mark.parametrize(
    "text", ["", "{}", "null", '{"cpuset": ""}', '{"cpuset": " "}', '{"numaNodeResources": []}']
)
def test_an_annotation_without_a_set_names_none(text):
    """koord-scheduler writes NUMA amounts alone, too."""
    assert given_cpus(pod(annotations={STATUS: text})) is None


def test_the_annotation_has_the_cpus_of_each_numa_node():
    """Koordinator's form."""
    assert resource_status(node_topology().cpu_topology, frozenset({0, 1, 4, 8})) == (
        '{"cpuset":"0-1,4,8","numaNodeResources":['
        '{"node":0,"resources":{"cpu":"3"}},{"node":1,"resources":{"cpu":"1"}}]}'
    )
