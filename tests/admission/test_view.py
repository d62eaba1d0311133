"""The immutable picture of the cluster, built from objects."""

import pytest

from tests.builders import namespace, priority_class, profile, view_of
from webhook.admission.objects import ObjectError
from webhook.admission.view import build_view


def test_other_kinds_are_passed_over() -> None:
    """Deployments, and other things in the same file, do no harm."""
    others = [
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": 7},
    ]
    view = view_of(others)
    assert (view.profiles, view.namespaces, view.limit_ranges, view.quotas) == ({}, {}, {}, {})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("text", "not a Kubernetes object"),
        (None, "not a Kubernetes object"),
        ([], "not a Kubernetes object"),
        ({}, "apiVersion and kind"),
        ({"kind": "Namespace"}, "apiVersion and kind"),
        ({"kind": 1, "apiVersion": "v1"}, "apiVersion and kind"),
        (profile() | {"apiVersion": "config.koordinator.sh/v1"}, "use config.koordinator.sh/v1alpha1"),
        (profile() | {"metadata": {}}, r"metadata\.name"),
        (profile("A_B"), "DNS subdomain"),
        (namespace() | {"metadata": None}, r"metadata\.name"),
        (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"a": 1}}},
            "map of strings",
        ),
        (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": ["a"]}},
            "map of strings",
        ),
        (priority_class("p", "high"), "value must be an integer"),
        (priority_class("p", 1.5), "value must be an integer"),
        (
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {"name": "l"},
                "spec": {"limits": {"a": 1}},
            },
            r"spec\.limits",
        ),
        ({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": [1]}, "spec"),
        ({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": "x"}, "spec"),
        (
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": [1]}},
            "hard",
        ),
        ({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": "x"}, "hard|spec"),
        (
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": "q"},
                "spec": {"hard": {"cpu": 1}, "scopes": 7},
            },
            "scopes",
        ),
    ],
)
def test_objects_that_cannot_be_read(raw, message) -> None:
    """The error names where the object stands and what is wrong."""
    with pytest.raises(ObjectError, match=message) as caught:
        build_view([(raw, "profiles.yaml#2")])
    assert "profiles.yaml#2" in str(caught.value)


def test_two_objects_of_one_name() -> None:
    """Both places are named."""
    with pytest.raises(ObjectError, match=r"a\.yaml") as caught:
        build_view([(profile("p"), "a.yaml"), (profile("p"), "b.yaml")])
    assert "b.yaml" in str(caught.value)


def test_the_same_name_in_two_kinds_or_namespaces() -> None:
    """A PriorityClass and a profile may have one name, so may LimitRanges of two namespaces."""
    limits = [
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "x", "namespace": n},
            "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]},
        }
        for n in ("a", "b")
    ]
    view = view_of([profile("x"), priority_class("x", 1), *limits])
    assert {key: [one.name for one in found] for key, found in view.limit_ranges.items()} == {
        "a": ["x"],
        "b": ["x"],
    }


def test_a_faulty_profile_does_not_harm_the_others() -> None:
    """Admission §3.10: it is kept, with its problems, and not among those that can match."""
    view = view_of([profile("faulty", qosClass="be"), profile("fine")])
    assert list(view.profiles) == ["faulty", "fine"]
    assert [p.name for p in view.index.profiles] == ["fine"]


def test_namespaces() -> None:
    """Admission §3.1: a namespace has the label that the API server gives it, known or not."""
    view = view_of(
        [
            namespace("known", {"a": "b"}),
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}},
        ]
    )
    assert view.namespace_labels("known") == {"a": "b", "kubernetes.io/metadata.name": "known"}
    assert view.namespace_labels("bare") == {"kubernetes.io/metadata.name": "bare"}
    assert view.namespace_labels("ghost") == {"kubernetes.io/metadata.name": "ghost"}


def test_a_view_cannot_be_changed() -> None:
    """Sources build the next view; none is written to."""
    view = view_of([profile("p"), namespace("n", {"a": "b"}), priority_class("c", 1)])
    for mapping in (
        view.profiles,
        view.namespaces,
        view.priority_classes,
        view.limit_ranges,
        view.quotas,
        view.namespaces["n"],
    ):
        with pytest.raises(TypeError):
            mapping["new"] = None
