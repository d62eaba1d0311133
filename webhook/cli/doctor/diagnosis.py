"""Shared parts of the doctor's checks: results with remedies, and cached reads of the cluster."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.kube.client import ApiError, Client
from webhook.kube.paths import collection, member
from webhook.protocol import PROFILE_API_VERSION, PROFILE_RESOURCE

Object = Mapping[str, Any]

OUR_WEBHOOKS: Final = ".colocation-webhook.io"
"""The suffix of the names of this project's webhooks."""

PROFILES: Final = collection(PROFILE_API_VERSION, PROFILE_RESOURCE)
_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_PAGE: Final = 500


class Verdict(StrEnum):
    """The verdict of a check on one thing."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """What a check has found.

    Attributes:
        remedy: what to do about it; "" if nothing has to be done.
    """

    verdict: Verdict
    message: str
    remedy: str = ""


ok: Final = partial(Finding, Verdict.OK)
warn: Final = partial(Finding, Verdict.WARNING)
fail: Final = partial(Finding, Verdict.ERROR)


@dataclass(slots=True)
class Cluster:
    """The cluster under examination; each collection is read once.

    Attributes:
        release: run_check only webhook configurations of this Helm release; "": all.
        namespace: of the release; "": the one that the webhook configurations name.
        in_cluster: whether addresses of services and pods can be reached from here.
        now: seconds since the epoch.
    """

    api: Client
    release: str = ""
    namespace: str = ""
    in_cluster: bool = False
    now: Callable[[], float] = time.time
    _lists: dict[tuple[str, str], list[Object]] = field(default_factory=dict)

    def items(self, path: str, **selectors: str) -> list[Object]:
        """Return all objects of a collection; raises ApiError."""
        key = (path, repr(selectors))
        if key not in self._lists:
            found: list[Object] = []
            token: str | None = ""
            while token is not None:
                page = self.api.call(
                    "GET", path, query={"limit": _PAGE, "continue": token or None, **selectors}
                )
                found += page.get("items") or ()
                token = (page.get("metadata") or {}).get("continue") or None
            self._lists[key] = found
        return self._lists[key]

    def configurations(self, kind: str) -> list[Object]:
        """Return all webhook configurations: ``kind`` is mutating or validating; raises ApiError."""
        return self.items(collection(_ADMISSION, f"{kind}webhookconfigurations"))

    def ours(self, kind: str) -> list[tuple[Object, list[Object]]]:
        """Return the configurations with webhooks of ours, and those webhooks; raises ApiError."""
        found = []
        for configuration in self.configurations(kind):
            labels = configuration["metadata"].get("labels") or {}
            if self.release and labels.get("app.kubernetes.io/instance") != self.release:
                continue
            hooks = configuration.get("webhooks") or ()
            own = [hook for hook in hooks if str(hook.get("name")).endswith(OUR_WEBHOOKS)]
            if own:
                found.append((configuration, own))
        return found

    def hooks(self) -> Iterator[Object]:
        """Yield the webhooks of ours in all configurations; raises ApiError."""
        for kind in ("mutating", "validating"):
            for _, own in self.ours(kind):
                yield from own

    def service(self) -> tuple[str, str] | None:
        """Return namespace and name of the service behind our webhooks, None with URLs; raises ApiError."""
        for hook in self.hooks():
            service = hook["clientConfig"].get("service")
            if service and self.namespace in {"", service["namespace"]}:
                return str(service["namespace"]), str(service["name"])
        return None

    def pods(self) -> list[Object]:
        """Return the pods behind that service; raises ApiError."""
        where = self.service()
        if where is None:
            return []
        namespace, name = where
        service = self.api.get(member(collection("v1", "services", namespace), name))
        selector = (service.get("spec") or {}).get("selector") or {}
        text = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        return self.items(collection("v1", "pods", namespace), labelSelector=text) if text else []


def run_check(cluster: Cluster, check: Callable[[Cluster], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check; a failed read ends that check only."""
    try:
        yield from check(cluster)
    except ApiError as error:
        remedy = "grant the permission that the message names" if error.status == HTTPStatus.FORBIDDEN else ""
        if error.status == 0:
            remedy = "make sure that the API server can be reached from here"
        yield warn(f"cannot be checked: {error}", remedy)
