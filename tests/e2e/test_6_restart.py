"""Item 6: the API server restarts while pods are created all the time."""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple, Self

import pytest

from tests.e2e.controlplane import ADMIN_TOKEN, ControlPlane
from tests.e2e.installation import Installation
from tests.e2e.kubectl import Kubectl
from tests.e2e.objects import pod
from tests.e2e.processes import eventually

CLIENTS = 4


class Answer(NamedTuple):
    """What became of one creation."""

    sent: float
    status: int
    body: str


class Creators:
    """Clients that create one pod after another, each over connections of its own, until stopped."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self.answers: list[Answer] = []
        self._port = control_plane.port
        self._trust = ssl.create_default_context(cafile=str(control_plane.certificate))
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._create) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, with all answers in."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def created(self, since: float = 0.0) -> int:
        """How many pods were created by requests sent since then."""
        return sum(answer.status == 201 for answer in self.answers if answer.sent >= since)

    def _create(self) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
        while not self._stop.wait(0.05):
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._trust, timeout=20)
            try:
                for _ in range(20):
                    sent = time.monotonic()
                    body = json.dumps(pod(f"pod-{next(self._numbers)}"))
                    connection.request("POST", self._path, body, headers)
                    response = connection.getresponse()
                    self.answers.append(Answer(sent, response.status, response.read().decode()))
            except (OSError, http.client.HTTPException):
                pass  # nobody listens, or the connection broke: the API server is away
            finally:
                connection.close()


@pytest.fixture
def restartable(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane; its API server runs again afterwards, whatever happened."""
    yield control_plane
    if not control_plane.process("kube-apiserver").running:
        control_plane.start_apiserver()


def test_restart_of_the_api_server(
    restartable: ControlPlane, release: Installation, kubectl: Kubectl, namespace: str
) -> None:
    """Once it is back no pod is refused; no pod that was ever stored is unmutated."""
    with Creators(restartable, namespace) as creators:
        eventually(lambda: creators.created() > 50, what="pods created before")
        restartable.stop_apiserver()
        time.sleep(3)
        restartable.start_apiserver()
        back = time.monotonic()
        eventually(lambda: creators.created(back) > 200, seconds=60, what="pods created after")
    refused = [answer for answer in creators.answers if answer.sent >= back and answer.status != 201]
    assert refused == []
    stored = kubectl.items("pods", namespace=namespace)
    assert len(stored) >= creators.created()
    unmutated = [
        each["metadata"]["name"]
        for each in stored
        if each["metadata"]["labels"].get("koordinator.sh/qosClass") != "BE"
        or "cpu" in each["spec"]["containers"][0]["resources"]["requests"]
    ]
    assert unmutated == []
    # The watches are back, too: a change is seen.
    eventually(lambda: release.readiness()["ready"], what="webhook ready")
    kubectl.run("label", "namespace", namespace, "koordinator.sh/enable-colocation-")

    def left_alone() -> bool:
        made = pod("probe")
        made["metadata"]["namespace"] = namespace
        return "koordinator.sh/qosClass" not in kubectl.create(made, dry_run=True)["metadata"]["labels"]

    eventually(left_alone, seconds=60, what="the changed label is seen")
