"""Shared parts of the doctor's checks: results with remedies, and cached reads of the cluster."""

import contextlib
import http.client
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson

from webhook.kube import paths
from webhook.kube.client import ApiError, Client
from webhook.kube.paths import collection, member
from webhook.protocol import PROFILE_API_VERSION, PROFILE_RESOURCE

Object = Mapping[str, Any]

OUR_WEBHOOKS: Final = ".colocation-webhook.io"
"""The suffix of the names of this project's webhooks."""

PROFILES: Final = collection(PROFILE_API_VERSION, PROFILE_RESOURCE)
_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_PAGE: Final = 500
_READYZ_SECONDS: Final = 5.0
_NOBODY_IS_HEARD: Final = (0, HTTPStatus.UNAUTHORIZED)
_REFUSED: Final = re.compile(r'cannot (\w+) (?:resource|path) "([^"]*)"')
_RIGHTS: Final = (
    "use an account that may do this, or ask somebody who has one: 'helm test' runs the doctor with the "
    "rights that it needs"
)


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
        release: examine only webhook configurations of this Helm release; "": all.
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


def readyz(cluster: Cluster, pod: Object, port: int) -> dict[str, Any]:
    """Return what a pod says of itself on its admin port.

    Raises:
        ApiError, OSError, HTTPException, ValueError: it cannot be reached, or says something else.
    """
    metadata = pod["metadata"]
    if not cluster.in_cluster:
        pod_path = paths.pod(metadata["namespace"], metadata["name"])
        return cluster.api.get(f"{pod_path}:{port}/proxy/readyz", timeout=_READYZ_SECONDS)
    connection = http.client.HTTPConnection(pod["status"]["podIP"], port, timeout=_READYZ_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        found = orjson.loads(connection.getresponse().read())
    if not isinstance(found, dict):
        raise ValueError("the answer is not a JSON object")  # noqa: TRY004 — data is wrong, not a type here
    return found


Check = Callable[[Cluster], Iterator[Finding]]


def examine(cluster: Cluster, checks: Mapping[str, Check], few_rights: Check) -> list[tuple[str, Finding]]:
    """Return subject and finding of all checks.

    A read that fails ends its check only, and what that found before is kept; what could not be seen is an
    error, one for each cause.
    An API server that does not answer the first call is not called again.

    Args:
        cluster: the one under examination.
        checks: by their subjects.
        few_rights: takes the place of checks that lack rights.
    """
    found: list[tuple[str, Finding]] = []
    unseen: dict[str, list[tuple[str, ApiError]]] = {}
    for subject, check in checks.items():
        try:
            for finding in check(cluster):
                found.append((subject, finding))  # noqa: PERF401 — those before a refusal are kept
        except ApiError as error:
            cause = "rights" if error.status == HTTPStatus.FORBIDDEN else str(error)
            unseen.setdefault(cause, []).append((subject, error))
            if error.status in _NOBODY_IS_HEARD and not found:
                return [("API server", fail(f"nothing can be checked: {error}", _remedy(error)))]
    for cause, failed in unseen.items():
        subjects = ", ".join(dict.fromkeys(subject for subject, _ in failed))
        if cause == "rights":
            lacking = ", ".join(dict.fromkeys(_right(error) for _, error in failed))
            found.append(("rights", fail(f"not checked: {subjects}: may not {lacking}", _RIGHTS)))
            with contextlib.suppress(ApiError):
                found += [(f"namespace {cluster.api.access.namespace}", f) for f in few_rights(cluster)]
        else:
            found.append(("API server", fail(f"not checked: {subjects}: {cause}", _remedy(failed[0][1]))))
    return found


def _right(error: ApiError) -> str:
    """Return what a refusal says is not allowed: ``list nodes``."""
    said = _REFUSED.search(str(error))
    return f"{said[1]} {said[2]}" if said else str(error)


def _remedy(error: ApiError) -> str:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return "log in again: the API server does not accept the kubeconfig's credentials"
    return "make sure that the API server can be reached from here" if error.status == 0 else ""
