"""SparkApplications into the pods of their driver and executors.

Sources: Spark operator 2 (``sparkoperator.k8s.io/v1beta2``), which hands the spec to
``spark-submit`` and completes the pods by its own webhook, and Spark 4, which makes
them. Only what a decision or a reader of the diff may care about is here: not the
configuration volumes and the hundred ``SPARK_JAVA_OPT_n`` variables.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from webhook.pods.controllers import MADE_UP
from webhook.pods.podtemplates import Object, PodOf, WorkloadError, name_of, owner
from webhook.pods.sparkmemory import DEFAULT_MEMORY, default_factor, mebibytes, with_overhead
from webhook.pods.text import shown

API_VERSION: Final = "sparkoperator.k8s.io/v1beta2"
DEFAULT_EXECUTORS: Final = "2"  # Spark's, for Kubernetes
DRIVER: Final = "driver"
EXECUTOR: Final = "executor"

# Fields of a role's spec that the operator writes into the pod's spec under another name.
_RENAMED: Final = {"serviceAccount": "serviceAccountName", "podSecurityContext": "securityContext"}
_POD_FIELDS: Final = (
    "affinity", "dnsConfig", "hostAliases", "hostNetwork", "initContainers", "nodeSelector",
    "podSecurityContext", "priorityClassName", "schedulerName", "serviceAccount",
    "shareProcessNamespace", "terminationGracePeriodSeconds", "tolerations",
)  # fmt: skip
_CONTAINER_FIELDS: Final = ("env", "envFrom", "lifecycle", "ports", "securityContext", "volumeMounts")


def spark_pods(document: Object, source: str) -> list[PodOf]:
    """Return the driver's pod and one executor's.

    Raises:
        WorkloadError: a field has the wrong type or a figure that Spark would refuse.
    """
    application = _Application(document, source)
    roles = [EXECUTOR] if application.spec.get("mode") == "client" else [DRIVER, EXECUTOR]
    return [application.pod_of(role) for role in roles]


class _Application:
    """One SparkApplication, or the template of a scheduled one."""

    def __init__(self, document: Object, source: str) -> None:
        self.kind = document["kind"]
        self.name = name_of(document)
        self.at = f"{source}: {self.kind} {self.name}"
        self.metadata = self._map(document, "metadata", "")
        self.namespace = str(self.metadata.get("namespace") or "")
        self.path = "spec."
        self.spec = self._map(document, "spec", "")
        if self.kind == "ScheduledSparkApplication":  # makes one application for each run
            self.spec = self._map(self.spec, "template", self.path)
            self.path = "spec.template."
        self.conf = {str(k): str(v) for k, v in self._map(self.spec, "sparkConf", self.path).items()}

    def pod_of(self, role: str) -> PodOf:
        name = f"{self.name}, {role}"
        replicas = self._instances() if role == EXECUTOR else 1
        return PodOf(self.kind, name, self.namespace, self.pod(role), replicas)

    def pod(self, role: str) -> Object:
        own = self._map(self.spec, role, self.path)
        template = copy.deepcopy(self._map(own, "template", f"{self.path}{role}."))
        template_metadata = self._map(template, "metadata", f"{self.path}{role}.template.")
        spec: Object = self._map(template, "spec", f"{self.path}{role}.template.")
        listed = self._maps(spec, "containers", f"{self.path}{role}.template.spec.") or [{}]
        sidecars = copy.deepcopy(self._maps(own, "sidecars", f"{self.path}{role}."))
        container = self._container(role, own, listed[0])
        spec = {**spec, "containers": [container, *listed[1:], *sidecars], "restartPolicy": "Never"}
        for field in _POD_FIELDS:
            if own.get(field) is not None:
                spec[_RENAMED.get(field, field)] = copy.deepcopy(own[field])
        for field in ("volumes", "imagePullSecrets", "nodeSelector"):
            if self.spec.get(field) and field not in spec:
                spec[field] = copy.deepcopy(self.spec[field])
        if self.spec.get("batchScheduler") and "schedulerName" not in spec:
            spec["schedulerName"] = self.spec["batchScheduler"]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self._pod_metadata(role, own, template_metadata),
            "spec": spec,
        }

    def _pod_metadata(self, role: str, own: Object, template: Object) -> Object:
        labels = {
            **self._map(template, "labels", f"{self.path}{role}.template.metadata."),
            "spark-app-name": self.name,
            "spark-app-selector": f"spark-{MADE_UP}",
            "spark-role": role,
            "spark-version": str(self.spec.get("sparkVersion", "")) or MADE_UP,
            **self._conf_pairs(f"spark.kubernetes.{role}.label."),
            **self._map(self.metadata, "labels", "metadata."),  # the operator hands the application's own on
            "sparkoperator.k8s.io/app-name": self.name,
            "sparkoperator.k8s.io/launched-by-spark-operator": "true",
            "sparkoperator.k8s.io/submission-id": MADE_UP,
            **self._map(own, "labels", f"{self.path}{role}."),
        }
        if not own.get("template"):
            labels["sparkoperator.k8s.io/mutated-by-spark-operator"] = "true"
        name = str(own.get("podName") or f"{self.name}-driver")
        if role == EXECUTOR:
            labels |= {"spark-exec-id": "1", "spark-exec-resourceprofile-id": "0"}
            name = f"{self.name}-{MADE_UP}-exec-1"
            by = owner("Pod", "v1", f"{self.name}-driver")  # Spark's: the driver owns its executors
        else:
            by = owner("SparkApplication", API_VERSION, self.name)
        annotations = {
            **self._map(template, "annotations", f"{self.path}{role}.template.metadata."),
            **self._conf_pairs(f"spark.kubernetes.{role}.annotation."),
            **self._map(own, "annotations", f"{self.path}{role}."),
        }
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": dict(sorted(labels.items())),
            **({"annotations": annotations} if annotations else {}),
            "ownerReferences": [by],
        }

    def _container(self, role: str, own: Object, template: Object) -> Object:
        container: Object = {**template, "name": template.get("name") or f"spark-kubernetes-{role}"}
        images = (own.get("image"), self.spec.get("image"), self.conf.get("spark.kubernetes.container.image"))
        if image := next(filter(None, images), None):
            container["image"] = image
        container["args"] = [role]
        for field in _CONTAINER_FIELDS:
            if own.get(field):
                container[field] = copy.deepcopy(own[field])
        memory = f"{self._memory(role, own)}Mi"
        at = f"{self.path}{role}.template.spec.containers[0]."
        resources = self._map(container, "resources", at)
        requests = {**self._map(resources, "requests", f"{at}resources."), "memory": memory}
        limits = {**self._map(resources, "limits", f"{at}resources."), "memory": memory}
        requests["cpu"] = self._setting(
            (own, "coreRequest"), f"spark.kubernetes.{role}.request.cores",
            default=self._setting((own, "cores"), f"spark.{role}.cores", default="1"),
        )  # fmt: skip
        limits.pop("cpu", None)
        if limit := self._setting((own, "coreLimit"), f"spark.kubernetes.{role}.limit.cores"):
            limits["cpu"] = limit
        if gpu := self._map(own, "gpu", f"{self.path}{role}."):
            limits[str(gpu.get("name"))] = str(gpu.get("quantity"))
        return {**container, "resources": {**resources, "requests": requests, "limits": limits}}

    def _instances(self) -> int:
        """Return how many executors there are, where Spark does not choose the number itself."""
        own = self._map(self.spec, EXECUTOR, self.path)
        stated = self._setting((own, "instances"), "spark.executor.instances", default=DEFAULT_EXECUTORS)
        if not stated.isdecimal():
            where = f"{self.at}: {self.path}executor.instances"
            raise WorkloadError(f"{where}: {shown(stated)} is not a number of pods: write 0 or more")
        return int(stated)

    def _memory(self, role: str, own: Object) -> int:
        """Return what the container asks for, in MiB."""
        at = f"{self.path}{role}."
        stated = self._setting((own, "memory"), f"spark.{role}.memory", default=DEFAULT_MEMORY)
        memory = self._size(f"{at}memory", stated)
        overhead = self._setting((own, "memoryOverhead"), f"spark.{role}.memoryOverhead")
        # The factor of the role beats the one for both; Spark knows it from its configuration only.
        factor = self.conf.get(f"spark.{role}.memoryOverheadFactor") or self._setting(
            (self.spec, "memoryOverheadFactor"), "spark.kubernetes.memoryOverheadFactor"
        )
        try:
            share = float(factor) if factor else default_factor(str(self.spec.get("type", "")))
        except ValueError:
            where = f"{self.at}: {self.path}memoryOverheadFactor"
            raise WorkloadError(f"{where}: {shown(factor)} is not a number") from None
        extra = self._size(f"{at}memoryOverhead", overhead) if overhead else None
        total = with_overhead(memory, share, extra)
        if self.conf.get("spark.memory.offHeap.enabled") == "true" and role == EXECUTOR:
            # It counts in bytes where it has no unit.
            size = self.conf.get("spark.memory.offHeap.size", "0")
            total += self._size("spark.memory.offHeap.size", f"{size}b" if size.isdecimal() else size)
        if role == EXECUTOR and (python := self.conf.get("spark.executor.pyspark.memory")):
            total += self._size("spark.executor.pyspark.memory", python)
        return total

    def _setting(self, field: tuple[Mapping[str, Any], str], conf: str, default: str = "") -> str:
        """Return a field of the spec, else the entry of sparkConf: the operator lets the spec win."""
        holder, name = field
        value = holder.get(name)
        return str(value) if value is not None else self.conf.get(conf, default)

    def _size(self, field: str, text: str) -> int:
        try:
            return mebibytes(text)
        except ValueError as error:
            raise WorkloadError(f"{self.at}: {field}: {error}") from None

    def _conf_pairs(self, prefix: str) -> dict[str, str]:
        return {key.removeprefix(prefix): value for key, value in self.conf.items() if key.startswith(prefix)}

    def _map(self, parent: Mapping[str, Any], field: str, path: str) -> Object:
        value = parent.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise WorkloadError(f"{self.at}: {path}{field}: must be a map, not {shown(value)}")
        return value

    def _maps(self, parent: Mapping[str, Any], field: str, path: str) -> list[Object]:
        value = parent.get(field) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise WorkloadError(f"{self.at}: {path}{field}: must be a list of maps, not {shown(value)}")
        return value
