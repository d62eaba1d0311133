"""Pods of a manifest: which reader makes them for which kind.

A kind is known by its API group and its name: Volcano's Job is not Kubernetes'.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from webhook.pods.documents import Document
from webhook.pods.manifests.guesses import guessed_pods
from webhook.pods.manifests.podtemplates import TEMPLATES, Object, PodOf, WorkloadError, template_pods
from webhook.pods.manifests.spark.application import spark_pods
from webhook.pods.manifests.spark.connect import connect_pods
from webhook.protocol import LEDGER_API_VERSION, PROFILE_GROUP

_SPARK_OPERATOR: Final = "sparkoperator.k8s.io"
READERS: Final[Mapping[tuple[str, str], Callable[[Object, str], list[PodOf]]]] = {
    **dict.fromkeys(TEMPLATES, template_pods),
    (_SPARK_OPERATOR, "SparkApplication"): spark_pods,
    (_SPARK_OPERATOR, "ScheduledSparkApplication"): spark_pods,
    (_SPARK_OPERATOR, "SparkConnect"): connect_pods,
}

# Groups whose other kinds create no pods: Kubernetes' own, ours, and those of policies and queues
# that hold templates of pods which others create.
_NO_PODS: Final = frozenset(
    {
        "", "apps", "autoscaling", "batch", "extensions", "policy",
        "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io",
        "authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io", "coordination.k8s.io",
        "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io", "metrics.k8s.io",
        "networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io",
        "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
        PROFILE_GROUP, LEDGER_API_VERSION.partition("/")[0],
        "kyverno.io", "policies.kyverno.io", "mutations.gatekeeper.sh", "constraints.gatekeeper.sh",
        "templates.gatekeeper.sh", "kueue.x-k8s.io",
    }
)  # fmt: skip


class NotShown(StrEnum):
    """Why no pods are shown of an object."""

    NO_PODS = "creates no pods, ignored"
    UNKNOWN = "kind not known: its pods, if it creates any, are not shown"


def pods_of(document: Document) -> list[PodOf] | NotShown:
    """Return the pods that would be created from an object, or why there are none to show.

    Raises:
        WorkloadError: it is no Kubernetes object, or its pod template is missing or broken.
    """
    value, source = document
    stated = [value.get(field) for field in ("apiVersion", "kind")] if isinstance(value, dict) else []
    if not isinstance(value, dict) or not all(isinstance(text, str) and text for text in stated):
        raise WorkloadError(f"{source}: not a Kubernetes object: apiVersion and kind must be texts")
    group, kind = group_of(value["apiVersion"]), value["kind"]
    if reader := READERS.get((group, kind)):
        return reader(value, source)
    if group in _NO_PODS:
        return NotShown.NO_PODS
    return guessed_pods(value, group) or NotShown.UNKNOWN


def group_of(api_version: str) -> str:
    """Return the API group of ``group/version``, "" for ``v1``."""
    return api_version.rpartition("/")[0]
