"""An hour's worth of load in compressed form: nothing fails, nothing grows.

``make soak`` is the whole of it; in ``make e2e`` it is a tenth, which shows a leak for each review, each
change or each reload all the same.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from benchmarks import server
from tests.e2e.cluster.apiclient import MERGE_PATCH, ApiClient
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.objects import profile
from tests.e2e.figures import record
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.release.rendering import Helm
from tests.e2e.release.replicas import Replica
from tests.e2e.release.resident import Usage
from tests.e2e.release.service import Service, serving
from tests.e2e.reliability.load import Creators, gated

REVIEWS = int(os.environ.get("SOAK_REVIEWS", "20000"))
CHANGES = int(os.environ.get("SOAK_CHANGES", "500"))
RELOADS = int(os.environ.get("SOAK_RELOADS", "20"))

WARM_UP = float(os.environ.get("SOAK_WARM_UP", "1"))
"""How much of this is done before anything is measured, as a share: caches and pools fill, and stay."""

PROFILES = "/apis/config.koordinator.sh/v1alpha1/clustercolocationprofiles"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{RELEASE}-certificates"
_PROFILES = 50
_RELOAD_SECONDS = 1.2
_POOLED = 16
"""Threads that a replica makes when it first needs them, and keeps: look-ups, requests to other paths."""


class Repeated:
    """Something done again and again in a thread of its own, so many times; what fails is kept."""

    def __init__(
        self, times: int, seconds: float, do: Callable[[int], None], *, end: Callable[[], None]
    ) -> None:
        """Take how often, how many seconds it is all spread over, and what the thread does at its end."""
        self.done = 0
        self.failed: list[str] = []
        self._times, self._pause, self._do, self._end = times, seconds / max(1, times), do, end
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, when it has been done so often."""
        self._thread.join()

    def _run(self) -> None:
        for number in range(self._times):
            due = time.monotonic() + self._pause
            try:
                self._do(number)
                self.done += 1
            except (AssertionError, OSError) as error:
                self.failed.append(repr(error))
            time.sleep(max(0.0, due - time.monotonic()))
        self._end()


class Soak:
    """One service, and what is done to it at the same time."""

    def __init__(self, service: Service, control_plane: ControlPlane, namespace: str, objects: Path) -> None:
        """Take the namespace that pods and reviews are of, and a folder that the replicas read."""
        self.service = service
        self.namespace = namespace
        self.reviews = self.failed = 0
        self._folder = objects.parent
        self._control_plane = control_plane
        self._client = ApiClient(control_plane)
        self._objects = objects
        self._changed = 0
        secret = service.kubectl.get("secret", f"{RELEASE}-certificates", namespace=NAMESPACE)
        (self._folder / "ca.crt").write_bytes(base64.b64decode(secret["data"]["ca.crt"]))
        (self._folder / "review.json").write_bytes(_review_of(namespace))

    def run(self, share: float) -> tuple[Creators, list[Repeated]]:
        """Do the share of everything; return who did it."""
        reloads = round(RELOADS * share)
        seconds = reloads * _RELOAD_SECONDS
        changes = Repeated(round(CHANGES * share), seconds, self._change, end=self._client.close)
        reloading = Repeated(reloads, seconds, self._reload, end=self._client.close)
        with Creators(self._control_plane, self.namespace) as creators, changes, reloading:
            self._ask(round(REVIEWS * share))
        return creators, [changes, reloading]

    def usages(self) -> list[Usage]:
        """What each replica holds, when all is quiet."""
        time.sleep(3)
        return [Usage.of(replica) for replica in self.service.replicas]

    def _ask(self, count: int) -> None:
        """Have so many reviews answered by the replicas, beside those of the API server."""
        ports = [str(replica.port) for replica in self.service.replicas]
        command = [
            sys.executable,
            "-m",
            "tests.e2e.reliability.reviewers",
            str(self._folder),
            str(count),
            *ports,
        ]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 — ours
        seen = json.loads(done.stdout)
        self.reviews += seen["reviews"]
        self.failed += seen["failed"]

    def _change(self, _: int) -> None:
        """Change a profile; one in eleven goes, and comes back with its next change."""
        self._changed += 1
        name = f"soak-{self._changed % _PROFILES}"
        path = f"{PROFILES}/{name}"
        if self._changed % 11 == 0:
            code, body = self._client.call("DELETE", path)
            assert code in {http.client.OK, http.client.NOT_FOUND}, body
            return
        spec = {"selector": {"matchLabels": {"soak": name}}, "labels": {"changed": f"c{self._changed}"}}
        code, body = self._client.call("PATCH", path, {"spec": spec}, content_type=MERGE_PATCH)
        if code == http.client.NOT_FOUND:
            code, body = self._client.call("POST", PROFILES, profile(name, **spec))
        assert code in {http.client.OK, http.client.CREATED}, body

    def _reload(self, number: int) -> None:
        """Have the files read again, or the certificate: in turn."""
        if number % 2:
            new = self._objects / "new"
            new.write_text(json.dumps(profile("from-a-file", labels={"written": f"w{time.time_ns()}"})))
            new.replace(self._objects / "profile.json")
            return
        wish = {"metadata": {"annotations": {"colocation-webhook.io/rotate": "leaf"}}}
        code, body = self._client.call("PATCH", SECRET, wish, content_type=MERGE_PATCH)
        assert code == http.client.OK, body


@pytest.fixture
def soak(
    release: Installation, control_plane: ControlPlane, namespace: str, cache: Path, tmp_path: Path
) -> Iterator[Soak]:
    """Two replicas that read files beside the cluster."""
    objects = tmp_path / "objects"
    objects.mkdir()
    (objects / "profile.json").write_text(json.dumps(profile("from-a-file", labels={"written": "first"})))
    # The one that the session serves with would renew certificates, too.
    release.stop()
    with serving(release, Helm(cache, tmp_path), f"--objects={objects}", "--log-level=info") as service:
        yield Soak(service, control_plane, namespace, objects)
    names = [f"soak-{number}" for number in range(_PROFILES)]
    release.kubectl.delete("ccp", *names)
    release.serve()


def test_soak(soak: Soak) -> None:
    """Reviews, changes of profiles, reloads and new pods at once: none fails; memory, threads, files stay."""
    soak.run(WARM_UP)[0].clear()
    before = soak.usages()
    read = [_reloads(replica) for replica in soak.service.replicas]
    began = time.monotonic()
    reviews = soak.reviews
    creators, repeated = soak.run(1.0)
    seconds = time.monotonic() - began
    books = creators.books()
    creators.clear()
    after = soak.usages()
    reloads = [
        sum(_reloads(replica)) - sum(then) for replica, then in zip(soak.service.replicas, read, strict=True)
    ]
    growth = [now.resident_mib / then.resident_mib - 1 for then, now in zip(before, after, strict=True)]
    record(
        "soak",
        seconds=round(seconds),
        reviews=soak.reviews - reviews,
        profile_changes=repeated[0].done,
        reloads=reloads,
        resident_mib_after_warm_up=[each.resident_mib for each in before],
        resident_mib_at_the_end=[each.resident_mib for each in after],
        growth=[f"{each:+.1%}" for each in growth],
        threads=[f"{then.threads} → {now.threads}" for then, now in zip(before, after, strict=True)],
        files=[f"{then.files} → {now.files}" for then, now in zip(before, after, strict=True)],
        **books._asdict(),
    )
    assert [each.failed for each in repeated] == [[], []]
    assert soak.failed == 0
    assert soak.reviews - reviews >= REVIEWS
    assert creators.failed() == []
    assert books.unmutated == 0
    # Two reloads that come close together may be seen as one.
    assert all(each >= RELOADS * 0.9 for each in reloads)
    for then, now in zip(before, after, strict=True):
        assert now.resident_mib <= then.resident_mib * 1.1
        assert now.threads <= then.threads + _POOLED
        assert now.files <= then.files + _POOLED


def _reloads(replica: Replica) -> list[int]:
    """How often a replica took over files, and a certificate."""
    log = replica.process.log()
    return [log.count("profiles from 1 files"), log.count("serving the certificate of")]


def _review_of(namespace: str) -> bytes:
    """The benchmarks' review, of a pod that profiles of the chart match, in this namespace."""
    review = json.loads(server.REVIEW.read_bytes())
    review["request"]["namespace"] = namespace
    review["request"]["object"]["metadata"] |= {"namespace": namespace, **gated("soak")["metadata"]}
    return json.dumps(review).encode()
