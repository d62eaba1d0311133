"""Checks of a kube-scheduler that asks the webhook as its extender: which CA it trusts."""

import base64
import binascii
import posixpath
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from webhook.certificates.verifying import CertificateError, split
from webhook.cli.doctor.diagnosis import Cluster, Finding, Object, fail, ok
from webhook.kube.paths import collection
from webhook.pods.documents import DocumentError, read_documents
from webhook.pods.pod import mapping, mappings

_KIND: Final = "KubeSchedulerConfiguration"
_VERBS: Final = "/scheduler"
_OF_MANAGED: Final = "managed certificates: a replica does it, and its log says why it cannot; else"
_REMEDY: Final = (
    "upgrade the chart with scheduler.enabled=true, which gives it the CA, or set enableHTTPS and "
    "tlsConfig.caFile in the configuration; see docs/scheduling.md"
)
_NAMESPACE_OF_LEASES: Final = "kube-system"


class Asker(NamedTuple):
    """A scheduler that asks the webhook.

    Attributes:
        configmap: with its configuration.
        elects: whether it holds a Lease at all.
        lease: that the configuration names, by namespace and name; None: it names none.
    """

    configmap: str
    elects: bool
    lease: tuple[str, str] | None


def trust(cluster: Cluster) -> Iterator[Finding]:
    """Yield whether schedulers in the webhook's namespace verify whom they ask, with the CA that is in use.

    A kube-scheduler without a CA trusts anybody, and does not say so.
    """
    namespace, maps = _home(cluster)
    nobody = True
    for name, _, extenders in _asking(maps):
        for extender in extenders:
            nobody = False
            yield _examined(cluster, namespace, name, extender, maps)
    if nobody:
        yield ok("no kube-scheduler in its namespace asks the webhook")


def askers(cluster: Cluster) -> dict[str, Asker]:
    """Return the schedulers that ask the webhook, by name; raises ApiError."""
    _, maps = _home(cluster)
    found: dict[str, Asker] = {}
    for configmap, configuration, _ in _asking(maps):
        election = mapping(configuration.get("leaderElection"))
        where = str(election.get("resourceNamespace") or _NAMESPACE_OF_LEASES)
        lease = (where, str(election["resourceName"])) if election.get("resourceName") else None
        asker = Asker(configmap, election.get("leaderElect") is not False, lease)
        for profile in mappings(configuration.get("profiles")):
            if name := profile.get("schedulerName"):
                found[str(name)] = asker
    return found


def _home(cluster: Cluster) -> tuple[str, Mapping[str, Object]]:
    """Return the webhook's namespace, "" where it has none, and the ConfigMaps there."""
    where = cluster.service()
    namespace = cluster.namespace or (where[0] if where else "")
    listed = cluster.items(collection("v1", "configmaps", namespace)) if namespace else ()
    return namespace, {each["metadata"]["name"]: each for each in listed}


def _asking(maps: Mapping[str, Object]) -> Iterator[tuple[str, Object, list[Object]]]:
    """Yield each configuration with the webhook as its extender: the ConfigMap's name, it, the extenders."""
    for name, configmap in sorted(maps.items()):
        for configuration in _configurations(configmap):
            if extenders := list(_ours(configuration)):
                yield name, configuration, extenders


def _configurations(configmap: Object) -> Iterator[Object]:
    for key, text in (configmap.get("data") or {}).items():
        if _KIND not in text:
            continue
        try:
            read = [each.value for each in read_documents(text.encode(), key)]
        except DocumentError:
            continue  # no scheduler starts with it
        yield from (each for each in read if isinstance(each, dict) and each.get("kind") == _KIND)


def _ours(configuration: Object) -> Iterator[Object]:
    for extender in mappings(configuration.get("extenders")):
        if str(extender.get("urlPrefix")).rstrip("/").endswith(_VERBS):
            yield extender


def _examined(
    cluster: Cluster, namespace: str, name: str, extender: Object, maps: Mapping[str, Object]
) -> Finding:
    tls = mapping(extender.get("tlsConfig"))
    if not extender.get("enableHTTPS") or str(extender["urlPrefix"]).startswith("http:"):
        return fail(f"ConfigMap {name}: the extender is asked without TLS: anybody may answer", _REMEDY)
    if tls.get("insecure") or not (tls.get("caFile") or tls.get("caData")):
        return fail(f"ConfigMap {name}: the extender has no CA: the scheduler trusts anybody", _REMEDY)
    authority = _mounted(cluster, namespace, name, str(tls.get("caFile") or ""))
    if authority is None:
        return ok(f"ConfigMap {name}: the extender is verified by a CA, which cannot be seen from here")
    if authority not in maps:
        message = f"ConfigMap {authority} with the CA does not exist: no scheduler starts"
        return fail(message, f"{_OF_MANAGED} make it")
    key = posixpath.basename(str(tls["caFile"]))
    held = _certificates((maps[authority].get("data") or {}).get(key, "").encode())
    if lacking := _trusted(cluster) - held:
        message = f"ConfigMap {authority}: {key} lacks {len(lacking)} of the CAs that caBundle has"
        return fail(message, f"{_OF_MANAGED} add them, and restart the scheduler (kubectl rollout restart)")
    return ok(f"ConfigMap {name}: the extender is verified by the CA in ConfigMap {authority}")


def _mounted(cluster: Cluster, namespace: str, configuration: str, file: str) -> str | None:
    """Return the ConfigMap from which a file comes, in the Deployment that mounts the configuration."""
    for deployment in cluster.items(collection("apps/v1", "deployments", namespace)):
        pod = deployment["spec"]["template"]["spec"]
        sources = {
            each["name"]: (each.get("configMap") or {}).get("name") for each in pod.get("volumes") or ()
        }
        if configuration not in sources.values():
            continue
        for container in pod.get("containers") or ():
            for mount in container.get("volumeMounts") or ():
                if posixpath.dirname(file) == mount["mountPath"].rstrip("/"):
                    return sources.get(mount["name"])
    return None


def _trusted(cluster: Cluster) -> set[bytes]:
    """Return the certificates that the API server trusts of us."""
    found: set[bytes] = set()
    for hook in cluster.hooks():
        try:
            bundle = base64.b64decode(hook["clientConfig"].get("caBundle") or "", validate=True)
        except binascii.Error:
            continue  # another check says so
        found |= _certificates(bundle)
    return found


def _certificates(pem: bytes) -> set[bytes]:
    try:
        return set(split(pem))
    except CertificateError:
        return set()
