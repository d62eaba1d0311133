"""One reader of pods: ``cpuset plan``, ``preview``, ``/bind`` and ``/validate`` count the same CPUs."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.validating.validation_model import cpus as counted
from tests.builders import DEFAULTS, view_of
from webhook.admission.validating.rules import WHOLE_CPUS
from webhook.admission.validating.validation import violations
from webhook.cli.cpuset import cpuset
from webhook.cli.preview.simulation import simulate
from webhook.cpuset.cpulist import parse_cpulist
from webhook.pods.apiserver.defaulting import default_pod_requests
from webhook.pods.documents import read_documents
from webhook.pods.manifests.workloads import pods_of
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec

REVIEWS = sorted((Path(__file__).parent / "data" / "reviews").glob("*.json"))
# Bindings request no CPU.
RECORDED = [path for path in REVIEWS if json.loads(path.read_text())["request"]["kind"]["kind"] == "Pod"]
SPEC = "scheduling.koordinator.sh/resource-spec"
QOS = "koordinator.sh/qosClass"
NONE, REFUSED = "no set", "refused"


def container(cpu=None, *, section="requests", **fields):
    """A container that requests CPU."""
    resources = {} if cpu is None else {"resources": {section: {"cpu": cpu}}}
    return {"name": "c", **resources, **fields}


def pod(*containers, labels=None, annotations=None, qos="LSR", **spec):
    """A prod pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "labels": {QOS: qos, "koordinator.sh/priority-class": "koord-prod", **(labels or {})},
            "annotations": annotations or {},
        },
        "spec": {"containers": list(containers) or [container("2")], **spec},
    }


def cron_job(one):
    """A CronJob that makes pods like this one."""
    template = {"metadata": one["metadata"], "spec": one["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "p"},
        "spec": {"jobTemplate": {"spec": {"template": template}}},
    }


def planned(text):
    """How many CPUs ``cpuset plan`` gives to the one pod of a manifest."""
    done = CliRunner().invoke(cpuset, ["plan", "--topology", "1x1x128x1", "-o", "json", "-"], input=text)
    if done.exit_code == 1 and "whole number" in done.stderr:
        return REFUSED
    assert done.exit_code == 0, (done.stderr, done.exception)
    answer = json.loads(done.stdout)
    (found,) = answer["pods"]
    cpus, shared = (parse_cpulist(answer_of) for answer_of in (found["cpuset"], answer["sharedPool"]))
    return len(cpus) if cpus and cpus.isdisjoint(shared) else NONE


def bound(stored):
    """How many CPUs binding gives to a pod."""
    try:
        request = read_resource_spec(stored)
    except ResourceSpecError as error:
        assert "whole number" in str(error)
        return REFUSED
    return NONE if request is None else request.cpus


def check(text):
    """Ask all four about the one pod of a manifest; return what binding says and the pod as stored."""
    ((made,),) = [pods_of(document) for document in read_documents(text.encode(), "f.yaml")]
    previewed = simulate(made, "default", view_of([]), DEFAULTS)
    stored = previewed.review.object
    default_pod_requests(stored)  # the API server does so before it validates and stores
    assert planned(text) == bound(stored)
    whole = counted(stored) > 0 and counted(stored) % 1 == 0
    if stored["metadata"]["labels"].get(QOS) in ("LSE", "LSR"):
        assert whole is (WHOLE_CPUS not in {violation.rule for violation in violations(stored, None)})
        assert whole is not any("request a whole number" in denial for denial in previewed.denials)
    if isinstance(bound(stored), int):
        assert bound(stored) == counted(stored)
    return bound(stored), stored


@pytest.mark.parametrize(
    ("manifest", "cpus"),
    [
        (pod(), 2),
        (pod(initContainers=[container("1", restartPolicy="Always")]), 3),
        (pod(resources={"requests": {"cpu": "4"}}), 4),
        (pod(resources={"limits": {"cpu": "4"}}, qos="LSE"), 2),
        (pod(container(), resources={"limits": {"cpu": "4"}}), 4),
        (pod(initContainers=[container("5")]), 5),
        (pod(initContainers=[container("1", restartPolicy="Always"), container("5")]), 6),
        (pod(container("1500m"), overhead={"cpu": "500m"}), 2),
        (pod(resources={"requests": {"cpu": "3"}}, overhead={"cpu": "1"}), 4),
        (cron_job(pod()), 2),
        (pod(container("2", section="limits")), 2),
        (pod(container("1500m")), REFUSED),
        (pod(container()), NONE),
        (pod(qos="LS"), NONE),
        (pod(labels={"koordinator.sh/priority-class": "koord-batch"}), NONE),
        (pod(annotations={SPEC: '{"preferredCPUBindPolicy": "ConstrainedBurst"}'}), NONE),
        (pod(annotations={SPEC: '{"requiredCPUBindPolicy": "SpreadByPCPUs"}'}), 2),
    ],
)
def test_examples(manifest, cpus):
    """A sidecar, pod-level CPU, init containers, overhead, a CronJob, batch priority, ConstrainedBurst."""
    assert check(yaml.safe_dump(manifest))[0] == cpus


def test_yaml_is_read_as_kubectl_reads_it():
    """A label ``12:30`` is text for all of them, not the 750 of YAML 1.1."""
    text = yaml.safe_dump(pod()).replace("labels:", "labels:\n    at: 12:30")
    cpus, stored = check(text)
    assert (cpus, stored["metadata"]["labels"]["at"]) == (2, "12:30")


AMOUNTS = st.sampled_from([None, "0", "500m", "1", "1500m", "2", 3, 0.5, "0.25"])
CONTAINERS = st.builds(container, AMOUNTS, section=st.sampled_from(["requests", "limits"]))
INIT = st.builds(lambda one, more: one | more, CONTAINERS, st.sampled_from([{}, {"restartPolicy": "Always"}]))
RESOURCES = st.dictionaries(
    st.sampled_from(["requests", "limits"]), st.builds(lambda cpu: {"cpu": cpu}, AMOUNTS.filter(bool))
)
PODS = st.builds(
    lambda containers, **fields: pod(*containers, **fields),
    st.lists(CONTAINERS, min_size=1, max_size=3),
    initContainers=st.lists(INIT, max_size=4),
    resources=RESOURCES,
    overhead=st.sampled_from([{}, {"cpu": "500m"}, {"cpu": "1", "memory": "1Gi"}]),
    qos=st.sampled_from(["LSE", "LSR", "LS", "SYSTEM"]),
    labels=st.sampled_from([{}, {"koordinator.sh/priority-class": "koord-batch"}, {"app": "x"}]),
    annotations=st.sampled_from(
        [
            {},
            *(
                {SPEC: json.dumps({"preferredCPUBindPolicy": name})}
                for name in ("Default", "FullPCPUs", "SpreadByPCPUs", "ConstrainedBurst")
            ),
        ]
    ),
)


@given(PODS)
def test_any_pod(manifest):
    """All four agree on any pod, and with an independent model."""
    check(yaml.safe_dump(manifest))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@pytest.mark.parametrize("qos", [None, "LSR"])
def test_recorded_pods(path, qos):
    """All four agree on every recorded pod, as it is and as an LSR pod."""
    request = json.loads(path.read_text())["request"]
    recorded = request.get("object") or request["oldObject"]
    recorded.pop("status", None)
    recorded["metadata"].setdefault("name", "p")
    if qos:
        recorded["metadata"].setdefault("labels", {})[QOS] = qos
    recorded["metadata"].setdefault("labels", {})
    check(json.dumps(recorded))
