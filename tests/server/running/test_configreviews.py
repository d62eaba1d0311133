"""Reviews of the ConfigMap with the colocation strategy."""

import json
from concurrent.futures import Future
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.kube.fakeapi import FakeApi
from tests.server.running.test_cluster import ClusterService
from tests.server.running.test_cluster import fake as fake  # noqa: PLC0414 — a fixture
from tests.waiting import until
from webhook.admission.response import Answer
from webhook.admission.review import ReviewError
from webhook.admission.settings import Mode, Settings
from webhook.kube.paths import NODES
from webhook.server.configreviews import ConfigReviews
from webhook.server.decisionlog import DecisionLog
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings

CONFIG = ("koordinator-system", "slo-controller-config")
TWO = {
    "resource-threshold-config": json.dumps(
        {
            "nodeStrategies": [
                {"name": "a", "nodeSelector": {"matchLabels": {"pool": "a"}}},
                {"name": "b", "nodeSelector": {"matchLabels": {"zone": "b"}}},
            ]
        }
    )
}
WRONG = {"colocation-config": '{"degradeTimeMinutes": 0}'}
FINE = {"colocation-config": '{"enable": true}'}


def review(data: Any, old: Any = None, **more: Any) -> bytes:
    """Return a review of the ConfigMap."""
    request = {
        "uid": "r",
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "operation": "CREATE" if old is None else "UPDATE",
        "namespace": CONFIG[0],
        "name": CONFIG[1],
        "object": {"metadata": {"name": CONFIG[1]}, "data": data},
        **({} if old is None else {"oldObject": {"data": old}}),
        **more,
    }
    body = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(body).encode()


@pytest.fixture
def made() -> Any:
    """Return what makes an endpoint, whose nodes a test fills."""
    with FakeApi() as api:

        def make(mode: Mode = Mode.ENFORCE) -> ConfigReviews:
            settings = CurrentSettings(Settings(mode=mode))
            metrics, log = ReviewMetrics(CollectorRegistry()), DecisionLog("error", "json")
            return ConfigReviews(api.api(), CONFIG, settings, metrics, log)

        yield make


def answered(endpoint: ConfigReviews, body: bytes) -> tuple[int, dict[str, Any]]:
    """Return status and response, or what stands in its place."""
    begun = endpoint.begin(body, 5.0)
    answer = begun if isinstance(begun, Answer) else begun.result(5.0)
    value = json.loads(answer.body)
    return answer.status, value.get("response", value)


def with_nodes(endpoint: ConfigReviews, *labels: dict[str, str]) -> ConfigReviews:
    """Let the endpoint know nodes n0, n1 and so on."""
    raws = [{"metadata": {"name": f"n{i}", "labels": each}} for i, each in enumerate(labels)]
    endpoint.nodes.replace([endpoint.nodes.listed(raw) for raw in raws])
    return endpoint


def test_a_wrong_value(made: Any) -> None:
    """It is denied with its place and the reason that Koordinator names."""
    status, response = answered(with_nodes(made()), review(WRONG))
    assert (status, response["allowed"], response["status"]["code"]) == (200, False, 422)
    assert response["status"]["message"] == (
        "ConfigParamInvalid: colocation-config.degradeTimeMinutes: 0 is out of range: write a number from 1"
    )


def test_what_is_right(made: Any) -> None:
    """It passes; what is doubtful is a warning; what stood there already is not looked at."""
    endpoint = with_nodes(made())
    assert answered(endpoint, review(FINE)) == (200, {"uid": "r", "allowed": True})
    assert answered(endpoint, review(None))[1]["allowed"]
    doubtful = answered(endpoint, review({"colocation-confg": "{}"}))[1]
    assert doubtful["allowed"]
    assert doubtful["warnings"] == ["colocation-confg: is unknown; is colocation-config meant?"]
    assert answered(endpoint, review({**WRONG, **TWO}, old=WRONG))[1]["allowed"]


def test_nodes_that_two_entries_select(made: Any) -> None:
    """They are named; before nodes have been listed, failurePolicy decides, but for what is wrong anyway."""
    endpoint = made()
    assert answered(endpoint, review(TWO))[0] == 503
    assert answered(endpoint, review(WRONG))[1]["allowed"] is False
    with_nodes(endpoint, {"pool": "a"}, {"pool": "a", "zone": "b"})
    response = answered(endpoint, review(TWO))[1]
    assert "ExistNodeConfict: " in response["status"]["message"]
    assert "both select n1:" in response["status"]["message"]
    with_nodes(endpoint, {"pool": "a"}, {"zone": "b"})
    assert answered(endpoint, review(TWO))[1]["allowed"]


def test_audit_mode(made: Any) -> None:
    """Nothing is denied; a warning says what would have been."""
    response = answered(with_nodes(made(Mode.AUDIT)), review(WRONG))[1]
    assert response["allowed"]
    assert "degradeTimeMinutes" in response["warnings"][0]


@pytest.mark.parametrize(
    "more",
    [
        {"name": "other", "object": {"metadata": {"name": "other"}, "data": WRONG}},
        {"namespace": "other"},
        {"resource": {"group": "", "version": "v1", "resource": "secrets"}},
        {"operation": "DELETE", "object": None, "namespace": "other"},
    ],
)
def test_everything_else_passes(made: Any, more: dict[str, Any]) -> None:
    """Only the one ConfigMap is looked at."""
    assert answered(with_nodes(made()), review(WRONG, **more)) == (200, {"uid": "r", "allowed": True})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (review([]), "request.object.data: must be an object, not []"),
        (review({}, old=7), "request.oldObject.data: must be an object, not 7"),
    ],
)
def test_what_is_no_review(made: Any, body: bytes, message: str) -> None:
    """It is a 400 that names the field."""
    status, said = answered(with_nodes(made()), body)
    assert status == 400
    assert message in said["message"]


@pytest.mark.parametrize("text", [7, None, "[" * 100_000, '{"clusterStrategy":' * 500, "\ud800"])
def test_hostile_texts(made: Any, text: Any) -> None:
    """None of them is a fault."""
    body = review({"resource-qos-config": text, "colocation-config": text})
    assert answered(with_nodes(made()), body)[0] in {200, 400}


def test_late(made: Any) -> None:
    """A check that takes too long is left to failurePolicy."""
    assert made().late(Future(), 3.0).status == 503
    assert made().refuse(ReviewError("no", status=415)).status == 415


def test_a_process(tmp_path: Any, fake: FakeApi) -> None:
    """``serve --slo-config`` watches nodes and answers; without the flag there is no such path."""
    fake.put(NODES, "n", metadata={"labels": {"pool": "a", "zone": "b"}})
    with ClusterService(tmp_path, fake, "--slo-config", "/".join(CONFIG)) as service:
        until(lambda: json.loads(service.admin("/readyz")[1])["view"]["watched"]["node-labels"]["synced"])
        status, answer = service.post("/validate-config", review(TWO))
        assert status == 200
        assert "both select n:" in answer["response"]["status"]["message"]
        counted = (
            'requests_total{code="200",operation="CREATE",outcome="denied",webhook="validate-config"} 1.0'
        )
        assert service.metric(f"colocation_webhook_{counted}")
    (tmp_path / "without").mkdir()
    with ClusterService(tmp_path / "without", fake) as service:
        assert service.post("/validate-config", review(TWO))[0] == 404
