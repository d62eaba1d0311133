"""The object by which a node asks."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eviction.builders import GI, NOW, cpu_ask, memory_ask
from webhook.eviction.asking import Ask
from webhook.eviction.candidates import Use
from webhook.eviction.request import (
    NodeFacts,
    Noted,
    contradiction,
    read_request,
    request_body,
    status_body,
)
from webhook.eviction.thresholds import Form

NODE = NodeFacts("u-n1", 16_000, 100 * GI, {"kubernetes.io/batch-cpu": 8000})


def written(*asks: Ask, at: dt.datetime = NOW) -> dict[str, Any]:
    """Return the object of node n1."""
    return request_body("n1", "u-n1", at, asks, {"uid-a": Use(1, 2)})


def test_what_is_written_is_read() -> None:
    """Asks with their figures, pods with their use, and when."""
    asks = cpu_ask(), memory_ask(), memory_ask(form=Form.MEMORY, priority=5999)
    found = read_request(written(*asks))
    assert found.asks == asks
    assert found.uses == {"uid-a": Use(1, 2)}
    assert (found.node, found.node_uid, found.observed_at, found.absurd) == ("n1", "u-n1", NOW, "")
    assert "73.0Gi of 100.0Gi" in written(memory_ask())["spec"]["asks"][0]["message"]


def test_evictions_are_noted() -> None:
    """The status says whom, when and why, and is read again."""
    noted = (Noted(NOW, "u", "shop", "a", "w", "BEMemoryEvict", "refused"),)
    body = status_body("7", NOW, noted)
    assert body["metadata"] == {"resourceVersion": "7"}
    found = read_request({**written(), "status": body["status"]})
    assert (found.noted, found.served_at) == (noted, NOW)
    assert read_request({**written(), "status": {"evictions": [1, {"uid": "u", "time": "x"}]}}).noted == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"form": "Evict"}, "spec.asks[0].form: 'Evict' is unknown"),
        ({"resource": "cpu"}, "resource: 'cpu' is none of BEMemoryEvict"),
        ({"figures": 1}, "figures: 1 is no object"),
        ({"release": 1}, "release: 1 does not follow from its figures"),
        ({"release": -1}, "release: -1 does not follow"),
        ({"release": 2**63}, "is no whole number that can be meant"),
        ({"figures": {"used": "all"}}, "figures.used: 'all' is no whole number"),
        ({"priority": True}, "priority: True is no whole number"),
    ],
)
def test_absurd_asks(change: dict[str, Any], says: str) -> None:
    """What no agent writes is not served, and says what is wrong."""
    body = written(memory_ask())
    body["spec"]["asks"][0] |= change
    found = read_request(body)
    assert says in found.absurd
    assert found.asks == ()
    assert found.problem(NOW) == found.absurd


def test_old_and_future_requests() -> None:
    """Neither is served; nor one without a time."""
    late, early = (read_request(written(memory_ask(), at=NOW + dt.timedelta(seconds=s))) for s in (-16, 16))
    assert "16 s old" in late.problem(NOW)
    assert "16 s from the future" in early.problem(NOW)
    body = written(memory_ask())
    body["spec"]["observedAt"] = "soon"
    assert read_request(body).problem(NOW) == "spec.observedAt is no time"
    assert read_request(written(at=NOW - dt.timedelta(hours=1))).problem(NOW) == ""  # it asks for nothing


def test_requests_that_contradict_their_node() -> None:
    """A node that is gone, or another of its name, or one that is not so large, or does not offer it."""
    request = read_request(written(memory_ask()))
    assert contradiction(request, NODE) == ""
    assert contradiction(request, None) == "there is no such node"
    assert "another node: uid 'u-n1', not 'new'" in contradiction(request, NODE._replace(uid="new"))
    assert "where the node has" in contradiction(request, NODE._replace(memory=50 * GI))
    figures = {"requested": 20_000, "allocatable": 8000, "threshold": 110, "lower": 100}
    ask = Ask(Form.CPU_ALLOCATABLE, "kubernetes.io/batch-cpu", 12_000, figures, 5999)
    requests = read_request(written(ask))
    assert contradiction(requests, NODE) == ""
    assert "does not offer kubernetes.io/batch-cpu" in contradiction(requests, NODE._replace(offered={}))
    body = written(memory_ask())
    body["metadata"]["ownerReferences"][0]["name"] = "n2"
    assert "'n2' is another node" in read_request(body).absurd


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
PLACES = ["observedAt", "asks", "pods"]


@given(st.sampled_from(PLACES), JSON, st.sampled_from(["form", "resource", "figures", "release"]), JSON)
def test_whatever_stands_there(place: str, value: Any, field: str, other: Any) -> None:
    """It is read without a fault, and what is served follows from its figures."""
    body = written(memory_ask())
    body["spec"]["asks"][0][field] = other
    one = read_request(body)
    body["spec"][place] = value
    for found in (one, read_request(body), read_request({"metadata": {"name": "n1"}, "spec": value})):
        assert found.absurd or not found.asks or found.problem(NOW) or found.asks == (memory_ask(),)
