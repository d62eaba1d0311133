"""The CA for clients that read it of a file: a ConfigMap, and a Deployment that reads it once, at its start.

A kube-scheduler reads the CA of its extender once. So while a CA is replaced the ConfigMap holds the old one
and the new one as every ``caBundle`` does (Practice §13), and the Deployment is rolled out in between: an
annotation of its pod template names the newest CA. Every replica may write that; each write is conditional
on the version that was read, so that each change of the CA is one rollout, whoever comes first.

The ConfigMap is applied under our field manager, never by force, and goes with its Deployment.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from webhook.certificates.rotation import Material
from webhook.kube.apply import apply
from webhook.kube.client import MERGE_PATCH, ApiError, Client
from webhook.kube.paths import collection, member
from webhook.protocol import ANNOTATION_TRUSTED_CA, CERTIFICATE_MANAGER

KEY: Final = "ca.crt"
"""Of the ConfigMap: the certificates, PEM."""

Object = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What stands in the cluster; None: nothing.

    Attributes:
        error: why it could not be read.
    """

    configmap: Object | None = None
    deployment: Object | None = None
    error: ApiError | None = None

    @property
    def version(self) -> str | None:
        """Of the ConfigMap: changes with it."""
        return None if self.configmap is None else str(self.configmap["metadata"]["resourceVersion"])


def newest(material: Material) -> str:
    """Name the newest CA that is trusted: a value of an annotation."""
    authority = material.successor or material.authority
    return hashlib.sha256(authority.certificate).hexdigest()[:16]


def rolled_out(deployment: Object) -> bool:
    """Whether all pods of a Deployment are of its present template, and no other is left."""
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    wanted: int = spec.get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
    )


class TrustBundle:
    """Brings a ConfigMap to hold what should be trusted, and has its reader read it."""

    def __init__(self, api: Client, configmap: tuple[str, str], deployment: str | None) -> None:
        """Name namespace and name of the ConfigMap, and a Deployment of its namespace that mounts it."""
        self._api = api
        namespace, name = configmap
        self._name = name
        self._configmap = member(collection("v1", "configmaps", namespace), name)
        self._deployment = deployment and member(collection("apps/v1", "deployments", namespace), deployment)

    def read(self) -> Found:
        """Read both; an error is kept for `bring`, so that certificates are served in spite of it."""
        try:
            deployment = self._api.find(self._deployment) if self._deployment else None
            return Found(self._api.find(self._configmap), deployment)
        except ApiError as error:
            return Found(error=error)

    def trusts(self, found: Found, material: Material) -> bool:
        """Whether whoever reads the ConfigMap trusts what should be trusted, and no old reader is left."""
        if found.error is not None or not _holds(found, material):
            return False
        deployment = found.deployment
        return deployment is None or (_annotated(deployment, material) and rolled_out(deployment))

    def bring(self, found: Found, material: Material) -> str:
        """Make the one change that is due; return the kind of what was written, "" for nothing.

        Raises:
            ApiError: it was refused; another writer came first; or ``found`` could not be read.
        """
        if found.error is not None:
            raise found.error
        if not _holds(found, material):
            metadata: dict[str, Any] = {"name": self._name, "ownerReferences": _owners(found)}
            if found.version is not None:
                metadata["resourceVersion"] = found.version
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": _data(material)}
            apply(self._api, self._configmap, body, CERTIFICATE_MANAGER)
            return "configmap"
        if self._deployment and found.deployment is not None and not _annotated(found.deployment, material):
            template = {"metadata": {"annotations": {ANNOTATION_TRUSTED_CA: newest(material)}}}
            version = found.deployment["metadata"]["resourceVersion"]
            self._api.call(
                "PATCH",
                self._deployment,
                body={"metadata": {"resourceVersion": version}, "spec": {"template": template}},
                content_type=MERGE_PATCH,
                query={"fieldManager": CERTIFICATE_MANAGER},
            )
            return "deployment"
        return ""


def _data(material: Material) -> dict[str, str]:
    return {KEY: material.bundle.decode("ascii")}


def _holds(found: Found, material: Material) -> bool:
    if found.configmap is None:
        return False
    owners = {str(each.get("uid")) for each in found.configmap["metadata"].get("ownerReferences") or ()}
    held = (found.configmap.get("data") or {}).get(KEY)
    return held == _data(material)[KEY] and all(each["uid"] in owners for each in _owners(found))


def _owners(found: Found) -> list[dict[str, str]]:
    """Whose end is the ConfigMap's, too: a Deployment that was made again has another uid."""
    if found.deployment is None:
        return []
    metadata = found.deployment["metadata"]
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": str(metadata["uid"])}
    ]


def _annotated(deployment: Object, material: Material) -> bool:
    template = deployment["spec"]["template"].get("metadata") or {}
    return (template.get("annotations") or {}).get(ANNOTATION_TRUSTED_CA) == newest(material)
