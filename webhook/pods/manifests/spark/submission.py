"""What the Kubeflow operator hands to spark-submit: a SparkApplication as Spark's configuration.

Source: spark-operator 2, ``submission.go``. spark-submit takes the last of two entries
for one key, so the order in which the operator writes them says which field wins: what
holds for the whole application comes before ``sparkConf``, what holds for a role after
it. The batch schedulers write into the application before that.
"""

from typing import Final

from webhook.pods.manifests.controllers import MADE_UP
from webhook.pods.manifests.spark.manifest import Manifest
from webhook.pods.manifests.spark.memory import Conf, Setting, version_of
from webhook.pods.text import shown

KUEUE_PREFIX: Final = "kueue.x-k8s.io/"  # Kueue would queue a pod that carries its labels a second time
OPERATOR_PREFIX: Final = "sparkoperator.k8s.io/"
TEMPLATES_SINCE: Final = (3, 0)

_OF_APPLICATION: Final = {  # empty strings are left out
    "image": "spark.kubernetes.container.image",
    "imagePullPolicy": "spark.kubernetes.container.image.pullPolicy",
    "memoryOverheadFactor": "spark.kubernetes.memoryOverheadFactor",
}
_OF_ROLE: Final = {
    "cores": "spark.{role}.cores",
    "coreRequest": "spark.kubernetes.{role}.request.cores",
    "coreLimit": "spark.kubernetes.{role}.limit.cores",
    "memory": "spark.{role}.memory",
    "memoryOverhead": "spark.{role}.memoryOverhead",
    "serviceAccount": "spark.kubernetes.authenticate.{role}.serviceAccountName",
}
_MAX_DIGITS: Final = 9  # of 32 bits
_DYNAMIC: Final = ("initialExecutors", "minExecutors")


def configuration(name: str, labels: dict[str, str], spec: Manifest) -> Conf:
    """Return what spark-submit gets for an application.

    Args:
        name: of the SparkApplication.
        labels: of the SparkApplication.
        spec: of the SparkApplication.

    Raises:
        WorkloadError: a field has the wrong type.
    """
    conf = fields(spec, _OF_APPLICATION)
    conf = {key: setting for key, setting in conf.items() if setting.value}
    if secrets := spec.value.get("imagePullSecrets"):
        if not isinstance(secrets, list):
            raise spec.error("imagePullSecrets", "must be a list of names of Secrets")
        joined = ",".join(str(secret) for secret in secrets)
        conf["spark.kubernetes.container.image.pullSecrets"] = Setting(joined, "imagePullSecrets")
    conf |= spark_conf(spec)
    labels = {key: value for key, value in labels.items() if not key.startswith(KUEUE_PREFIX)}
    for role in ("driver", "executor"):
        conf |= _role(name, labels, spec, role)
    for key, value in spec.map("nodeSelector").texts().items():
        conf[f"spark.kubernetes.node.selector.{key}"] = Setting(value, f"{spec.path}nodeSelector")
    return conf | dynamic_allocation(spec)


def fields(of: Manifest, keys: dict[str, str], role: str = "") -> Conf:
    """Return the entries that stand for fields of the same meaning."""
    return {
        key.format(role=role): Setting(of.text(field), of.path + field)
        for field, key in keys.items()
        if of.value.get(field) is not None
    }


def spark_conf(spec: Manifest) -> Conf:
    """Return the entries that the user wrote."""
    stated = spec.map("sparkConf")
    return {key: Setting(value, stated.path + key) for key, value in stated.texts().items()}


def dynamic_allocation(spec: Manifest) -> Conf:
    """Return the entries that let Spark choose the number of executors."""
    dynamic = spec.map("dynamicAllocation")
    if dynamic.value.get("enabled") is not True:
        return {}
    keys = {field: f"spark.dynamicAllocation.{field}" for field in ("enabled", *_DYNAMIC)}
    return fields(dynamic, keys)


def executors(conf: Conf) -> int:
    """Return how many executors Spark starts with; raises ValueError for what is no number."""
    instances = conf.get("spark.executor.instances")
    if conf.get("spark.dynamicAllocation.enabled", Setting("", "")).value.lower() != "true":
        return 2 if instances is None else _count(instances)
    stated = [conf.get(f"spark.dynamicAllocation.{field}") for field in _DYNAMIC]
    return max((_count(setting) for setting in [instances, *stated] if setting), default=0)


def _count(setting: Setting) -> int:
    if not (setting.value.isascii() and setting.value.isdecimal() and len(setting.value) <= _MAX_DIGITS):
        raise ValueError(f"{setting.field}: {shown(setting.value)} is not a number of pods: write 0 or more")
    return int(setting.value)


def _role(name: str, labels: dict[str, str], spec: Manifest, role: str) -> Conf:
    own = spec.map(role)
    conf = fields(own, _OF_ROLE, role)
    for image in (spec, own):
        if image.text("image"):
            setting = Setting(image.text("image"), f"{image.path}image")
            conf[f"spark.kubernetes.{role}.container.image"] = setting
    if role == "executor":
        conf |= fields(own, {"instances": "spark.executor.instances"})
    labels = {
        f"{OPERATOR_PREFIX}app-name": name,
        f"{OPERATOR_PREFIX}launched-by-spark-operator": "true",
        **_mutated(spec, own),
        f"{OPERATOR_PREFIX}submission-id": MADE_UP,
        **labels,
        **own.map("labels").texts(),
    }
    annotations = own.map("annotations").texts()
    _batch_scheduler(name, spec, role, labels, annotations)
    for what, pairs in (("label", labels), ("annotation", annotations)):
        for key, value in pairs.items():
            conf[f"spark.kubernetes.{role}.{what}.{key}"] = Setting(value, f"{own.path}{what}s")
    return conf


def _mutated(spec: Manifest, own: Manifest) -> dict[str, str]:
    """Return the label of pods whose template Spark cannot be given."""
    version = version_of(spec.text("sparkVersion"))
    if own.value.get("template") is not None and version is not None and version >= TEMPLATES_SINCE:
        return {}
    return {f"{OPERATOR_PREFIX}mutated-by-spark-operator": "true"}


def _batch_scheduler(
    name: str, spec: Manifest, role: str, labels: dict[str, str], annotations: dict[str, str]
) -> None:
    """Add what the operator writes for the scheduler that ``batchScheduler`` names."""
    options = spec.map("batchSchedulerOptions")
    match spec.text("batchScheduler"):
        case "":
            pass
        case "volcano":
            annotations.setdefault("scheduling.k8s.io/group-name", f"spark-{name}-pg")
        case "yunikorn":
            if options.value.get("queue") is not None:
                labels["queue"] = options.text("queue")
            annotations["yunikorn.apache.org/task-group-name"] = f"spark-{role}"
            if role == "driver":  # how large the groups are does not concern admission
                annotations["yunikorn.apache.org/task-groups"] = MADE_UP
        case _:  # kube-scheduler with the plugin for co-scheduling, by the name that it runs under
            labels.setdefault("scheduling.x-k8s.io/pod-group", f"{name}-pg")
