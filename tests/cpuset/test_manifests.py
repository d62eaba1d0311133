"""Pods are read from manifests as far as their CPUs go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cpuset import BindPolicy, CpuSetError, Exclusive, QoS, RequestError
from webhook.cpuset.manifests import cpu_milli, pods_of

SPEC = "scheduling.koordinator.sh/resource-spec"


def pod(qos: str = "LSR", cpu: object = "2", spec: str = "{}", **more: object) -> dict[str, Any]:
    """Return a Pod of one container."""
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"koordinator.sh/qosClass": qos}, "annotations": {SPEC: spec}},
        "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}], **more},
    }


@pytest.mark.parametrize(
    ("text", "milli"),
    [
        ("2", 2000),
        (2, 2000),
        ("900m", 900),
        ("1.5", 1500),
        (0.5, 500),
        ("2k", 2_000_000),
        ("1n", 1),
        (".5", 500),
        ("1.", 1000),
        (0, 0),
    ],
)
def test_quantities(text: object, milli: int) -> None:
    """CPU quantities in thousandths, rounded up."""
    assert cpu_milli(text) == milli


@pytest.mark.parametrize("text", ["", "-1", "two", "1 ", "٣", "m", None, True, "1" * 30, "1e3m"])
def test_no_quantities(text: object) -> None:
    """What is no CPU quantity is refused with its value."""
    with pytest.raises(RequestError) as caught:
        cpu_milli(text)
    assert caught.value.value is text


def test_pod() -> None:
    """Class, amount and wishes of a pod; a required policy wins."""
    text = (
        '{"requiredCPUBindPolicy": "SpreadByPCPUs", "preferredCPUBindPolicy": "FullPCPUs", '
        '"preferredCPUExclusivePolicy": "PCPULevel"}'
    )
    (found,) = pods_of(pod(spec=text))
    assert (found.uid, found.qos, found.milli, found.request.count) == ("p", QoS.LSR, 2000, 2)
    assert found.request.bind_policy is BindPolicy.SPREAD_BY_PCPUS
    assert found.request.required
    assert found.request.exclusive is Exclusive.PCPU_LEVEL


def test_amount_of_several_containers() -> None:
    """The greatest init container or all containers together, and the overhead."""
    limits = {"resources": {"limits": {"cpu": "500m"}}}
    (found,) = pods_of(
        pod(
            "LS",
            "1",
            containers=[limits, limits],
            overhead={"cpu": "100m"},
            initContainers=[{"resources": {"requests": {"cpu": "3"}}}, limits],
        )
    )
    assert found.milli == 3100


def test_batch_cpu_counts_in_thousandths() -> None:
    """2k of batch CPU is two CPUs."""
    manifest = pod("BE")
    manifest["spec"]["containers"][0]["resources"] = {"requests": {"kubernetes.io/batch-cpu": "2k"}}
    (found,) = pods_of(manifest)
    assert (found.qos, found.milli) == (QoS.BE, 2000)


def test_workloads_and_lists() -> None:
    """A workload is as many pods as it has replicas; other kinds have none."""
    template = {key: value for key, value in pod().items() if key != "kind"}
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": 2, "template": template},
    }
    found = list(pods_of({"kind": "List", "items": [deployment, pod("what"), {"kind": "Service"}]}))
    assert [(one.uid, one.qos) for one in found] == [("d-0", QoS.LSR), ("d-1", QoS.LSR), ("p", QoS.NONE)]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (3, "manifest 3"),
        (pod(cpu="x"), "cpu 'x'"),
        (pod(spec="{"), "resource-spec"),
        (pod(cpu="1500m"), "cpu '1500m': is not a whole number of CPUs for LSR"),
        (pod(spec='{"preferredCPUBindPolicy": "x"}'), "CPUBindPolicy 'x'"),
        (pod(spec='{"preferredCPUExclusivePolicy": 1}'), "preferredCPUExclusivePolicy 1"),
        ({"kind": "Pod"}, "metadata.name None"),
        ({"kind": "Pod", "metadata": []}, "metadata"),
        ({"kind": "Job", "spec": {"parallelism": -1}}, "spec.replicas -1"),
        ({"kind": "List", "items": {}}, "items"),
        (pod(containers=["x"]), "containers 'x'"),
    ],
)
def test_refused(manifest: object, message: str) -> None:
    """A malformed field is named with its value."""
    with pytest.raises(RequestError, match=message):
        list(pods_of(manifest))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=4)
        | st.sampled_from(["Pod", "List", "LSR", "{}"]),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "kind",
                        "metadata",
                        "spec",
                        "items",
                        "containers",
                        "resources",
                        "requests",
                        "cpu",
                        "name",
                        "labels",
                        "annotations",
                        SPEC,
                        "koordinator.sh/qosClass",
                        "template",
                        "replicas",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_any_document(document: object) -> None:
    """Any document has pods, none, or is refused."""
    if isinstance(document, dict) and document.get("replicas", 0) not in (0, 1):
        return
    try:
        for found in pods_of(document):
            assert found.milli >= 0
    except CpuSetError as error:
        assert str(error)
