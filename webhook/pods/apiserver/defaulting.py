"""What the API server fills into a pod before anybody is asked about it.

Source: Kubernetes' defaulting of ``v1 Pod`` (``pkg/apis/core/v1``), as seen on a kube-apiserver
1.37. Fields of a wrong type are passed over: whoever checks shapes says what is wrong.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from webhook.pods.pod import CONTAINER_LISTS, SECTIONS
from webhook.pods.quantities import NANO, QuantityError, canonical, milli, parse, text_of
from webhook.pods.requests import containers_request
from webhook.protocol import NATIVE_RESOURCES

Object = dict[str, Any]

_MILLI: Final = NANO // 1000
_SPEC: Final = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
}
_CONTAINER: Final = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE: Final = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_HTTP_GET: Final = {"path": "/", "scheme": "HTTP"}
_MODE: Final = {"defaultMode": 0o644}
_VOLUMES: Final[Mapping[str, Mapping[str, Any]]] = {
    "configMap": _MODE,
    "secret": _MODE,
    "downwardAPI": _MODE,
    "projected": _MODE,
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def set_defaults(pod: Object) -> None:
    """Complete a pod in place, as the API server does when it reads one."""
    spec = pod["spec"]
    pod.setdefault("status", {})
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    _fill(spec, _SPEC)
    for volume in _maps(spec.get("volumes")):
        _default_volume(volume)
    for container in _containers(spec):
        _default_container(container, host_network=spec.get("hostNetwork") is True)
    for resources in (_map(holder.get("resources")) for holder in (spec, *_containers(spec))):
        for section in SECTIONS:
            _normalize(resources.get(section))
    _normalize(spec.get("overhead"))
    default_requests(pod)


def default_requests(pod: Object) -> None:
    """Give each limit of a container without a request a request of the same size, in place."""
    for container in _containers(pod["spec"]):
        resources = _map(container.get("resources"))
        _default_requests(resources, _map(resources.get("limits")))


def default_pod_requests(pod: Object) -> None:
    """Complete the requests of a pod that has limits at its own level, in place.

    They are what the containers request, and of a resource that no container requests the limit.
    The API server does so after mutating webhooks were called, before validating ones are.

    Args:
        pod: of which the shape is right (see ``admission.podedit.check_shape``).
    """
    resources = pod["spec"].get("resources") or {}
    if limits := resources.get("limits"):
        requested = {name: containers_request(pod, name) for name in NATIVE_RESOURCES}
        summed = {name: canonical(f"{amount}m") for name, amount in requested.items() if amount}
        _default_requests(resources, {**limits, **summed})


def _default_requests(resources: Object, defaults: Mapping[str, Any]) -> None:
    requests = {} if resources.get("requests") is None else resources["requests"]
    if isinstance(requests, dict) and (missing := defaults.keys() - requests):
        resources["requests"] = {**requests, **{n: v for n, v in defaults.items() if n in missing}}


def _default_volume(volume: Object) -> None:
    if not any(volume.get(source) is not None for source in volume.keys() - {"name"}):
        volume["emptyDir"] = {}
    for source, defaults in _VOLUMES.items():
        if isinstance(volume.get(source), dict):
            _fill(volume[source], defaults)
    _default_claim(_map(volume.get("ephemeral")).get("volumeClaimTemplate"))
    _normalize(volume.get("emptyDir"), ("sizeLimit",))
    image = volume.get("image")
    if isinstance(image, dict):
        _fill(image, {"pullPolicy": _pull_policy(image.get("reference"))})
    written = [_map(volume.get("downwardAPI"))]
    for projection in _maps(_map(volume.get("projected")).get("sources")):
        written.append(_map(projection.get("downwardAPI")))
        if isinstance(projection.get("serviceAccountToken"), dict):
            _fill(projection["serviceAccountToken"], {"expirationSeconds": 3600})
    for files in written:
        for item in _maps(files.get("items")):
            _default_field(item)


def _default_claim(claim: object) -> None:
    if isinstance(claim, dict) and isinstance(claim.get("spec"), dict):
        claim.setdefault("metadata", {})
        _fill(claim["spec"], {"volumeMode": "Filesystem"})
        for section in SECTIONS:
            _normalize(_map(claim["spec"].get("resources")).get(section))


def _default_container(container: Object, *, host_network: bool) -> None:
    _fill(container, {**_CONTAINER, "imagePullPolicy": _pull_policy(container.get("image"))})
    container.setdefault("resources", {})
    for port in _maps(container.get("ports")):
        _fill(port, {"protocol": "TCP"})
        if host_network and port.get("containerPort"):
            _fill(port, {"hostPort": port["containerPort"]}, absent=(None, 0))
    for variable in _maps(container.get("env")):
        _default_field(_map(variable.get("valueFrom")))
        if isinstance(key := _map(variable.get("valueFrom")).get("fileKeyRef"), dict):
            _fill(key, {"optional": False})
    lifecycle = _map(container.get("lifecycle"))
    handlers = [_map(lifecycle.get("postStart")), _map(lifecycle.get("preStop"))]
    for probe in (container.get(name) for name in _PROBES):
        if isinstance(probe, dict):
            _fill(probe, _PROBE, absent=(None, 0))
            handlers.append(probe)
            if isinstance(probe.get("grpc"), dict):
                probe["grpc"].setdefault("service", "")
    for handler in handlers:
        if isinstance(handler.get("httpGet"), dict):
            _fill(handler["httpGet"], _HTTP_GET)


def _default_field(holder: Object) -> None:
    if isinstance(holder.get("fieldRef"), dict):
        _fill(holder["fieldRef"], {"apiVersion": "v1"})
    if isinstance(holder.get("resourceFieldRef"), dict):
        _fill(holder["resourceFieldRef"], {"divisor": "0"})
        _normalize(holder["resourceFieldRef"], ("divisor",))


def _pull_policy(image: object) -> str:
    """Return ``Always`` for the tag latest, stated or not; a digest is no tag."""
    _, _, last = str(image or "").rpartition("/")
    name, at, _ = last.partition("@")
    _, colon, tag = name.partition(":")
    latest = tag == "latest" if colon else not at
    return "Always" if latest else "IfNotPresent"


def _normalize(holder: object, fields: Iterable[str] | None = None) -> None:
    """Write quantities as the API server writes them, in thousandths at most; what is none stays."""
    if not isinstance(holder, dict):
        return
    for field in list(holder) if fields is None else [field for field in fields if field in holder]:
        try:
            text = text_of(holder[field])
            holder[field] = canonical(text if parse(text) % _MILLI == 0 else f"{milli(text)}m")
        except QuantityError:
            continue


def _fill(holder: Object, defaults: Mapping[str, Any], *, absent: tuple[object, ...] = (None, "")) -> None:
    """Set the fields whose value is absent to the API server."""
    for field, value in defaults.items():
        if holder.get(field) in absent:
            holder[field] = copy.copy(value)


def _containers(spec: Object) -> Iterator[Object]:
    for kind in CONTAINER_LISTS:
        yield from _maps(spec.get(kind))


def _map(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _maps(value: object) -> Iterator[Object]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
