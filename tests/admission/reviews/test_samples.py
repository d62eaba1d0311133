"""Reviews as a real API server sent them, and what is answered, held in files.

The answers in ``tests/data/responses`` hold the patch decoded, so that they can be
read, and no signatures. After a change on purpose, write them anew and read the difference::

    python -m tests.admission.reviews.test_samples
"""

import base64
import json
from pathlib import Path

import pytest

from tests.builders import DEFAULTS, after, namespace, priority_class, profile, view_of
from webhook.admission.decision import decide
from webhook.admission.response import respond
from webhook.admission.review import Webhook, parse_review
from webhook.protocol import ANNOTATION_PROFILES_SIGNATURE

DATA = Path(__file__).parents[2] / "data"
REVIEWS = sorted((DATA / "reviews").glob("*.json"))
RESPONSES = DATA / "responses"

COLOCATION = {"koordinator.sh/enable-colocation": "true"}
LIMIT_RANGE = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "defaults", "namespace": "limited"},
    "spec": {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "200m", "memory": "64Mi"},
                "defaultRequest": {"cpu": "100m", "memory": "32Mi"},
            }
        ]
    },
}
OBJECTS = [
    namespace("spark-demo", COLOCATION),
    namespace("limited", COLOCATION),
    LIMIT_RANGE,
    *(
        priority_class(f"koord-{name}", value)
        for name, value in (("prod", 9000), ("mid", 7000), ("batch", 5000), ("free", 3000))
    ),
    profile(
        "spark-demo",
        namespaceSelector={"matchLabels": COLOCATION},
        selector={"matchLabels": {"sparkoperator.k8s.io/launched-by-spark-operator": "true"}},
        qosClass="BE",
        priorityClassName="koord-batch",
        koordinatorPriority=1000,
        schedulerName="koord-scheduler",
        labels={"koordinator.sh/mutated": "true"},
        annotations={"koordinator.sh/intercepted": "true"},
    ),
    profile(
        "spark-submit",
        namespaceSelector={"matchLabels": COLOCATION},
        selector={
            "matchExpressions": [
                {"key": "spark-role", "operator": "In", "values": ["driver", "executor"]},
                {"key": "sparkoperator.k8s.io/launched-by-spark-operator", "operator": "DoesNotExist"},
            ]
        },
        qosClass="BE",
        priorityClassName="koord-batch",
        schedulerName="koord-scheduler",
    ),
    profile(
        "tools",
        namespaceSelector={"matchLabels": COLOCATION},
        selector={
            "matchExpressions": [
                {"key": "spark-role", "operator": "DoesNotExist"},
                {"key": "koordinator.sh/qosClass", "operator": "DoesNotExist"},
            ]
        },
        qosClass="BE",
        priorityClassName="koord-batch",
    ),
]
VIEW = view_of(OBJECTS)


def answer(path: Path, webhook: Webhook) -> dict:
    """Return the response to a review, as JSON, with the patch decoded."""
    decision = decide(webhook, parse_review(path.read_bytes()), VIEW, DEFAULTS)
    response = json.loads(respond(decision.response()).body)["response"]
    if "patch" in response:
        response["patch"] = unsigned(json.loads(base64.b64decode(response["patch"])))
    return response


def unsigned(patch: list[dict]) -> list[dict]:
    """Return a patch with the value of the signature left out: it may be made in another way."""
    for operation in patch:
        if operation["path"].endswith("profiles-signature"):
            operation["value"] = "…"
        elif isinstance(operation.get("value"), dict) and ANNOTATION_PROFILES_SIGNATURE in operation["value"]:
            operation["value"][ANNOTATION_PROFILES_SIGNATURE] = "…"
    return patch


def answers(path: Path) -> dict:
    """Return what both webhooks answer."""
    return {str(webhook): answer(path, webhook) for webhook in Webhook}


@pytest.mark.parametrize("path", REVIEWS, ids=lambda path: path.stem)
def test_the_answer_is_the_one_on_file(path) -> None:
    """Each real review gets the answer that is held in the repository."""
    assert answers(path) == json.loads((RESPONSES / path.name).read_text())


def test_every_answer_on_file_has_a_review() -> None:
    """No answer is left over, and none is missing."""
    assert [path.name for path in sorted(RESPONSES.glob("*.json"))] == [path.name for path in REVIEWS]


def mutated_sample(name: str) -> dict:
    """Return the pod of a sample after the patch."""
    path = DATA / "reviews" / f"{name}.json"
    review = parse_review(path.read_bytes())
    return after(decide(Webhook.MUTATE, review, VIEW, DEFAULTS), review.object)


def test_the_spark_driver_of_the_tutorial() -> None:
    """The Spark operator's driver becomes exactly what the colocation tutorial shows."""
    pod = mutated_sample("spark-operator-driver")
    labels, spec = pod["metadata"]["labels"], pod["spec"]
    assert labels["koordinator.sh/qosClass"] == "BE"
    assert labels["spark-role"] == "driver"
    assert labels["koordinator.sh/priority"] == "1000"
    assert labels["koordinator.sh/mutated"] == "true"
    assert pod["metadata"]["annotations"]["koordinator.sh/intercepted"] == "true"
    assert (spec["priorityClassName"], spec["priority"]) == ("koord-batch", 5000)
    assert spec["schedulerName"] == "koord-scheduler"
    figures = {"kubernetes.io/batch-cpu": "1000", "kubernetes.io/batch-memory": "3456Mi"}
    assert spec["containers"][0]["resources"] == {"limits": figures, "requests": figures}


@pytest.mark.parametrize("name", ["spark-submit-driver", "spark-submit-executor", "spark-operator-executor"])
def test_spark_pods_become_batch_pods(name) -> None:
    """Plain spark-submit and executors alike: nothing native is left, 3456Mi are asked for."""
    resources = mutated_sample(name)["spec"]["containers"][0]["resources"]
    figures = {"kubernetes.io/batch-cpu": "1000", "kubernetes.io/batch-memory": "3456Mi"}
    assert resources["requests"] == figures
    assert resources["limits"].items() <= figures.items()


@pytest.mark.parametrize("name", ["update-qos-label", "resize", "delete", "binding"])
def test_nothing_but_the_creation_of_pods_is_changed(name) -> None:
    """Admission §2: UPDATE, resize, DELETE and bindings are answered without a patch."""
    response = answer(DATA / "reviews" / f"{name}.json", Webhook.MUTATE)
    assert response == {"uid": response["uid"], "allowed": True}


def test_a_dry_run_gets_the_same_answer() -> None:
    """Admission §1: the answer does not depend on whether the request is a dry run."""
    raw = json.loads((DATA / "reviews" / "dry-run.json").read_text())
    patches = []
    for dry_run in (True, False):
        raw["request"]["dryRun"] = dry_run
        decision = decide(Webhook.MUTATE, parse_review(json.dumps(raw).encode()), VIEW, DEFAULTS)
        patches.append([o for o in decision.patch() if "signature" not in json.dumps(o)])
    assert patches[0] == patches[1]


if __name__ == "__main__":
    RESPONSES.mkdir(exist_ok=True)
    for each in REVIEWS:
        (RESPONSES / each.name).write_text(json.dumps(answers(each), indent=2, ensure_ascii=False) + "\n")
