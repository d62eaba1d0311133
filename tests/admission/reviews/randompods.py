"""Random pods and profiles whose patches meet them, for a real API server to judge.

Patches are drawn from the schema of a pod: any field that an API server without other
objects can judge, values mostly valid and from small worlds, so that a patch meets what
the pod has. The same seed gives the same pods.
"""

from random import Random
from typing import Any, Final

from webhook.admission.profiles.podschema import Field, object_types

Json = dict[str, Any]

VOLUMES: Final = {
    "data": {"emptyDir": {}},
    "config": {"configMap": {"name": "c"}},
    "secret": {"secret": {"secretName": "s"}},
    "host": {"hostPath": {"path": "/x", "type": "Directory"}},
    "figures": {
        "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]},
    },
    "both": {"projected": {"sources": [{"configMap": {"name": "c"}}]}},
}
PRIORITY_CLASSES: Final = {"results-prod": 9500, "results-mid": 7500, "results-batch": 5500}
CONTAINERS: Final = ("main", "agent", "proxy", "init")
# What only other objects of a cluster decide on, what a version of Kubernetes may not know
# yet, and volumes of storage that is no part of it any more.
LEFT_OUT: Final = {
    "Pod": {"apiVersion", "kind"},
    "ObjectMeta": {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generateName", "generation",
        "managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid", "ownerReferences",
    },
    "PodSpec": {
        "ephemeralContainers", "evictionResponders", "hostUsers", "hostnameOverride", "nodeName", "os",
        "overhead", "priority", "priorityClassName", "preemptionPolicy", "resourceClaims", "runtimeClassName",
        "schedulingGroup", "serviceAccount", "serviceAccountName", "resources",
        "automountServiceAccountToken",
    },
    "Container": {"restartPolicyRules", "resizePolicy", "volumeDevices", "restartPolicy"},
    "ResourceRequirements": {"claims"},
    "Lifecycle": {"stopSignal"},
    "Volume": set(object_types()["Volume"]) - {"name", *(name for v in VOLUMES.values() for name in v)},
    "VolumeProjection": {"clusterTrustBundle", "podCertificate"},
    "EnvVarSource": {"fileKeyRef"},
    "SecurityContext": {"windowsOptions", "procMount", "seLinuxOptions"},
    "PodSecurityContext": {"windowsOptions", "seLinuxChangePolicy", "seLinuxOptions"},
    "VolumeMount": {"bindMountOptions", "recursiveReadOnly"},
    "ConfigMapVolumeSource": {"defaultUser"},
    "SecretVolumeSource": {"defaultUser"},
    "DownwardAPIVolumeSource": {"defaultUser"},
    "ProjectedVolumeSource": {"defaultUser"},
    "KeyToPath": {"user"},
    "DownwardAPIVolumeFile": {"user"},
    "ServiceAccountTokenProjection": {"user"},
}  # fmt: skip
# Values by field, where any text or number will not do: most are valid, the last one or two are not.
VALUES: Final[dict[str, list[Any]]] = {
    "DNS label": ["data", "config", "x1", "A"],
    "DNS subdomain": ["a.b", "a", "A"],
    "IP address": ["10.0.0.1", "::1", "1.2.3"],
    "environment variable name": ["A", "B", "c.d", "a=b"],
    "image": ["busybox", "busybox:2", " busybox"],
    "path below": ["a/b", "p", "../x"],
    "port": [80, 8080, "http", 70000],
    "port name": ["http", "web", "HTTP"],
    "qualified name": ["example.com/a", "zone", "-a"],
    "Volume.name": list(VOLUMES),
    "VolumeMount.name": ["data", "config", "data", "none"],
    "VolumeMount.mountPath": ["/data", "/cache", "/etc/x"],
    "ContainerPort.containerPort": [80, 8080, 0],
    "ContainerPort.hostPort": [80, 8080, 0],
    "ContainerPort.hostIP": ["10.0.0.1"],
    "ContainerPort.name": ["http", "web", "HTTP"],
    "EnvVar.name": ["A", "B", "C", "a=b"],
    "ObjectFieldSelector.fieldPath": ["metadata.name", "metadata.namespace", "metadata.uid", "status.x"],
    "ObjectFieldSelector.apiVersion": ["v1"],
    "ResourceFieldSelector.resource": ["limits.cpu", "requests.memory", "limits.disk"],
    "ResourceFieldSelector.containerName": ["main"],
    "ResourceFieldSelector.divisor": ["1"],
    "SecretVolumeSource.secretName": ["s"],
    "HostPathVolumeSource.path": ["/x", "/x/../y"],
    "EmptyDirVolumeSource.medium": ["", "Memory"],
    "EmptyDirVolumeSource.sizeLimit": ["1Gi"],
    "HTTPGetAction.path": ["/"],
    "HTTPHeader.name": ["X-A"],
    "Sysctl.name": ["kernel.shm_rmid_forced"],
    "Sysctl.value": ["1"],
    "PodSpec.terminationGracePeriodSeconds": [30, 0],
    "PodSpec.schedulerName": ["koord-scheduler"],
    "Container.terminationMessagePath": ["/dev/log"],
    "Probe.terminationGracePeriodSeconds": [10, 0],
    "SecurityContext.privileged": [False],
    "SleepAction.seconds": [1],
    "Toleration.operator": ["Equal", "Exists", "junk"],
    "Toleration.value": ["x"],
    "Toleration.tolerationSeconds": [5],
    "PodDNSConfig.nameservers": ["10.0.0.10"],
    "PodDNSConfig.searches": ["a.b"],
    "HostAlias.hostnames": ["a.b"],
    "Capabilities.add": ["NET_ADMIN", "SYS_ADMIN"],
    "Capabilities.drop": ["ALL"],
    "ObjectMeta.finalizers": ["example.com/a"],
    "NodeSelectorRequirement.key": ["zone", "example.com/a"],
    "TopologySpreadConstraint.topologyKey": ["zone", "host"],
    "PodAffinityTerm.topologyKey": ["zone", "host"],
    "PodAffinityTerm.namespaces": ["default"],
    "PodAffinityTerm.matchLabelKeys": ["app"],
    "PodAffinityTerm.mismatchLabelKeys": ["tier"],
    "ServiceAccountTokenProjection.expirationSeconds": [3600],
}  # fmt: skip
QUANTITIES: Final = {
    "cpu": ["1", "500m", "2", "1500m"],
    "memory": ["1Gi", "512Mi", "2Gi"],
    "hugepages-2Mi": ["4Mi", "8Mi"],
    "ephemeral-storage": ["1Gi", "2Gi"],
    "example.com/fpga": ["1", "2"],
    "kubernetes.io/batch-cpu": ["500", "1000"],
}


class RandomPods:
    """Pods and profiles of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._names = list(CONTAINERS)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def pod(self, name: str) -> Json:
        """Return a pod that an API server should take."""
        volumes = self._random.sample(sorted(VOLUMES), self._random.randrange(4))
        spec: Json = {
            "containers": [self._container(each, volumes) for each in self._some([*CONTAINERS[:3]])],
            "volumes": [{"name": each} | VOLUMES[each] for each in volumes],
        }
        if self._chance(0.3):
            init = self._container("init", volumes)
            if self._chance(0.5):
                init["restartPolicy"] = "Always"
            spec["initContainers"] = [init]
        if self._chance(0.2):
            spec["resources"] = {
                section: {"cpu": "64", "memory": "64Gi"} for section in ("requests", "limits")
            }
        self._names = [each["name"] for each in spec["containers"]]
        for field, value in (
            ("nodeSelector", {"zone": "a"}),
            ("hostNetwork", True),
            ("shareProcessNamespace", True),
            ("restartPolicy", "Never"),
            ("tolerations", [{"key": "a", "operator": "Exists"}]),
            ("topologySpreadConstraints", [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                 "labelSelector": {"matchLabels": {"app": "web"}}}]),
            ("securityContext", {"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}),
        ):  # fmt: skip
            if self._chance(0.15):
                spec[field] = value
        metadata: Json = {"name": name, "labels": {"app": "web"}, "annotations": {"note": "x"}}
        if self._chance(0.02):
            metadata["annotations"]["large"] = "x" * self._random.choice([262_000, 261_000])
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def profiles(self) -> list[Json]:
        """Return one to three profiles that match every pod."""
        return [self._profile(f"profile-{i}") for i in range(self._random.choice([1, 1, 2, 3]))]

    def _profile(self, name: str) -> Json:
        spec: Json = {}
        if self._chance(0.5):
            spec["priorityClassName"] = self._random.choice(sorted(PRIORITY_CLASSES))
        if self._chance(0.3):
            spec["qosClass"] = self._random.choice(["BE", "LS", "LSR"])
        if self._chance(0.2):
            spec["koordinatorPriority"] = self._likely([5, 0, 100, -1])
        if self._chance(0.2):
            spec["labels"] = {"team": "a", "zone": "b"}
        if self._chance(0.7):
            spec["patch"] = self._patch()
        return {
            "apiVersion": "config.koordinator.sh/v1alpha1",
            "kind": "ClusterColocationProfile",
            "metadata": {"name": name},
            "spec": spec,
        }

    def _patch(self) -> Json:
        if self._chance(0.1):
            return {"metadata": self._object("ObjectMeta", 2)}
        spec: Json = {}
        if self._chance(0.6):
            kind = "initContainers" if self._chance(0.1) else "containers"
            spec[kind] = [self._container_patch() for _ in range(self._random.choice([1, 1, 2]))]
        if not spec or self._chance(0.5):
            spec |= self._object(
                "PodSpec", self._random.choice([1, 2]), without={"containers", "initContainers"}
            )
        if self._chance(0.05):
            spec["resources"] = self._resources(["cpu", "memory"])
        return {"spec": spec}

    def _container_patch(self) -> Json:
        name = self._random.choice(self._names if self._chance(0.8) else CONTAINERS)
        fields = self._object(
            "Container", self._random.choice([1, 1, 2, 3]), without={"name", "image"}, complete=False
        )
        if name not in self._names or self._chance(0.2):
            fields["image"] = self._likely(VALUES["image"])
        return {"name": name} | fields

    def _container(self, name: str, volumes: list[str]) -> Json:
        made: Json = {"name": name, "image": "busybox"}
        if volumes and self._chance(0.6):
            made["volumeMounts"] = [{"name": self._random.choice(volumes), "mountPath": "/data"}]
        if self._chance(0.8):
            names = [name for name in QUANTITIES if name != "hugepages-2Mi" or self._chance(0.15)]
            made["resources"] = self._resources(names)
        if self._chance(0.4):
            made["env"] = [
                {"name": "A", "value": "x"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ]
        if self._chance(0.3):
            made["ports"] = [{"name": "http", "containerPort": 80 + CONTAINERS.index(name)}]
        if name != "init" and self._chance(0.3):
            made["livenessProbe"] = {"httpGet": {"path": "/", "port": 80}}
        if self._chance(0.2):
            made["securityContext"] = {"allowPrivilegeEscalation": False}
        return made

    def _resources(self, names: list[str]) -> Json:
        made: Json = {"requests": {}, "limits": {}}
        for name in self._some(names):
            quantity = self._random.choice(QUANTITIES[name])
            made["limits"][name] = quantity
            if self._chance(0.7):
                made["requests"][name] = quantity
            if not name.startswith(("hugepages", "example")) and self._chance(0.2):
                del made["limits"][name]
        if any(name.startswith("hugepages") for name in made["limits"]):
            made["limits"].setdefault("cpu", "2")
        return made

    def _some(self, values: list[str]) -> list[str]:
        return self._random.sample(values, self._random.randint(1, len(values)))

    def _object(
        self, type_name: str, most: int, *, without: set[str] = frozenset(), complete: bool = True
    ) -> Json:
        """Return an object with its required fields, most of the time, and at most so many others."""
        fields = {
            name: field
            for name, field in object_types()[type_name].items()
            if name not in LEFT_OUT.get(type_name, ()) and name not in without
        }
        chosen = [
            name for name, field in fields.items() if complete and field.required and self._chance(0.97)
        ]
        others = [name for name in fields if name not in chosen]
        chosen += self._random.sample(
            others, min(len(others), self._random.randint(0 if chosen else 1, most))
        )
        return {name: self._value(type_name, name, fields[name]) for name in chosen}

    def _value(self, type_name: str, name: str, field: Field) -> Any:
        if self._chance(0.03):
            return None
        one = lambda: self._single(type_name, name, field)  # noqa: E731
        if field.container == "[]":
            made = [one() for _ in range(self._random.choice([1, 1, 2]))]
            if field.merge_key is None:
                return made
            by_key = {
                str(each.get(field.merge_key) if isinstance(each, dict) else each): each for each in made
            }
            return [each for key, each in by_key.items() if key != "None"]
        if field.container == "{}":
            if field.type == "quantity":
                names = self._some([*QUANTITIES, "disk"] if self._chance(0.05) else [*QUANTITIES])[:2]
                return {each: self._random.choice([*QUANTITIES.get(each, ["1"]), "3"]) for each in names}
            keys = ["zone", "example.com/a", "a b"] if self._chance(0.03) else ["zone", "app"]
            return {
                self._random.choice(keys): self._random.choice(
                    ["a", "b", "", "x y" if self._chance(0.03) else "c"]
                )
            }
        return one()

    def _single(self, type_name: str, name: str, field: Field) -> Any:
        if field.type in object_types():
            if field.merge_key:
                key = VALUES.get(f"{field.type}.{field.merge_key}", ["a", "b"])
                return {field.merge_key: self._likely(key)} | self._object(
                    field.type, 2, without={field.merge_key}
                )
            return self._object(field.type, 2)
        for known in (f"{type_name}.{name}", field.form):
            if known in VALUES:
                return self._likely(VALUES[known])
        if ".." in field.form:
            low, _, high = field.form.partition("..")
            return self._likely([int(low), min(int(low) + 3, int(high)), int(low) - 1])
        if "|" in field.form:
            return self._likely([*field.form.split("|"), "junk"])
        return {
            "boolean": self._chance(0.5),
            "integer": self._random.choice([1, 2, 5]),
            "intstr": 80,
            "quantity": "1",
        }.get(field.type, self._random.choice(["a", "b"]))

    def _likely(self, values: list[Any]) -> Any:
        """Return one of the values, the last one rarely."""
        return values[-1] if self._chance(0.03) else self._random.choice(values[:-1] or values)
