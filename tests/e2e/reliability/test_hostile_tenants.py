"""Tenants against the service with the chart's own settings: no innocent pod pays, memory is bounded."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.apiclient import ApiClient
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.objects import profile
from tests.e2e.cluster.processes import Process, stopping
from tests.e2e.figures import record
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.release.rendering import DEFAULT, Helm
from tests.e2e.release.resident import peak_mib
from tests.e2e.release.service import NEWEST_VERSION, Service, point_to
from tests.e2e.reliability.load import Creators, gated
from tests.e2e.reliability.tenants import ATTACKS, review

RATE = 20.0
ATTACK_SECONDS = 8.0
JSON = {"Content-Type": "application/json"}
OPTED_IN = {"koordinator.sh/enable-colocation": "true"}


@pytest.fixture(scope="module")
def ignoring(service: Service, release: Installation) -> Iterator[Service]:
    """The service under the chart's own failurePolicy: what is not answered in time passes unmutated."""
    point_to(release, service.forwarder.port, "Ignore")
    # What an honest administrator may write, and a tenant's long list makes costly.
    env = {"containers": [{"name": "main", "env": [{"name": "FOO", "value": "new"}]}]}
    executors = {"selector": {"matchLabels": {"spark-role": "executor"}}}
    service.kubectl.create(profile("patched-env", **executors, patch={"spec": env}))
    yield service
    service.kubectl.delete("ccp", "patched-env")


@pytest.fixture(scope="module")
def limit_mib(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The memory limit of the chart's container."""
    objects = Helm(cache, tmp_path_factory.mktemp("limit")).render(DEFAULT, NEWEST_VERSION)
    spec = next(each["spec"] for each in objects if each["kind"] == "Deployment")
    text = spec["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert text.endswith("Mi")
    return float(text.removesuffix("Mi"))


@contextlib.contextmanager
def attacked(service: Service, attack: str, folder: Path) -> Iterator[list[Process]]:
    """Tenants at every replica."""
    with contextlib.ExitStack() as stack:
        attackers = []
        for number, replica in enumerate(service.replicas):
            ports = (str(replica.port), str(replica.admin_port))
            command = ["nice", sys.executable, "-m", "tests.e2e.reliability.tenants", attack, *ports]
            name, log = f"tenants of {replica.name}", folder / f"{number}.log"
            attackers.append(Process(name, command, log, env=os.environ, cwd=ROOT))
            stack.enter_context(stopping(attackers[-1]))
        yield attackers


def answers(attackers: list[Process]) -> dict[str, int]:
    """End them; how often each answer came."""
    found: dict[str, int] = {}
    for attacker in attackers:
        attacker.signal(signal.SIGTERM)
        assert attacker.ended(30), attacker.log()
        for name, times in json.loads(attacker.log().splitlines()[-1]).items():
            found[name] = found.get(name, 0) + times
    return found


def connections(service: Service) -> list[http.client.HTTPSConnection]:
    """One to each replica; none is open yet."""
    secret = service.kubectl.get("secret", f"{RELEASE}-certificates", namespace=NAMESPACE)
    trust = ssl.create_default_context(cadata=base64.b64decode(secret["data"]["ca.crt"]).decode())
    return [
        http.client.HTTPSConnection("localhost", each.port, timeout=10, context=trust)
        for each in service.replicas
    ]


def ask_about_a_new_namespace(calls: ApiClient, replicas: list[http.client.HTTPSConnection]) -> None:
    """Each replica answers in three seconds for a namespace of which its watch may not know yet."""
    name = f"e2e-{secrets.token_hex(4)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": OPTED_IN}}
    code, text = calls.call("POST", "/api/v1/namespaces", body)
    assert code == 201, text
    for replica in replicas:
        replica.request("POST", "/mutate?timeout=3s", review(gated("fresh"), name), JSON)
        answer = replica.getresponse()
        said = answer.read().decode()
        assert answer.status == 200, said
        assert json.loads(said)["response"].get("patch"), said
    calls.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.mark.parametrize("attack", ATTACKS)
def test_tenants_harm_no_innocent_pod(
    ignoring: Service,
    control_plane: ControlPlane,
    new_namespace: Callable[..., str],
    tmp_path: Path,
    limit_mib: float,
    attack: str,
) -> None:
    """All pods of others are created and mutated, in new namespaces, too; no replica is restarted."""
    service, kubelet, fresh = ignoring, ignoring.kubelet, 0
    restarts = [kubelet.restarts(each) for each in service.replicas]
    calls = ApiClient(control_plane)
    with contextlib.ExitStack() as stack:
        stack.callback(calls.close)
        asked = [stack.enter_context(contextlib.closing(each)) for each in connections(service)]
        attackers = stack.enter_context(attacked(service, attack, tmp_path))
        time.sleep(1.0)
        with Creators(control_plane, new_namespace(OPTED_IN), rate=RATE) as creators:
            end = time.monotonic() + ATTACK_SECONDS
            while time.monotonic() < end:
                ask_about_a_new_namespace(calls, asked)
                fresh += 1
                time.sleep(0.2)
        backends = [kubelet.is_backend(each) for each in service.replicas]
        peaks = [peak_mib(each) for each in service.replicas]
        done = answers(attackers)
    books = creators.books()
    creators.clear()
    what = ", ".join(f"{name} {times:,}" for name, times in sorted(done.items()))
    record(
        attack,
        answers=what,
        peak_mib=peaks,
        new_namespaces=fresh,
        **books._asdict(),
    )
    assert sum(done.values()) > done["clients"], what
    assert creators.failed() == []
    assert books.unmutated == 0
    assert books.created > RATE
    assert max(peaks) < limit_mib, what
    assert [kubelet.restarts(each) for each in service.replicas] == restarts
    assert all(backends)
