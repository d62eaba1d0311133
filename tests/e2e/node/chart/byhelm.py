"""The chart on a real node by Helm and the README's commands, as anybody would have it; its pods run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import VALUES
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.release.readme import Plain, plain_cluster

_POLICY: Final = "without-a-network-of-pods"


class ByHelm:
    """The chart, installed with two deviations, which an admission policy makes of each pod of its namespace.

    There is no network of pods and no kube-proxy: a pod has the node's network, and finds the API server by
    its environment.
    """

    def __init__(self, control_plane: ControlPlane, cache: Path, folder: Path) -> None:
        """Install nothing yet; ``folder`` looks like a clone to the commands."""
        self.installation = Installation(control_plane, cache, folder)
        self.kubectl: Kubectl = control_plane.kubectl
        self.commands: Plain = plain_cluster()
        self._url = control_plane.url
        own = {key: value for key, value in VALUES.items() if key != "exampleProfiles"}
        values = _merged(yaml.safe_load(self.commands.values), own)
        (folder / "values.yaml").write_text(yaml.safe_dump(values))

    def install(self) -> None:
        """Install it by the README's command, and wait until each workload is complete."""
        self.kubectl.apply(*_deviations(self._url))
        # A new policy holds from a few seconds on.
        self.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        eventually(self._deviates, seconds=60, what="the admission policy")
        self.installation.shell(self.commands.installing)
        self._complete()

    def upgrade(self, *flags: str) -> None:
        """Upgrade the release, and wait until each workload is complete."""
        chart = ("charts/colocation-webhook", "--values=values.yaml")
        self.installation.helm("upgrade", RELEASE, *chart, *flags)
        self._complete()

    def uninstall(self) -> None:
        """Uninstall it, with its hooks."""
        self.installation.helm("uninstall", RELEASE, "--ignore-not-found")

    def _complete(self) -> None:
        for kind in ("deployment", "daemonset"):
            for each in self.kubectl.items(kind, namespace=NAMESPACE):
                name = f"{kind}/{each['metadata']['name']}"
                self.kubectl.run("-n", NAMESPACE, "rollout", "status", name, "--timeout=100s")

    def _deviates(self) -> bool:
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "any", "namespace": NAMESPACE},
            "spec": {"containers": [{"name": "any", "image": "any", "ports": [{"containerPort": 8083}]}]},
        }
        return "hostNetwork" in self.kubectl.create(pod, dry_run=True)["spec"]


def _deviations(url: str) -> list[Object]:
    place = urlsplit(url)
    server = {"KUBERNETES_SERVICE_HOST": place.hostname, "KUBERNETES_SERVICE_PORT": str(place.port)}
    of = "Object.spec.containers"
    environment = ", ".join(f'{of}.env{{name: "{name}", value: "{value}"}}' for name, value in server.items())
    change = (
        "Object{spec: Object.spec{hostNetwork: true, containers: object.spec.containers.map(each, "
        f"{of}{{name: each.name, env: [{environment}]}})}}}}"
    )
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    version, metadata = "admissionregistration.k8s.io/v1", {"name": _POLICY}
    return [
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicy",
            "metadata": metadata,
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
                    "resourceRules": [rule],
                },
                "mutations": [
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": change}}
                ],
            },
        },
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": _POLICY},
        },
    ]


def _merged(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Helm lays one file over another."""
    found = dict(values)
    for key, value in others.items():
        old = found.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        found[key] = _merged(old, value) if both else value  # type: ignore[arg-type] # both are mappings
    return found
