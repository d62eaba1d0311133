"""SparkApplications into the pods of their driver and executors.

Source: the Kubeflow Spark operator 2 (``sparkoperator.k8s.io/v1beta2``). It hands the
spec to ``spark-submit``, Spark makes the pods, and the operator's own webhook completes
them: a module for each of the three.
"""

from typing import Final

from webhook.pods.manifests.controllers import MADE_UP
from webhook.pods.manifests.podtemplates import Object, PodOf, name_of, owner
from webhook.pods.manifests.spark.manifest import Manifest
from webhook.pods.manifests.spark.memory import Application, Setting, version_of
from webhook.pods.manifests.spark.mutation import add_fields
from webhook.pods.manifests.spark.pod import DRIVER, EXECUTOR, owner_of_executors, spark_pod
from webhook.pods.manifests.spark.submission import OPERATOR_PREFIX, configuration, executors

API_VERSION: Final = "sparkoperator.k8s.io/v1beta2"
_LANGUAGES: Final = {".py": "Python", ".R": "R", ".r": "R"}


def spark_pods(document: Object, source: str) -> list[PodOf]:
    """Return the driver's pod and one executor's.

    Args:
        document: a SparkApplication, or a ScheduledSparkApplication, which makes one for each run.
        source: where it stands, for messages.

    Raises:
        WorkloadError: a field has the wrong type or a value that Spark would refuse.
    """
    kind, name = document["kind"], name_of(document)
    whole = Manifest(document, f"{source}: {kind} {name}")
    metadata, spec = whole.map("metadata"), whole.map("spec")
    labels = metadata.map("labels").texts()
    run = name
    if kind == "ScheduledSparkApplication":
        spec = spec.map("template")
        labels = {f"{OPERATOR_PREFIX}scheduled-app-name": name, **labels}
        run = f"{name}-{MADE_UP}"
    conf = configuration(run, labels, spec)
    driver_name = spec.map(DRIVER).text("podName") or f"{run}-driver"
    conf["spark.kubernetes.driver.pod.name"] = Setting(driver_name, f"{spec.path}driver.podName")
    owners = {
        DRIVER: owner("SparkApplication", API_VERSION, run),
        EXECUTOR: owner_of_executors(driver_name),
    }
    client = spec.text("mode") == "client"
    version = version_of(spec.text("sparkVersion")) or Application().version
    application = Application("" if client else _language(spec), version)
    namespace = metadata.text("namespace")
    made = []
    with whole.refused():
        for role in [EXECUTOR] if client else [DRIVER, EXECUTOR]:
            template = spec.map(role).map("template")
            pod = spark_pod(role, run, owners[role], conf, template, application)
            pod["metadata"]["namespace"] = namespace
            pod["metadata"]["labels"]["spark-version"] = spec.text("sparkVersion") or MADE_UP
            add_fields(pod, spec, role)
            replicas = executors(conf) if role == EXECUTOR else 1
            made.append(PodOf(kind, f"{name}, {role}", namespace, pod, replicas))
    return made


def _language(spec: Manifest) -> str:
    """Return the language as Spark finds it: by the file, not by ``type``, which the operator keeps."""
    file = spec.text("mainApplicationFile")
    if not file:
        kind = spec.text("type")
        return kind if kind in _LANGUAGES.values() else ""
    return next((language for suffix, language in _LANGUAGES.items() if file.endswith(suffix)), "")
