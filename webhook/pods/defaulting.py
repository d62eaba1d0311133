"""What the API server fills into a pod's requests before anybody is asked about the pod.

Source: Kubernetes' defaulting of ``v1 Pod``, as seen on a kube-apiserver 1.37.
"""

from typing import Any

from webhook.pods.pod import CONTAINER_LISTS

Object = dict[str, Any]


def default_requests(pod: Object) -> None:
    """Give each limit without a request a request of the same size, in place.

    Fields of a wrong type are passed over.
    """
    spec = pod["spec"]
    listed = [items for kind in CONTAINER_LISTS if isinstance(items := spec.get(kind), list)]
    requested: set[str] = set()
    for container in (item for items in listed for item in items if isinstance(item, dict)):
        requested.update(_default(container))
    # The containers' sum stands at the pod's level for a resource that one of them requests.
    _default(spec, but=frozenset(requested))


def _default(holder: Object, but: frozenset[str] = frozenset()) -> Object:
    """Complete ``holder.resources.requests``, and return it."""
    resources = holder.get("resources")
    if not isinstance(resources, dict):
        return {}
    limits, requests = resources.get("limits"), resources.get("requests")
    if requests is None:
        requests = {}
    if not isinstance(requests, dict):
        return {}
    if isinstance(limits, dict):
        missing = {n: v for n, v in limits.items() if n not in requests and n not in but}
        if missing:
            requests = resources["requests"] = {**requests, **missing}
    return requests
