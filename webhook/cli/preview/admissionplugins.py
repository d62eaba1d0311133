"""What the API server does to a new pod before it calls mutating webhooks, and the review that it sends.

Defaulting, then the admission plugins that are on by default, in their order. Sources: the
plugins LimitRanger, ServiceAccount, Priority and DefaultTolerationSeconds of Kubernetes 1.37.
ServiceAccounts and RuntimeClasses are not among the objects: an account counts as one that exists
with default settings, and a RuntimeClass's overhead must stand in the pod.
"""

from collections.abc import Mapping
from typing import Any, Final

from webhook.admission.review import Review
from webhook.admission.view import View
from webhook.pods.apiserver.defaulting import set_defaults
from webhook.pods.apiserver.limitrange import set_defaults as set_limit_range_defaults
from webhook.pods.manifests.controllers import MADE_UP
from webhook.pods.manifests.podtemplates import Object
from webhook.pods.pod import CONTAINER_LISTS, mapping
from webhook.pods.priority import DEFAULT_PREEMPTION_POLICY, PriorityClass, default_class
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_MIRROR_POD

_ACCOUNT: Final = "default"
_TOKEN_VOLUME: Final = "kube-api-access-"  # noqa: S105 — a name
_TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 — a path
_TOLERATED: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_NO_EXECUTE: Final = "NoExecute"
_TOLERATION_SECONDS: Final = 300
_NO_SUCH_CLASS: Final = "no PriorityClass {} among the objects: create it first"
_NO_CLASS: Final = PriorityClass("", 0, DEFAULT_PREEMPTION_POLICY)


def arrive(pod: Object, namespace: str, view: View) -> str | None:
    """Bring a pod into the state in which webhooks see it, in place.

    Returns:
        Why the API server would refuse it without a call, None if it would not.
    """
    pod["metadata"]["namespace"] = namespace
    set_defaults(pod)
    set_limit_range_defaults(pod, view.limit_ranges.get(namespace, ()))
    _set_service_account(pod)
    refusal = _set_priority(pod["spec"], view.priority_classes)
    _tolerate(pod["spec"])
    return refusal


def creation_review(pod: Object, uid: str) -> Review:
    """Return the review of the creation of a pod."""
    metadata = pod["metadata"]
    name = metadata.get("name")
    return Review(
        uid=uid,
        resource=("", "v1", "pods"),
        subresource="",
        operation="CREATE",
        namespace=metadata["namespace"],
        name=name if isinstance(name, str) else "",
        object=pod,
        old_object={},
        dry_run=False,  # a dry run has dice of its own
        username="",
    )


def _set_service_account(pod: Object) -> None:
    """Name the account, and mount its token where nothing else is mounted."""
    spec = pod["spec"]
    if ANNOTATION_MIRROR_POD in mapping(pod["metadata"].get("annotations")):
        return
    if not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"] = _ACCOUNT
    volumes = spec.get("volumes") or []
    if spec.get("automountServiceAccountToken") is False or not isinstance(volumes, list):
        return
    names = (str(mapping(volume).get("name")) for volume in volumes)
    present = next((name for name in names if name.startswith(_TOKEN_VOLUME)), None)
    mount = {"name": present or _TOKEN_VOLUME + MADE_UP, "readOnly": True, "mountPath": _TOKEN_PATH}
    mounted = [_mount(container, mount) for kind in CONTAINER_LISTS for container in _list(spec.get(kind))]
    if any(mounted) and not present:
        spec["volumes"] = [*volumes, _token_volume(mount["name"])]


def _mount(container: object, mount: Object) -> bool:
    """Add a mount to a container unless its path is taken; return whether it was added."""
    mounts = mapping(container).get("volumeMounts") or []
    if not isinstance(container, dict) or not isinstance(mounts, list):
        return False
    if any(mapping(other).get("mountPath") == mount["mountPath"] for other in mounts):
        return False
    container["volumeMounts"] = [*mounts, dict(mount)]
    return True


def _token_volume(name: object) -> Object:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    certificates = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": certificates},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}


def _set_priority(spec: Object, classes: Mapping[str, PriorityClass]) -> str | None:
    """Set priority, class and preemption policy; return why the plugin Priority refuses the pod, or None.

    What a pod says of its priority itself must be what its PriorityClass says.
    """
    name = spec.get("priorityClassName")
    if name:
        found = classes.get(name) if isinstance(name, str) else None
        if found is None:
            return f"spec.priorityClassName: {_NO_SUCH_CLASS.format(shown(name))}"
    else:
        found = default_class(classes.values()) or _NO_CLASS
    if found.name:
        spec["priorityClassName"] = found.name
    for field, value in (("priority", found.value), ("preemptionPolicy", found.preemption_policy)):
        stated = spec.get(field)
        if stated is not None and stated != value:
            by = f"PriorityClass {found.name}" if found.name else "a pod without a PriorityClass"
            return (
                f"spec.{field}: is {shown(stated)}, and {value} by {by}: the API server refuses a pod that "
                "says otherwise: remove the field"
            )
        spec[field] = value
    return None


def _tolerate(spec: Object) -> None:
    """Let the pod stay for some minutes on a node that is not ready or cannot be reached."""
    tolerations = spec.get("tolerations") or []
    if not isinstance(tolerations, list):
        return
    added = [
        {
            "key": key,
            "operator": "Exists",
            "effect": _NO_EXECUTE,
            "tolerationSeconds": _TOLERATION_SECONDS,
        }
        for key in _TOLERATED
        if not any(_tolerates(mapping(one), key) for one in tolerations)
    ]
    if added:
        spec["tolerations"] = [*tolerations, *added]


def _tolerates(toleration: Mapping[str, Any], key: str) -> bool:
    return (toleration.get("key") or key) == key and (toleration.get("effect") or _NO_EXECUTE) == _NO_EXECUTE


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
