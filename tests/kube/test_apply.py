"""Who owns which fields of an object."""

from typing import Any

from webhook.kube.apply import managers, owned_fields

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
