"""The pod that Spark makes of its configuration and a pod template.

Source: Spark 3 and 4 on Kubernetes: ``BasicDriverFeatureStep``,
``BasicExecutorFeatureStep``, ``KubernetesUtils.selectSparkContainer``. Only what a
decision or a reader of the diff may care about is here: not the configuration volumes,
the ports of Spark itself and the hundred ``SPARK_JAVA_OPT_n`` variables.
"""

import copy
import re
from typing import Final

from webhook.pods.manifests.controllers import MADE_UP
from webhook.pods.manifests.podtemplates import Object, owner
from webhook.pods.manifests.spark.manifest import Manifest
from webhook.pods.manifests.spark.memory import Application, Conf, Setting, container_memory

DRIVER: Final = "driver"
EXECUTOR: Final = "executor"
# Lists that the operator may append to, and so have to be lists.
_LISTS: Final = ("hostAliases", "initContainers", "tolerations", "volumes")
_LISTS_OF_CONTAINER: Final = ("env", "envFrom", "ports", "volumeMounts")
_NONE: Final = Setting("", "")


def container_name(role: str) -> str:
    """Return how Spark names its container where the template has no name."""
    return f"spark-kubernetes-{role}"


def spark_pod(
    role: str, name: str, driver: Object, conf: Conf, template: Manifest, application: Application
) -> Object:
    """Return the pod of a driver or an executor.

    Args:
        role: ``driver`` or ``executor``.
        name: of the application.
        driver: what owns the pod: an owner reference.
        conf: all that spark-submit gets.
        template: the pod template of the role.
        application: what the memory depends on besides ``conf``.

    Raises:
        WorkloadError: a field of the template has the wrong type.
        ValueError: a setting that Spark would refuse; the message names its field.
    """
    spec = template.map("spec")
    value = copy.deepcopy(dict(spec.value))
    for field in _LISTS:
        spec.maps(field)
    container, others = _select(role, copy.deepcopy(spec.maps("containers")))
    _configure(role, container, Manifest(container, spec.at, f"{spec.path}containers[]."), conf, application)
    value |= {"containers": [*others, container], "restartPolicy": "Never"}
    selector = _pairs(conf, "spark.kubernetes.node.selector.")
    selector |= _pairs(conf, f"spark.kubernetes.{role}.node.selector.")
    if selector or spec.map("nodeSelector").value:
        value["nodeSelector"] = {**spec.map("nodeSelector").texts(), **selector}
    secrets = conf.get("spark.kubernetes.container.image.pullSecrets", _NONE).value.split(",")
    if listed := [{"name": secret.strip()} for secret in secrets if secret.strip()]:
        value["imagePullSecrets"] = [*spec.maps("imagePullSecrets"), *listed]
    scheduler = _first(conf, f"spark.kubernetes.{role}.scheduler.name", "spark.kubernetes.scheduler.name")
    if scheduler:
        value["schedulerName"] = scheduler
    if account := _service_account(role, spec, conf):
        value["serviceAccountName"] = account
    metadata = _metadata(role, name, conf, template.map("metadata"))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "ownerReferences": [driver]},
        "spec": value,
    }


def owner_of_executors(name: str) -> Object:
    """Return the reference to the driver's pod: the driver owns its executors."""
    return owner("Pod", "v1", name)


def _select(role: str, containers: list[Object]) -> tuple[Object, list[Object]]:
    """Return Spark's container of a template, and the others: Spark puts them before its own."""
    named = [i for i, item in enumerate(containers) if item.get("name") == container_name(role)]
    if not containers:
        return {}, []
    return containers.pop(named[0] if len(named) == 1 else 0), containers


def _configure(role: str, container: Object, stated: Manifest, conf: Conf, application: Application) -> None:
    for field in _LISTS_OF_CONTAINER:
        stated.maps(field)
    container["name"] = container.get("name") or container_name(role)
    image = _first(conf, f"spark.kubernetes.{role}.container.image", "spark.kubernetes.container.image")
    if image:
        container["image"] = image
    policy = conf.get("spark.kubernetes.container.image.pullPolicy")
    container["imagePullPolicy"] = policy.value if policy else "IfNotPresent"
    args = container.get("args") or []
    if not isinstance(args, list):
        raise stated.error("args", "must be a list")
    container["args"] = [*args, role]
    resources = stated.map("resources")
    memory = f"{container_memory(role, conf, application)}Mi"
    cores = _first(conf, f"spark.kubernetes.{role}.request.cores", f"spark.{role}.cores") or "1"
    requests = {**resources.map("requests").value, "cpu": cores, "memory": memory}
    limits = {**resources.map("limits").value, "memory": memory, **_devices(role, conf)}
    if limit := conf.get(f"spark.kubernetes.{role}.limit.cores", _NONE).value:
        limits["cpu"] = limit
    container["resources"] = {**resources.value, "requests": requests, "limits": limits}


def _devices(role: str, conf: Conf) -> dict[str, str]:
    """Return what the container asks for by ``spark.ROLE.resource.NAME``: GPUs, for example."""
    prefix = f"spark.{role}.resource."
    names = [key.removesuffix(".amount") for key in _pairs(conf, prefix) if key.endswith(".amount")]
    return {
        f"{conf.get(f'{prefix}{name}.vendor', _NONE).value}/{name}": conf[f"{prefix}{name}.amount"].value
        for name in names
    }


def _service_account(role: str, spec: Manifest, conf: Conf) -> str:
    """Return the account of a pod: executors have the driver's if nothing else is said."""
    stated = spec.text("serviceAccountName") or spec.text("serviceAccount")
    account = "spark.kubernetes.authenticate.{}.serviceAccountName"
    if role == DRIVER:
        return _first(conf, account.format(DRIVER)) or stated
    return stated or _first(conf, account.format(EXECUTOR), account.format(DRIVER))


def _metadata(role: str, name: str, conf: Conf, template: Manifest) -> Object:
    labels = {
        **template.map("labels").texts(),
        **_pairs(conf, f"spark.kubernetes.{role}.label."),
        "spark-app-name": _label(name),
        "spark-app-selector": f"spark-{MADE_UP}",
        "spark-role": role,
        "spark-version": MADE_UP,
    }
    prefix = conf.get("spark.kubernetes.executor.podNamePrefix", Setting(f"{name}-{MADE_UP}", "")).value
    pod_name = conf.get("spark.kubernetes.driver.pod.name", Setting(f"{name}-{MADE_UP}-driver", "")).value
    if role == EXECUTOR:
        labels |= {"spark-exec-id": "1", "spark-exec-resourceprofile-id": "0"}
        pod_name = f"{prefix}-exec-1"
    annotations = {
        **template.map("annotations").texts(),
        **_pairs(conf, f"spark.kubernetes.{role}.annotation."),
    }
    return {
        "name": pod_name,
        "labels": dict(sorted(labels.items())),
        **({"annotations": annotations} if annotations else {}),
    }


def _label(name: str) -> str:
    """Return an application's name as Spark makes a label of it."""
    return re.sub(r"[^a-z0-9-]+|-+", "-", name.lower())[:63].strip("-")


def _first(conf: Conf, *keys: str) -> str:
    return next((conf[key].value for key in keys if key in conf and conf[key].value), "")


def _pairs(conf: Conf, prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): entry.value for key, entry in conf.items() if key.startswith(prefix)}
