"""Strategic merge patches against an independent oracle, and the documented directives."""

import copy
import json

import jsonpatch
import pytest
from hypothesis import given

from tests.admission.mutating.merge_model import merged
from tests.admission.reviews import strategies
from webhook.admission.editor import Cause, ObjectEdit, json_patch
from webhook.admission.mutating.strategicmerge import merge
from webhook.admission.profiles.podpatch import check_patch

CAUSE = Cause("a-profile", "patch")


def apply(pod, patch):
    """Merge a patch and apply the operations that were recorded."""
    problems: list[str] = []
    checked = check_patch(patch, "", problems, [])
    assert problems == []
    edit = ObjectEdit(pod)
    merge(edit, checked, CAUSE)
    result = jsonpatch.apply_patch(json.loads(json.dumps(pod)), json_patch(edit.operations()))
    assert without_empty(result) == without_empty(edit.value)
    return result


def without_empty(value):
    """Leave out nulls and what is empty, which a patch neither needs nor minds."""
    if isinstance(value, dict):
        return {k: v for k, raw in value.items() if (v := without_empty(raw)) not in (None, {}, [])}
    return [without_empty(v) for v in value] if isinstance(value, list) else value


@given(strategies.pods, strategies.patches)
def test_against_the_oracle(pod, patch) -> None:
    """Any patch gives what the documentation says."""
    assert without_empty(apply(pod, patch)) == without_empty(merged(pod, patch))


@given(strategies.pods, strategies.patches)
def test_pod_and_patch_are_not_written_to(pod, patch) -> None:
    """Merging changes neither the pod that came in nor the profile's patch."""
    before = copy.deepcopy((pod, patch))
    apply(pod, patch)
    assert (pod, patch) == before


CONTAINERS = [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}, {"name": "c", "image": "1"}]


def names(pod) -> list[str]:
    """Return the containers' names in order."""
    return [container["name"] for container in pod["spec"]["containers"]]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ([{"name": "new"}], ["new", "a", "b", "c"]),
        ([{"name": "b", "image": "2"}], ["a", "b", "c"]),
        ([{"name": "c"}, {"name": "a"}], ["b", "c", "a"]),
        ([{"name": "b"}, {"name": "new"}], ["a", "b", "new", "c"]),
        ([{"name": "b", "$patch": "delete"}], ["a", "c"]),
        ([{"name": "ghost", "$patch": "delete"}], ["a", "b", "c"]),
        ([{"name": "new"}, {"$patch": "replace"}], ["new"]),
    ],
)
def test_keyed_lists(patch, expected) -> None:
    """Admission §2: elements are told apart by the merge key; added ones go before the old."""
    assert names(apply({"spec": {"containers": CONTAINERS}}, {"spec": {"containers": patch}})) == expected


@pytest.mark.parametrize(
    ("order", "patch", "expected"),
    [
        (["c", "b", "a"], [{"name": "b", "image": "2"}], ["c", "b", "a"]),
        (["b", "a", "c"], None, ["b", "a", "c"]),
        (["a", "new", "b"], [{"name": "new"}], ["a", "new", "b", "c"]),
    ],
)
def test_set_element_order(order, patch, expected) -> None:
    """``$setElementOrder`` says how the named elements stand to each other."""
    spec = {"$setElementOrder/containers": [{"name": name} for name in order]}
    if patch is not None:
        spec["containers"] = patch
    assert names(apply({"spec": {"containers": CONTAINERS}}, {"spec": spec})) == expected


@pytest.mark.parametrize(
    ("spec", "patch", "expected"),
    [
        (
            {"nodeSelector": {"a": "1", "b": "2"}},
            {"nodeSelector": {"a": None, "c": "3"}},
            {"nodeSelector": {"b": "2", "c": "3"}},
        ),
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": None}, {}),
        (
            {"nodeSelector": {"a": "1"}},
            {"nodeSelector": {"$patch": "replace", "b": "2"}},
            {"nodeSelector": {"b": "2"}},
        ),
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"$patch": "delete"}}, {}),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        (
            {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]},
            {
                "volumes": [
                    {"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {"medium": "Memory"}}
                ]
            },
            {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]},
        ),
        ({}, {"nodeSelector": {"a": "1", "b": None}}, {"nodeSelector": {"a": "1"}}),
    ],
    ids=["null", "null field", "replace", "delete", "atomic list", "retainKeys", "nulls in what is new"],
)
def test_maps_and_directives(spec, patch, expected) -> None:
    """Maps merge, null deletes, ``$patch`` replaces or deletes, ``$retainKeys`` clears the others."""
    assert without_empty(apply({"spec": spec}, {"spec": patch})) == without_empty({"spec": expected})


def test_lists_of_scalars() -> None:
    """Finalizers are a set: added once, taken away by ``$deleteFromPrimitiveList``."""
    patch = {"metadata": {"finalizers": ["a/x", "n/w"], "$deleteFromPrimitiveList/finalizers": ["b/y"]}}
    merged_pod = apply({"metadata": {"finalizers": ["a/x", "b/y"]}}, patch)
    assert sorted(merged_pod["metadata"]["finalizers"]) == ["a/x", "n/w"]
