"""A pod that the API server refuses, and a like one that it takes: how both are tried."""

from typing import Any

from webhook.admission.profiles.validity import Fault, depends_on_pod, faults, patch_faults

Json = dict[str, Any]


def check(refused: Json, taken: Json, at: str) -> None:
    """Admission §3.10: found where it is new, with a remedy; not where it was before, nor in the twin."""
    (fault,) = faults(taken, refused)
    assert fault.at == at
    assert list(faults(refused, refused | {"metadata": refused["metadata"] | {"name": "other"}})) == []
    assert list(faults(refused, taken)) == []
    assert _looked_at(taken, refused)


def _looked_at(before: Json, after: Json) -> bool:
    """Whether a patch that makes the one of the other has its pods looked at; of labels others decide."""
    patch = {
        part: {key: value for key, value in after[part].items() if before[part].get(key) != value}
        for part in ("metadata", "spec")
    }
    texts = patch["metadata"].keys() <= {"annotations", "labels", "name"} and not patch["spec"]
    return texts or depends_on_pod(patch) or bool(_certain(patch))


def _certain(patch: Json) -> list[Fault]:
    return [fault for fault in patch_faults(patch, "") if fault.certain]
