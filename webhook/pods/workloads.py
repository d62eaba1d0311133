"""Pods of a manifest: which reader makes them for which kind."""

from collections.abc import Callable, Mapping
from typing import Final

from webhook.pods.documents import Document
from webhook.pods.podtemplates import Object, PodOf, WorkloadError, template_pods
from webhook.pods.sparkapplication import spark_pods

# Kinds that are not read here are read as template_pods does.
READERS: Final[Mapping[str, Callable[[Object, str], list[PodOf]]]] = {
    "SparkApplication": spark_pods,
    "ScheduledSparkApplication": spark_pods,
}


def pods_of(document: Document) -> list[PodOf] | None:
    """Return the pods that would be created from an object.

    Returns:
        The pods, None where the kind makes none (a Service, say).

    Raises:
        WorkloadError: it is no Kubernetes object, or its pod template is missing or broken.
    """
    value, source = document
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise WorkloadError(f"{source}: not a Kubernetes object: apiVersion and kind are missing")
    return READERS.get(value["kind"], template_pods)(value, source)
