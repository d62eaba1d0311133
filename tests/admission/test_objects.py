"""What is kept of objects that are not profiles."""

import pytest

from webhook.admission.objects import (
    ObjectError,
    read_limit_range,
    read_namespace,
    read_priority_class,
    read_resource_quota,
)


def test_a_namespace_has_the_label_that_every_namespace_has() -> None:
    """The API server gives each namespace its name as a label; a file may leave it out or lie."""
    raw = {"metadata": {"name": "a", "labels": {"x": "y", "kubernetes.io/metadata.name": "b"}}}
    assert read_namespace("a", raw) == {"x": "y", "kubernetes.io/metadata.name": "a"}
    assert read_namespace("a", {"metadata": {"labels": None}}) == {"kubernetes.io/metadata.name": "a"}


@pytest.mark.parametrize(
    ("limits", "bounds"),
    [
        ([{"type": "Container", "min": {"cpu": "1"}}], True),
        ([{"type": "Pod", "maxLimitRequestRatio": {"memory": "2"}}], True),
        ([{"type": "Container", "default": {"cpu": "1"}}, {"type": "Pod", "max": {"cpu": 4}}], True),
        ([{"type": "Container", "default": {"cpu": "1"}}], False),
        ([{"type": "PersistentVolumeClaim", "min": {"cpu": "1"}}], False),
        ([{"type": "Container", "max": {"ephemeral-storage": "1Gi"}}], False),
        ([], False),
        ({}, False),
    ],
)
def test_limit_ranges_with_bounds_are_in_the_way(limits, bounds) -> None:
    """Bounds on native cpu or memory refuse a pod without them; defaults do not."""
    assert read_limit_range("a", {"spec": {"limits": limits}}).bounds_native is bounds


@pytest.mark.parametrize(
    ("spec", "scopes", "counts_native"),
    [
        ({"hard": {"requests.cpu": "1"}}, [], True),
        ({"hard": {"limits.memory": "1"}, "scopes": ["BestEffort"]}, [("BestEffort", "Exists", set())], True),
        ({"hard": {"memory": "1"}, "scopes": ["NotBestEffort"]}, [("NotBestEffort", "Exists", set())], True),
        ({"hard": {"pods": "1", "requests.nvidia.com/gpu": 1}}, [], False),
        (
            {
                "hard": {"pods": "1"},
                "scopes": ["Terminating"],
                "scopeSelector": {
                    "matchExpressions": [
                        {"scopeName": "PriorityClass", "operator": "In", "values": ["a", "b"]},
                    ]
                },
            },
            [("Terminating", "Exists", set()), ("PriorityClass", "In", {"a", "b"})],
            False,
        ),
        (None, [], False),
    ],
)
def test_what_is_kept_of_a_quota(spec, scopes, counts_native) -> None:
    """All scopes, and whether it counts native cpu or memory."""
    found = read_resource_quota("a", {"spec": spec})
    assert [tuple(scope) for scope in found.scopes] == scopes
    assert found.counts_native is counts_native


@pytest.mark.parametrize("default", [True, False, None])
def test_a_global_default_is_known(default) -> None:
    """As the API server writes it: absent where it is false."""
    raw = {"value": 5} | ({} if default is None else {"globalDefault": default})
    assert read_priority_class("a", raw).global_default is bool(default)


@pytest.mark.parametrize(
    ("read", "raw", "message"),
    [
        (read_priority_class, {"value": "1"}, "PriorityClass 'a': value must be an integer, not '1'"),
        (read_priority_class, {"value": True}, "PriorityClass 'a': value must be an integer, not True"),
        (read_namespace, {"metadata": {"labels": {"a": 1}}}, "metadata.labels must be a map of strings"),
        (
            read_priority_class,
            {"value": 1, "globalDefault": "yes"},
            "PriorityClass 'a': globalDefault must be true or false, not 'yes'",
        ),
        (read_limit_range, {"spec": {"limits": "x"}}, "LimitRange 'a': spec.limits must be a list, not 'x'"),
        (read_limit_range, {"spec": {"limits": [1]}}, "LimitRange 'a': spec.limits must be a list of maps"),
        (
            read_limit_range,
            {"spec": {"limits": [{"default": {"cpu": "much"}}]}},
            r"LimitRange 'a': spec.limits\[0\].default\[cpu\]: 'much' is not a quantity",
        ),
        (read_resource_quota, {"spec": {"hard": "x"}}, "ResourceQuota 'a': spec.hard must be a map"),
        (read_resource_quota, {"spec": "x"}, "ResourceQuota 'a': spec must be a map"),
        (read_resource_quota, {"spec": {"scopes": [1]}}, "'a': spec.scopes must be a list of texts"),
        (
            read_resource_quota,
            {"spec": {"scopeSelector": {"matchExpressions": [1]}}},
            r"'a': spec.scopeSelector.matchExpressions\[0\] must be a map",
        ),
    ],
)
def test_an_object_that_cannot_be_read_is_named(read, raw, message) -> None:
    """The message names kind, name, field and what is wanted."""
    with pytest.raises(ObjectError, match=message):
        read("a", raw)
