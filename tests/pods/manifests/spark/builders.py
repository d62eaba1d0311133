"""Small SparkApplications and their pods, for the tests of this folder."""

from webhook.pods.manifests.spark.application import spark_pods

A, B = {"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}
INIT, OTHER = {"name": "x", "image": "a"}, {"name": "x", "image": "b"}


def application(**spec):
    """Return a small SparkApplication."""
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": "app", "namespace": "ns"},
        "spec": {"type": "Scala", "sparkVersion": "4.0.0", "driver": {}, "executor": {}, **spec},
    }


def pods(document):
    """Return the pods by role."""
    return {p.pod["metadata"]["labels"]["spark-role"]: p.pod for p in spark_pods(document, "f.yaml:1")}


def resources(pod):
    """Return the resources of the first container."""
    return pod["spec"]["containers"][0]["resources"]


def with_template(role="driver", template=None, fields=None, **spec):
    """Return the pod of a role whose pod template and own fields are these."""
    template = {"spec": {"containers": [{"name": f"spark-kubernetes-{role}"}], **(template or {})}}
    return pods(application(**{role: {"template": template, **(fields or {})}}, **spec))[role]
