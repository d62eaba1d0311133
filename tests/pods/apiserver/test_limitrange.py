"""What LimitRanges give to containers: the cases of Kubernetes' own documentation and plugin."""

import copy

import pytest

from webhook.pods.apiserver.limitrange import ANNOTATION, QUANTITIES, limit_range_of, set_defaults


def limit_range(name="r", *items, **fields):
    """Return a LimitRange with these items, or one of containers."""
    listed = items or ({"type": "Container", **fields},)
    return limit_range_of(name, [{**{key: {} for key in QUANTITIES}, **item} for item in listed])


def pod(*containers, init=(), **metadata):
    """Return a pod; a container is given by its resources, None for none."""
    return {
        "metadata": {"name": "p", **metadata},
        "spec": {
            field: [
                {"name": f"{field[0]}{i}", **({} if r is None else {"resources": r})}
                for i, r in enumerate(listed)
            ]
            for field, listed in (("containers", containers), ("initContainers", init))
            if listed
        },
    }


@pytest.mark.parametrize(
    ("fields", "requests", "limits"),
    [
        ({"default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}, {"cpu": "500m"}, {"cpu": "1"}),
        ({"default": {"cpu": "1"}}, {"cpu": "1"}, {"cpu": "1"}),
        ({"defaultRequest": {"cpu": "500m"}}, {"cpu": "500m"}, {}),
        ({"max": {"cpu": "2"}}, {"cpu": "2"}, {"cpu": "2"}),
        ({"min": {"cpu": "100m"}}, {"cpu": "100m"}, {}),
        ({"min": {"cpu": "100m"}, "max": {"cpu": "2"}}, {"cpu": "2"}, {"cpu": "2"}),
        (
            {"max": {"cpu": "2"}, "default": {"memory": "1Gi"}},
            {"cpu": "2", "memory": "1Gi"},
            {"cpu": "2", "memory": "1Gi"},
        ),
        (
            {"max": {"cpu": "2"}, "default": {"cpu": "1"}, "min": {"memory": "1Mi"}},
            {"cpu": "1", "memory": "1Mi"},
            {"cpu": "1"},
        ),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {}, {}),
    ],
)
def test_what_an_item_says_less_is_completed(fields, requests, limits):
    """A limit is the maximum; a request is the limit, else the minimum."""
    found = limit_range("r", **fields)
    assert (found.requests, found.limits) == (requests, limits)


@pytest.mark.parametrize("kind", ["Pod", "PersistentVolumeClaim", None])
def test_only_items_of_containers_have_defaults(kind):
    """Others only bound what there is."""
    found = limit_range("r", {"type": kind, "max": {"cpu": "1"}, "default": {"cpu": "1"}})
    assert (found.requests, found.limits) == ({}, {})


BOTH = {"default": {"cpu": "500m", "memory": "512Mi"}, "defaultRequest": {"cpu": "250m", "memory": "256Mi"}}


def test_containers_and_init_containers_get_defaults():
    """The annotation says what was set, containers first."""
    made = pod(None, {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}, init=[None])
    set_defaults(made, [limit_range("r", **BOTH)])
    full = {"requests": BOTH["defaultRequest"], "limits": BOTH["default"]}
    first, second = made["spec"]["containers"]
    assert first["resources"] == made["spec"]["initContainers"][0]["resources"] == full
    assert second["resources"] == {
        "requests": {"cpu": "1", "memory": "256Mi"},
        "limits": {"cpu": "2", "memory": "512Mi"},
    }
    assert made["metadata"]["annotations"] == {
        ANNOTATION: "LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for "
        "container c0; memory request for container c1; memory limit for container c1; cpu, memory request "
        "for init container i0; cpu, memory limit for init container i0"
    }


def test_the_first_of_several_fills_and_the_last_that_fills_writes_the_annotation():
    """What is set is not set again; other annotations stay."""
    made = pod(None, annotations={"a": "b"})
    set_defaults(
        made, [limit_range("a", min={"cpu": "1"}), limit_range("b", **BOTH), limit_range("c", **BOTH)]
    )
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "256Mi"}
    assert made["metadata"]["annotations"] == {
        "a": "b",
        ANNOTATION: "LimitRanger plugin set: memory request for container c0; "
        "cpu, memory limit for container c0",
    }


@pytest.mark.parametrize(
    "made",
    [
        pod({"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1", "memory": "1"}}),
        pod([1]),
        pod("x"),
        {"metadata": {}, "spec": {"containers": "x"}},
        {"metadata": {}, "spec": {"containers": [3]}},
    ],
)
def test_what_is_stated_stays(made):
    """So does what is of a wrong type."""
    before = copy.deepcopy(made)
    set_defaults(made, [limit_range("r", **BOTH)])
    assert made == before
