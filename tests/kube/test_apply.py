"""Server-side apply, and who owns which fields."""

from typing import Any

import pytest

from webhook.kube.apply import (
    CONFLICT_SECONDS,
    REFUSED_SECONDS,
    Pauses,
    apply,
    managers,
    owned_fields,
    owners_of,
)
from webhook.kube.client import ApiError

THINGS = "/apis/example.com/v1/things"
MAPS = (("metadata", "annotations"), ("status", "capacity"), ("status", "allocatable"))


def entry(manager: str, **maps: list[str]) -> dict[str, Any]:
    """Return an entry of managedFields with keys of a status's maps."""
    keys = {f"f:{of}": {f"f:{name}": {} for name in names} for of, names in maps.items()}
    return {"manager": manager, "fieldsV1": {"f:status": keys}}


def test_owned_fields() -> None:
    """A manager's are those that it is named with; entries that cannot be read have none."""
    listed = [
        entry("kubelet", capacity=["cpu"]),
        entry("ours", capacity=["a/b"], allocatable=["a/b", "c/d"]),
        {"manager": "ours"},
        {
            "manager": "ours",
            "fieldsV1": {"f:status": 7, "f:metadata": {"f:annotations": {".": {}}}},
        },
        7,
    ]
    assert owned_fields({"managedFields": listed}, MAPS, "ours") == {
        ("status", "capacity", "a/b"),
        ("status", "allocatable", "a/b"),
        ("status", "allocatable", "c/d"),
    }
    assert owned_fields({}, MAPS, "ours") == frozenset()
    assert managers({"managedFields": listed}) == {"kubelet", "ours"}


def test_an_object_is_applied_and_never_forced(fake):
    """With the manager's name; what became of it is returned."""
    fake.objects[THINGS] = {}
    body = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"x": 1}}
    found = apply(fake.api(), f"{THINGS}/a", body, "somebody")
    assert found["spec"] == {"x": 1}
    (entry,) = fake.objects[THINGS]["", "a"]["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("somebody", "Apply")


def test_a_conflict_names_the_owners(fake):
    """Each once, sorted; another failure has none."""
    message = (
        'Apply failed with 3 conflicts: conflicts with "koordlet": .status.a .status.b '
        'conflict with "admin" using v1: .spec.c'
    )
    status = {"kind": "Status", "message": message, "code": 409}
    fake.objects[THINGS] = {}
    fake.failures["PATCH", f"{THINGS}/a"] = [(409, status)]
    with pytest.raises(ApiError) as raised:
        apply(fake.api(), f"{THINGS}/a", {"metadata": {"name": "a"}}, "somebody")
    assert owners_of(raised.value) == ["admin", "koordlet"]
    assert owners_of(ApiError('conflict with "x"', status=500)) == []


def test_pauses() -> None:
    """A refusal pauses that object only, longer where somebody owns it; no answer is no matter of it."""
    clock = 0.0
    pauses = Pauses(lambda: clock)
    conflict = ApiError('conflict with "koord-manager": .status.capacity', status=409)
    assert pauses.refused("a", conflict) == ["koord-manager"]
    assert pauses.refused("b", ApiError("denied by a policy", status=403)) == []
    assert [pauses.over(name) for name in "abc"] == [False, False, True]
    clock = REFUSED_SECONDS
    assert [pauses.over(name) for name in "ab"] == [False, True]
    clock = CONFLICT_SECONDS
    assert pauses.over("a")
    pauses.pause("a", 10.0)
    assert not pauses.over("a")
    pauses.forget("a")
    assert pauses.over("a")
    with pytest.raises(ApiError, match="no answer"):
        pauses.refused("c", ApiError("no answer"))
    assert pauses.over("c")
