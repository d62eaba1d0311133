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
    ("limits", "found"),
    [
        ([{"type": "Container", "min": {"cpu": "1"}}], 'LimitRange "a"'),
        ([{"type": "Pod", "maxLimitRequestRatio": {"memory": "2"}}], 'LimitRange "a"'),
        ([{"type": "Container", "default": {"cpu": "1"}}], None),
        ([{"type": "PersistentVolumeClaim", "min": {"cpu": "1"}}], None),
        ([{"type": "Container", "max": {"ephemeral-storage": "1Gi"}}], None),
        ([], None),
    ],
)
def test_limit_ranges_with_bounds_are_in_the_way(limits, found) -> None:
    """Bounds on native cpu or memory refuse a pod without them; defaults do not."""
    assert read_limit_range("a", {"spec": {"limits": limits}}) == found


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"hard": {"requests.cpu": "1"}}, 'ResourceQuota "a"'),
        ({"hard": {"limits.memory": "1"}, "scopes": ["BestEffort"]}, 'ResourceQuota "a"'),
        ({"hard": {"memory": "1"}, "scopes": ["NotBestEffort"]}, None),
        ({"hard": {"pods": "1"}}, None),
        (None, None),
    ],
)
def test_quotas_on_cpu_and_memory_are_in_the_way(spec, found) -> None:
    """A quota on native cpu or memory refuses a pod without them."""
    assert read_resource_quota("a", {"spec": spec}) == found


@pytest.mark.parametrize(
    ("read", "raw", "message"),
    [
        (read_priority_class, {"value": "1"}, "PriorityClass 'a': value must be an integer, not '1'"),
        (read_priority_class, {"value": True}, "PriorityClass 'a': value must be an integer, not True"),
        (read_namespace, {"metadata": {"labels": {"a": 1}}}, "metadata.labels must be a map of strings"),
        (read_limit_range, {"spec": {"limits": {}}, "metadata": {}}, None),
        (read_limit_range, {"spec": {"limits": "x"}}, "LimitRange 'a': spec.limits must be a list of maps"),
        (read_resource_quota, {"spec": {"hard": "x"}}, "ResourceQuota 'a': spec.hard must be a map"),
        (read_resource_quota, {"spec": "x"}, "ResourceQuota 'a': spec.hard must be a map"),
    ],
)
def test_an_object_that_cannot_be_read_is_named(read, raw, message) -> None:
    """The message names kind, name, field and what is wanted; an empty field is no error."""
    if message is None:
        assert read("a", raw) is None
    else:
        with pytest.raises(ObjectError, match=message):
            read("a", raw)
