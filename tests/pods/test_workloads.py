"""Each kind of manifest has one reader."""

import pytest

from webhook.pods.documents import Document
from webhook.pods.podtemplates import WorkloadError
from webhook.pods.workloads import READERS, pods_of

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c"}]}}


def origins(document):
    """Name what the pods of an object come from, None where it makes none."""
    found = pods_of(Document(document, "f"))
    return None if found is None else [pod.origin for pod in found]


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("Deployment", ["Deployment w"]),
        ("Rollout", ["Rollout w"]),
        ("SparkApplication", ["SparkApplication w, driver", "SparkApplication w, executor"]),
    ],
)
def test_a_kind_has_its_reader(kind, made):
    """A custom kind with spec.template makes pods, too."""
    assert origins({"kind": kind, "metadata": {"name": "w"}, "spec": {"template": TEMPLATE}}) == made
    assert (kind in READERS) is (len(made) > 1)


def test_other_kinds_make_no_pods():
    """A Service, say."""
    assert origins({"kind": "Service", "metadata": {"name": "s"}, "spec": {}}) is None


@pytest.mark.parametrize(
    "document", [1, [], "x", {}, {"kind": 3}, {"kind": "Pod"}, {"kind": "Job", "spec": []}]
)
def test_what_is_no_manifest_is_named(document):
    """File and line, and what is missing."""
    with pytest.raises(WorkloadError, match=r"^f\.yaml:7"):
        pods_of(Document(document, "f.yaml:7"))
