"""The chart on a real node, from the project's image: its pods run, the API server calls its Service."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tests.e2e.capacity.controller import OURS, QUICK
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.rendering import NEWEST, Helm
from tests.image.build import NAME

NAMESPACE: Final = "somewhere"
"""Where the chart is rendered for."""
MEAN_SECONDS: Final = 60
"""Over how long the agent's reports are; the shortest that there is."""
PROFILE: Final = "ClusterColocationProfile"
_SCHEDULER: Final = "scheduler.yaml"
_WEBHOOK: Final = "https://127.0.0.1:8443"

_REPOSITORY, _, _TAG = NAME.rpartition(":")
VALUES: Final[dict[str, Any]] = {
    "image": {"repository": _REPOSITORY, "tag": _TAG, "pullPolicy": "Never"},
    "replicaCount": 1,
    "exampleProfiles": {"create": True},
    "capacity": {
        "enabled": True,
        "replicaCount": 1,
        "agentConfig": {"cpu-burst-config": {"clusterStrategy": {"policy": "cpuBurstOnly"}}},
        "colocationConfig": {
            "enable": True,
            # The machine runs the control plane and the tests, too: what they use is offered all the same.
            "cpuReclaimThresholdPercent": 300,
            "metricAggregateDurationSeconds": MEAN_SECONDS,
            # No test waits for long; of an agent that starts, the first report comes in time all the same.
            "metricReportIntervalSeconds": 10,
            "extensions": {OURS: {**QUICK[OURS], "staleSeconds": 90}},
        },
    },
    "agent": {"enabled": True, "kubeletDir": "/var/lib/kubelet"},
    "cpusets": {"installTopologyCRD": True},
}


def objects(
    helm: Helm,
    url: str,
    eviction: Mapping[str, Any] | None = None,
    scheduler: Mapping[str, Any] | None = None,
    *,
    network: bool = False,
    **agent: object,
) -> list[Object]:
    """The chart's objects, of its hooks the example profiles only, with deviations.

    There is no DNS and no kube-proxy: the scheduler asks the webhook's port, and ``url`` is where the API
    server is. Without a network of pods each of them has the node's own, and its successor waits for its end.

    Args:
        helm: which renders them.
        url: of the API server.
        eviction: the chart's values of that name.
        scheduler: the chart's values of that name.
        network: whether there is a network of pods.
        agent: further values of the agent.
    """
    parts = {"eviction": eviction or {}, "scheduler": scheduler or {}, "agent": {**VALUES["agent"], **agent}}
    rendered = helm.render({**VALUES, **parts}, NEWEST)
    found = [each for each in rendered if not _hook(each) or each["kind"] == PROFILE]
    place = urlsplit(url)
    server = {"KUBERNETES_SERVICE_HOST": place.hostname, "KUBERNETES_SERVICE_PORT": str(place.port)}
    for each in found:
        if text := each.get("data", {}).get(_SCHEDULER):
            each["data"][_SCHEDULER] = re.sub(r"(?<=urlPrefix: )https://[^/]+", _WEBHOOK, text)
        if each["kind"] in {"DaemonSet", "Deployment"}:
            spec = each["spec"]["template"]["spec"]
            if not network:
                spec["hostNetwork"] = True
                if each["kind"] == "Deployment":
                    each["spec"]["strategy"] = {"type": "Recreate"}  # two pods would want the same port
            for container in spec["containers"]:
                container.setdefault("env", [])
                container["env"] += [{"name": name, "value": value} for name, value in server.items()]
    return found


class Release:
    """The chart's objects on a control plane with a node."""

    def __init__(self, kubectl: Kubectl, helm: Helm, url: str, *, network: bool = False) -> None:
        """Apply nothing yet; ``url``: of the API server; ``network``: whether pods have one."""
        self._kubectl, self._helm, self._url, self._network = kubectl, helm, url, network

    def install(self) -> None:
        """Apply all objects and wait until each workload is complete."""
        self._kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        found = objects(self._helm, self._url, network=self._network)
        definitions = [each for each in found if each["kind"] == "CustomResourceDefinition"]
        self._kubectl.apply(*definitions)
        names = [f"crd/{each['metadata']['name']}" for each in definitions]
        self._kubectl.run("wait", "--for=condition=Established", "--timeout=60s", *names)
        # Profiles are checked by the webhook, as soon as it answers.
        profiles = [each for each in found if each["kind"] == PROFILE]
        self._apply([each for each in found if each not in [*definitions, *profiles]])
        eventually(lambda: self._kubectl.apply(*profiles), what="the profiles")

    def set_eviction(self, eviction: Mapping[str, Any], **agent: object) -> None:
        """Let the controller evict and agents ask, or not; values of the chart."""
        found = objects(self._helm, self._url, eviction, network=self._network, **agent)
        parts = ("-agent", "-controller", "evict")
        self._apply([each for each in found if any(part in each["metadata"]["name"] for part in parts)])

    def set_mode(self, mode: str, stat: str = "", **agent: object) -> None:
        """Let the agent observe or enforce.

        Args:
            mode: of the chart.
            stat: a file of the node that it takes for /proc/stat, "": the machine's.
            agent: further values of the chart's ``agent``.
        """
        found = [
            each
            for each in objects(self._helm, self._url, network=self._network, mode=mode, **agent)
            if "-agent" in each["metadata"]["name"]
        ]
        for each in found:
            if each["kind"] == "DaemonSet" and stat:
                spec = each["spec"]["template"]["spec"]
                spec["volumes"].append({"name": "stat", "hostPath": {"path": stat, "type": "File"}})
                (container,) = spec["containers"]
                container["volumeMounts"].append({"name": "stat", "mountPath": "/proc/stat"})
        self._apply(found)

    @contextlib.contextmanager
    def scheduling(self, scheduler: Mapping[str, Any]) -> Iterator[None]:
        """Have the chart's scheduler, by values of the chart; afterwards all is as without it."""
        without = objects(self._helm, self._url, network=self._network)
        found = objects(self._helm, self._url, network=self._network, scheduler=scheduler)
        try:
            self._apply([each for each in found if each not in without])
            yield
        finally:
            kept = {_identity(each) for each in without}
            gone = [each for each in found if _identity(each) not in kept]
            listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": gone})
            self._kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=listed)
            self._apply([each for each in without if each not in found])

    def _apply(self, found: list[Object]) -> None:
        self._kubectl.apply(*found)
        for each in found:
            if each["kind"] in {"DaemonSet", "Deployment"}:
                name = f"{each['kind']}/{each['metadata']['name']}".lower()
                self._kubectl.run("-n", NAMESPACE, "rollout", "status", name, "--timeout=100s")


def _identity(each: Object) -> tuple[str, str, str]:
    metadata = each["metadata"]
    return each["kind"], metadata.get("namespace", ""), metadata["name"]


def _hook(each: Object) -> bool:
    return "helm.sh/hook" in each["metadata"].get("annotations", {})
