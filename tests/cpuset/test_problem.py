"""Problems as data: every field is read, every malformed one named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cpuset.errors import CpuSetError, RequestError
from webhook.cpuset.problem import solve

MACHINE = {"sockets": 1, "numaPerSocket": 2, "coresPerNuma": 2, "threadsPerCore": 2}
FIELDS = [
    "topology",
    "available",
    "numCPUs",
    "bindPolicy",
    "required",
    "exclusivePolicy",
    "numaStrategy",
    "maxRefCount",
    "preferred",
    "numaNodes",
    "allocated",
]


def problem(**fields: object) -> dict[str, Any]:
    """Return a problem for two CPUs of a machine of eight, with other fields."""
    return {"topology": MACHINE, "numCPUs": 2, **fields}


@pytest.mark.parametrize(
    ("fields", "cpulist"),
    [
        ({}, "0-1"),
        ({"available": "3-7"}, "4-5"),
        ({"preferred": "6"}, "6-7"),
        ({"bindPolicy": "SpreadByPCPUs"}, "0,2"),
        ({"bindPolicy": "Default", "numCPUs": 1}, "0"),
        ({"numaNodes": [1]}, "4-5"),
        ({"allocated": [{"cpus": "0-1"}]}, "2-3"),
        ({"allocated": [{"cpus": "0-1"}], "numaStrategy": "LeastAllocated"}, "4-5"),
        ({"allocated": [{"cpus": "0-3", "refcount": 1}], "maxRefCount": 2}, "4-5"),
        (
            {
                "allocated": [{"cpus": "0", "exclusive": "PCPULevel"}],
                "numCPUs": 1,
                "bindPolicy": "SpreadByPCPUs",
            },
            "2",
        ),
        ({"numCPUs": 0}, ""),
        ({"id": 7, "note": "ignored"}, "0-1"),
    ],
)
def test_fields(fields: dict[str, object], cpulist: str) -> None:
    """Each field has its effect; what is left out has a default."""
    assert solve(problem(**fields)).cpulist == cpulist


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"numCPUs": -1}, "numCPUs -1"),
        ({"numCPUs": None}, "numCPUs None: is not a number of whole CPUs"),
        ({"numCPUs": 2.0}, "numCPUs 2.0"),
        ({"numCPUs": True}, "numCPUs True"),
        ({"available": "3-1"}, "available '3-1': a range runs backwards"),
        ({"available": "0-8"}, "available 8: is not a CPU"),
        ({"available": 5}, "available 5: is not text"),
        ({"bindPolicy": "Full"}, "bindPolicy 'Full': is unknown; use one of FullPCPUs"),
        ({"exclusivePolicy": 1}, "exclusivePolicy 1"),
        ({"numaStrategy": "x"}, "numaStrategy 'x'"),
        ({"required": "yes"}, "required 'yes'"),
        ({"maxRefCount": -2}, "maxRefCount -2"),
        ({"numaNodes": [2]}, "numaNodes 2: is not a NUMA node"),
        ({"numaNodes": 1}, "numaNodes 1"),
        ({"allocated": {}}, ""),
        ({"allocated": [3]}, r"allocated\[0\] 3"),
        ({"allocated": [{}]}, r"allocated\[0\].cpus None"),
        ({"allocated": [{"cpus": "0", "refcount": "1"}]}, "refcount '1'"),
        ({"topology": None}, "topology None"),
        ({"topology": {}}, "topology.sockets None: is missing"),
        ({"topology": [{"cpu": 0, "core": 0, "node": 0}]}, r"topology\[0\].socket None: is missing"),
    ],
)
def test_refused(fields: dict[str, object], message: str) -> None:
    """A malformed field is named with its value and a remedy."""
    if not message:
        assert solve(problem(**fields)).cpulist == "0-1"
        return
    with pytest.raises(CpuSetError, match=message) as caught:
        solve(problem(**fields))
    assert caught.value.remedy


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["0-3", "FullPCPUs", "PCPULevel"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cpus", "exclusive", "refcount", "cpu", "node"]), inner, max_size=3
        )
    ),
)


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_problem(fields: dict[str, object]) -> None:
    """Whatever the fields hold, there is an answer or a CpuSetError."""
    try:
        answer = solve(problem(**fields))
    except CpuSetError as error:
        assert str(error)
    else:
        assert len(answer.cpus) == fields.get("numCPUs", 2)


def test_unhashable_nodes() -> None:
    """A NUMA node that is no number is named too."""
    with pytest.raises(RequestError, match="numaNodes"):
        solve(problem(numaNodes=[[1]]))
