"""What somebody without rights in the whole cluster can see: the pods of one namespace."""

from collections.abc import Iterator
from typing import Final

from webhook.cli.doctor.diagnosis import Cluster, Finding, Object, ok, warn
from webhook.cli.terminal import first_of
from webhook.kube.paths import collection
from webhook.protocol import ANNOTATION_PROFILES, BATCH_RESOURCES

_SHOWN: Final = 5


def pods_at_home(cluster: Cluster) -> Iterator[Finding]:
    """Yield how many pods of the context's namespace were changed, and why pods wait; raises ApiError."""
    pods = cluster.items(collection("v1", "pods", cluster.api.access.namespace))
    changed = [pod for pod in pods if _profiles(pod)]
    names = sorted({name for pod in changed for name in _profiles(pod)})
    by = f", by {first_of(names, _SHOWN)}" if names else ""
    yield ok(f"{len(changed)} of {len(pods)} pods were changed by profiles{by}")
    waiting = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Pending" and not _bound(pod)]
    for pod in waiting[:_SHOWN]:
        yield _waits(pod)
    if len(waiting) > _SHOWN:
        yield warn(f"{len(waiting) - _SHOWN} more pods wait", "see to those that are named first")


def _profiles(pod: Object) -> list[str]:
    applied = (pod["metadata"].get("annotations") or {}).get(ANNOTATION_PROFILES) or ""
    return [name for name in str(applied).split(",") if name]


def _bound(pod: Object) -> bool:
    return bool((pod.get("spec") or {}).get("nodeName"))


def _waits(pod: Object) -> Finding:
    name, scheduler = pod["metadata"]["name"], (pod.get("spec") or {}).get("schedulerName")
    conditions = (pod.get("status") or {}).get("conditions") or ()
    said = next((str(c.get("message")) for c in conditions if c.get("type") == "PodScheduled"), "")
    if not said:
        return warn(
            f"{name} is Pending, and no scheduler has said why",
            f"ask whether the scheduler {scheduler} runs; if not, the profile must not name it",
        )
    batch = any(resource in said for resource in BATCH_RESOURCES)
    remedy = "ask whether nodes publish batch resources, and how many are left" if batch else "see to it"
    return warn(f"{name} is Pending: {said}", remedy)
