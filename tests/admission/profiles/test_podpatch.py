"""The ``patch`` of a profile: does it apply to a Pod?"""

import re

import pytest

from webhook.admission.profiles.podpatch import check_patch
from webhook.admission.profiles.unknownfield import UnknownField


@pytest.mark.parametrize(
    ("patch", "problem"),
    [
        ({"spec": {"containers": {"name": "a"}}}, r"\.spec\.containers: must be a list"),
        ({"spec": {"containers": [{"image": "x"}]}}, r"\.spec\.containers\[0\]: needs 'name'"),
        ({"spec": {"nodeSelector": {"a": 1}}}, r"\.spec\.nodeSelector\[a\]: must be of type string"),
        ({"spec": {"priority": "7"}}, r"\.spec\.priority: must be of type integer"),
        ({"spec": {"priority": True}}, r"\.spec\.priority: must be of type integer"),
        ({"spec": {"hostNetwork": "yes"}}, r"\.spec\.hostNetwork: must be of type boolean"),
        ({"spec": {"resources": {"limits": {"cpu": "1K"}}}}, r"\.spec\.resources\.limits\[cpu\]: '1K'"),
        ({"spec": {"overhead": {"cpu": "1"}}}, r"\.spec\.overhead: cannot be set"),
        ({"kind": "Deployment"}, r"\.kind: cannot be set"),
        ({"spec": {"priorityClassName": None}}, r"\.spec\.priorityClassName: a pod must have it"),
        ({"spec": {"containers": [{"$patch": "replace"}]}}, r"a pod must have containers"),
        ({"spec": {"tolerations": [{"$patch": "delete", "key": "a"}]}}, r"the list is replaced as a whole"),
        ({"spec": {"nodeSelector": {"$patch": "merge-not"}}}, "not one of merge, replace, delete"),
        ({"spec": {"$setElementOrder/tolerations": []}}, "names no merged list"),
        ({"spec": {"$deleteFromPrimitiveList/containers": []}}, "list of objects"),
        ({"spec": {"securityContext": {"$retainKeys": "a"}}}, r"\.\$retainKeys: must be a list"),
        ({"spec": {"$unknown": 1}}, "is not a directive"),
        ({"metadata": {"name": "other"}}, r"\.metadata\.name: cannot be set"),
        ({"metadata": {"namespace": "other"}}, r"\.metadata\.namespace: cannot be set"),
        ({"status": {}}, r"\.status: cannot be set"),
        ({"metadata": None}, r"\.metadata"),
        ({"spec": None}, r"\.spec"),
        ({"spec": {"containers": None}}, r"\.spec\.containers"),
        ({"$patch": "delete"}, r"\.\$patch"),
        ({"metadata": {"$patch": "replace"}}, r"\.metadata\.\$patch"),
        ({"spec": {"$retainKeys": ["hostNetwork"]}}, r"\.spec\.\$retainKeys"),
        ({"metadata": {"labels": {"ok": "x y"}}}, r"\.metadata\.labels\[ok\]"),
        ({"metadata": {"labels": {"a b": "x"}}}, r"\.metadata\.labels"),
        ({"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "-1"}}}]}}, "-1"),
    ],
)
def test_patches_that_do_not_apply_to_a_pod(patch, problem) -> None:
    """Admission §3.10: what is wrong with a patch is said when the profile is read, with the path."""
    problems: list[str] = []
    check_patch(patch, "", problems, [])
    assert len(problems) == 1

    assert re.search(problem, problems[0])


def test_unknown_fields_of_a_patch_are_noted_and_left_out() -> None:
    """Admission §3.11: a field that no Pod has is reported, and does not reach the pod."""
    notes: list[UnknownField] = []
    patch = check_patch({"spec": {"noSuchField": {"x": 1}, "hostNetwork": False}}, "spec.patch", [], notes)
    assert patch == {"spec": {"hostNetwork": False}}
    assert [note.message for note in notes] == [
        "spec.patch.spec.noSuchField: a Pod has no such field, ignored"
    ]
