"""The chart on a real node, from the project's image: its pods run, the API server calls its Service."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from tests.e2e.capacity.controller import QUICK
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.rendering import Helm
from tests.image.build import NAME

NAMESPACE: Final = "somewhere"
"""Where the chart is rendered for."""
MEAN_SECONDS: Final = 60
"""Over how long the agent's reports are; the shortest that there is."""
PROFILE: Final = "ClusterColocationProfile"

_REPOSITORY, _, _TAG = NAME.rpartition(":")
VALUES: Final[dict[str, Any]] = {
    "image": {"repository": _REPOSITORY, "tag": _TAG, "pullPolicy": "Never"},
    "replicaCount": 1,
    "exampleProfiles": {"create": True},
    "capacity": {
        "enabled": True,
        "replicaCount": 1,
        "colocationConfig": {
            "enable": True,
            # The machine runs the control plane and the tests, too: what they use is offered all the same.
            "cpuReclaimThresholdPercent": 300,
            "metricAggregateDurationSeconds": MEAN_SECONDS,
            "metricReportIntervalSeconds": 30,
            "extensions": QUICK,
        },
    },
    "agent": {"enabled": True, "kubeletDir": "/var/lib/kubelet"},
    "cpusets": {"installTopologyCRD": True},
}


def objects(helm: Helm, url: str) -> list[Object]:
    """The chart's objects, of its hooks the example profiles only, with two deviations.

    There is no network of pods and no kube-proxy: each pod has the node's network, and ``url`` is where the
    API server is.
    """
    found = [each for each in helm.render(VALUES, "1.37.0") if not _hook(each) or each["kind"] == PROFILE]
    place = urlsplit(url)
    server = {"KUBERNETES_SERVICE_HOST": place.hostname, "KUBERNETES_SERVICE_PORT": str(place.port)}
    for each in found:
        if each["kind"] in {"DaemonSet", "Deployment"}:
            spec = each["spec"]["template"]["spec"]
            spec["hostNetwork"] = True
            for container in spec["containers"]:
                container.setdefault("env", [])
                container["env"] += [{"name": name, "value": value} for name, value in server.items()]
    return found


def install(kubectl: Kubectl, helm: Helm, url: str) -> None:
    """Apply the chart's objects and wait until each of its workloads is complete."""
    kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    found = objects(helm, url)
    definitions = [each for each in found if each["kind"] == "CustomResourceDefinition"]
    kubectl.apply(*definitions)
    names = [f"crd/{each['metadata']['name']}" for each in definitions]
    kubectl.run("wait", "--for=condition=Established", "--timeout=60s", *names)
    # Profiles are checked by the webhook, as soon as it answers.
    profiles = [each for each in found if each["kind"] == PROFILE]
    kubectl.apply(*(each for each in found if each not in [*definitions, *profiles]))
    for each in found:
        if each["kind"] in {"DaemonSet", "Deployment"}:
            name = f"{each['kind']}/{each['metadata']['name']}".lower()
            kubectl.run("-n", NAMESPACE, "rollout", "status", name, "--timeout=100s")
    eventually(lambda: kubectl.apply(*profiles), what="the profiles")


def _hook(each: Object) -> bool:
    return "helm.sh/hook" in each["metadata"].get("annotations", {})
