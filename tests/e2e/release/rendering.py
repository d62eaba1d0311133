"""The chart rendered by Helm, for sets of values and versions of Kubernetes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster.binaries import ROOT, find
from tests.e2e.cluster.kubectl import Object

CHART = ROOT / "charts" / "colocation-webhook"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
NEWEST = "1.37.2"
"""The newest version of Kubernetes that the chart is rendered for."""

DEFAULT: dict[str, Any] = {}
OWN_SECRET: dict[str, Any] = {"certificates": {"source": "secret", "caBundle": AUTHORITY}}

ALL_OPTIONS: dict[str, Any] = {
    "image": {"digest": "sha256:" + 64 * "0"},
    "imagePullSecrets": [{"name": "pull"}],
    "mode": "audit",
    "rules": {"whole-cpus": "warn"},
    "podLevelResources": "keep",
    "webhook": {
        "excludedNamespaces": ["monitoring"],
        "namespaceSelector": [{"key": "team", "operator": "Exists"}],
        "objectSelector": {"matchLabels": {"colocate": "yes"}},
        "clientCA": AUTHORITY,
        "annotations": {"admissions.enforcer/disabled": "true"},
    },
    "certificates": {"source": "certManager", "certManager": {"issuerRef": {"name": "ca", "kind": "Issuer"}}},
    "exampleProfiles": {"create": True, "schedulerName": "koord-scheduler"},
    "replicaCount": 3,
    "workers": 2,
    "extraArgs": ["--explain"],
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["x"]}]}
                ]
            }
        }
    },
    "podAnnotations": {"example.com/a": "b"},
    "podLabels": {"example.com/c": "d", "example.com/shared": "pod"},
    "commonLabels": {"example.com/team": "platform", "example.com/shared": "common"},
    "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    "hostNetwork": True,
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}},
    ],
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
    "volumes": [{"name": "extra", "secret": {"secretName": "extra"}}],
    "volumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    "service": {"annotations": {"example.com/e": "f"}},
    "serviceAccount": {"annotations": {"example.com/g": "h"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
    },
}

OUT_OF_CLUSTER: dict[str, Any] = {**DEFAULT, "webhook": {"url": "https://localhost:8443"}}
CPUSETS: dict[str, Any] = {
    **DEFAULT,
    "cpusets": {"enabled": True, "failurePolicy": "Fail", "installTopologyCRD": True},
}
CAPACITY: dict[str, Any] = {
    **DEFAULT,
    "capacity": {"enabled": True, "configMap": "kube-system/slo-controller-config", "replicaCount": 1},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
}
SCHEDULER: dict[str, Any] = {
    **OWN_SECRET,
    "scheduler": {"enabled": True, "loadAware": {"usageThresholds": {"cpu": 65, "memory": 95}}},
}
AGENT: dict[str, Any] = {**DEFAULT, "agent": {"enabled": True}}
AGENT_OPTIONS: dict[str, Any] = {
    **DEFAULT,
    "imagePullSecrets": [{"name": "pull"}],
    "cpusets": {"installTopologyCRD": True},
    "agent": {
        "enabled": True,
        "kubeletDir": "/var/lib/kubelet",
        "stateDir": "/data/agent",
        "yarnCgroup": "hadoop-yarn",
        "nodeSLO": {"resourceUsedThresholdWithBE": {"enable": True}},
        "suppression": {"enabled": True, "leastCPUs": 1, "pressurePercent": 20},
        "platformMetrics": {"enabled": True},
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "priorityClassName": "",
        "nodeSelector": {"disk": "fast"},
        "podAnnotations": {"example.com/a": "b"},
    },
}
NO_OPTIONS: dict[str, Any] = {
    **DEFAULT,
    "replicaCount": 1,
    "writeStatus": False,
    "crds": {"install": False},
    "priorityClasses": {"create": False},
    "serviceAccount": {"create": False, "name": "somebody"},
    "rbac": {"create": False},
}
SETS = {
    "default": DEFAULT,
    "all options": ALL_OPTIONS,
    "out of cluster": OUT_OF_CLUSTER,
    "no options": NO_OPTIONS,
    "own secret": OWN_SECRET,
    "cpusets": CPUSETS,
    "capacity": CAPACITY,
    "scheduler": SCHEDULER,
    "agent": AGENT,
    "agent with all options": AGENT_OPTIONS,
}


class Helm:
    """Renders; talks to no cluster."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self._binary = find("helm", cache)
        self._folder = folder

    def lint(self, values: dict[str, Any]) -> None:
        """Raise if ``helm lint --strict`` finds anything."""
        self._run("lint", "--strict", str(CHART), "--values", self._file(values))

    def render(self, values: dict[str, Any], version: str) -> list[Object]:
        """All objects, hooks and tests among them, for a version of Kubernetes."""
        text = self._run(
            "template", "release", str(CHART), "-n", "somewhere", "--kube-version", version,
            "--values", self._file(values),
        )  # fmt: skip
        return [document for document in yaml.safe_load_all(text) if document]

    def _file(self, values: dict[str, Any]) -> str:
        path = self._folder / "values.json"
        path.write_text(json.dumps(values))
        return str(path)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 — the tests' own command lines
            [self._binary, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise AssertionError(f"helm {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """Those of a kind."""
    return [each for each in objects if each["kind"] == kind]
