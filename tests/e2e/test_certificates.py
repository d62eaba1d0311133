"""Certificates that look after themselves, with two replicas and an API server that asks one of them.

The mutating webhook's failurePolicy is Fail: a pod that is not mutated is refused.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from tests.e2e.conftest import make_namespace
from tests.e2e.controlplane import ControlPlane
from tests.e2e.installation import CHART, Installation
from tests.e2e.kubectl import Kubectl
from tests.e2e.managed import KINDS, NAME, NAMESPACE, OPTED_IN, RELEASE, SECRET, Kept
from tests.e2e.processes import eventually
from webhook.certificates import make_authority

YEAR = 365.0
AUTHORITY_DAYS = 3650.0
AFTERWARDS = 5
"""Pods that are created after a change, beside those during it."""


@pytest.fixture(scope="module")
def place(release: Installation) -> Iterator[str]:
    """A namespace whose pods the release under test sees; the session's own webhook is away."""
    name = make_namespace(release.kubectl, OPTED_IN)
    release.stop()
    yield name
    release.kubectl.delete("namespace", name)
    release.serve()


@pytest.fixture(scope="module")
def installed(
    place: str, release: Installation, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    """The chart, and no process yet."""
    del place
    kept = Kept(release, control_plane, tmp_path_factory.mktemp("kept"))
    kept.install()
    yield kept
    kept.stop()
    kept.helm("uninstall", RELEASE)
    release.kubectl.delete("namespace", NAMESPACE)


@pytest.fixture
def kept(installed: Kept) -> Kept:
    """Two replicas that are ready, with one CA."""
    if not installed.replicas:
        installed.start()
    eventually(lambda: installed.authorities() == 1, what="no rotation under way")
    return installed


class Probing:
    """Creates one pod after another; each has to be admitted and mutated."""

    def __init__(self, kept: Kept, namespace: str) -> None:
        self.admitted = 0
        self.failed: list[str] = []
        self._kept, self._namespace = kept, namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, some pods after what was done."""
        before = self.admitted + len(self.failed)
        try:
            eventually(lambda: self.admitted + len(self.failed) > before + AFTERWARDS, what="pods")
        finally:
            self._stop.set()
            self._thread.join()

    def none_failed(self) -> None:
        """None of the pods was refused or came through as it was."""
        assert self.failed == []

    def _probe(self) -> None:
        while not self._stop.is_set():
            try:
                self._kept.admit(self._namespace)
                self.admitted += 1
            except AssertionError as error:
                self.failed.append(str(error))


def rotate(kept: Kept, *flags: str) -> None:
    """A person's command."""
    kept.release.shell(
        f"colocation-webhook certs rotate --kubeconfig $KUBECONFIG {' '.join(flags)} {NAMESPACE}/{SECRET}"
    )


def test_a_fresh_install_makes_everything(installed: Kept, place: str) -> None:
    """Two replicas that start at the same moment agree on one CA, publish it, and only then are ready."""
    kubectl = installed.kubectl
    assert installed.bundles() == {b""}
    assert not [
        each for each in kubectl.items("secrets", namespace=NAMESPACE) if each["metadata"]["name"] == SECRET
    ]
    installed.start()
    assert installed.authorities() == 1
    assert installed.leaf() == ssl.PEM_cert_to_DER_cert(installed.held("tls.crt").decode())
    eventually(lambda: installed.admit(place) is None, what="pods are admitted")
    for replica in installed.replicas:
        assert replica.readiness()["certificate"]["ready"] is True
        for which in ("leaf", "ca"):
            line = f'colocation_webhook_certificate_expiry_timestamp_seconds{{certificate="{which}"}}'
            assert replica.metric(line) > 1.7e9


def test_a_leaf_is_rotated_as_asked(kept: Kept, place: str) -> None:
    """Both replicas serve the new one, of the same CA; no pod is refused."""
    before, authority = kept.leaf(), kept.bundle()
    with Probing(kept, place) as probing:
        rotate(kept)
        eventually(lambda: kept.leaf() != before, what="new leaf served by both")
    probing.none_failed()
    assert kept.bundle() == authority


def replaced(kept: Kept, authority: bytes) -> None:
    """Wait for a whole rotation of the CA: both published, then the new one alone."""
    eventually(lambda: kept.authorities() == 2, what="both CAs published")
    eventually(lambda: kept.authorities() == 1 and kept.bundle() != authority, what="old CA dropped")
    assert kept.leaf()


def test_a_ca_is_rotated_as_asked(kept: Kept, place: str) -> None:
    """With overlap: no pod is refused; what replicas sign with stays."""
    authority, key = kept.bundle(), kept.held("signing.key")
    with Probing(kept, place) as probing:
        rotate(kept, "--ca")
        replaced(kept, authority)
    probing.none_failed()
    assert kept.held("signing.key") == key
    shown = kept.release.shell(f"colocation-webhook certs show --kubeconfig $KUBECONFIG {NAMESPACE}/{SECRET}")
    assert "certificate for localhost: until" in shown


def delete(kubectl: Kubectl) -> None:
    """The Secret is gone."""
    kubectl.run("-n", NAMESPACE, "delete", "secret", SECRET)


def empty(kubectl: Kubectl) -> None:
    """The Secret has no data."""
    kubectl.run(
        "-n", NAMESPACE, "patch", "secret", SECRET, "--type=json", '-p=[{"op":"remove","path":"/data"}]'
    )


def half_fill(kubectl: Kubectl) -> None:
    """The key is half."""
    half = json.dumps({"data": {"tls.key": base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nMIG").decode()}})
    kubectl.run("-n", NAMESPACE, "patch", "secret", SECRET, "--type=merge", "-p", half)


@pytest.mark.parametrize("harm", [delete, empty, half_fill])
def test_the_secret_is_restored(kept: Kept, place: str, harm: Callable[[Kubectl], None]) -> None:
    """The very same CA and leaf, from memory; no pod is refused meanwhile."""
    before, data, leaf = kept.bundle(), kept.secret()["data"], kept.leaf()
    with Probing(kept, place) as probing:
        harm(kept.kubectl)
        eventually(lambda: kept.secret().get("data") == data, what="Secret restored")
    probing.none_failed()
    assert (kept.bundle(), kept.leaf()) == (before, leaf)


@pytest.mark.parametrize("kind", KINDS)
def test_an_overwritten_bundle_is_put_back(kept: Kept, place: str, kind: str) -> None:
    """At once, in every webhook of the configuration; nothing else of it is touched."""
    before = kept.kubectl.get(kind, NAME)
    other = base64.b64encode(make_authority(dt.datetime.now(dt.UTC)).certificate).decode()
    operations = [
        {"op": "replace", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": other}
        for index in range(len(before["webhooks"]))
    ]
    kept.kubectl.run("patch", kind, NAME, "--type=json", "-p", json.dumps(operations))
    eventually(
        lambda: kept.kubectl.get(kind, NAME)["webhooks"] == before["webhooks"], what="caBundle put back"
    )
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")
    after = kept.kubectl.get(kind, NAME)
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert all(replica.readiness()["ready"] for replica in kept.replicas)


@pytest.mark.parametrize("flags", [(), ("--server-side=false",)])
def test_helm_leaves_the_bundle_alone(kept: Kept, place: str, flags: tuple[str, ...]) -> None:
    """Upgrade and rollback, by server-side apply and by three-way merge: no conflict, no pod refused."""
    before = kept.bundle()
    arguments = ("--reset-then-reuse-values", "--set=webhook.validating.timeoutSeconds=4", *flags)
    with Probing(kept, place) as probing:
        kept.helm("upgrade", RELEASE, str(CHART), *arguments)
        assert kept.kubectl.get(KINDS[1], NAME)["webhooks"][0]["timeoutSeconds"] == 4
        kept.helm("rollback", RELEASE, *flags)
        assert kept.kubectl.get(KINDS[1], NAME)["webhooks"][0]["timeoutSeconds"] == 3
        assert kept.bundle() == before
    probing.none_failed()


def test_a_configuration_that_comes_back_is_filled_in(kept: Kept, place: str) -> None:
    """After the emergency command and the upgrade that ends the emergency."""
    before = kept.bundle()
    kept.kubectl.run("delete", ",".join(KINDS), NAME)
    kept.helm("upgrade", RELEASE, str(CHART), "--reuse-values")
    eventually(lambda: kept.bundle() == before, what="caBundle filled in")
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")


def test_a_restart_keeps_everything(kept: Kept) -> None:
    """New processes serve what the Secret has, and write nothing."""
    before, leaf = kept.secret(), kept.leaf()
    kept.stop()
    kept.start()
    assert kept.secret()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert kept.leaf() == leaf


def test_the_day_before_the_leaf_ends(kept: Kept, place: str) -> None:
    """The clock moves there while pods are created: a new leaf of the same CA, and no pod is refused."""
    kept.begin_anew(days=1 - YEAR)
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")
    before, authority = kept.leaf(), kept.bundle()
    with Probing(kept, place) as probing:
        kept.move(0)
        eventually(lambda: kept.leaf() != before, what="new leaf served by both")
    probing.none_failed()
    assert kept.bundle() == authority


def test_the_day_before_the_ca_ends(kept: Kept, place: str) -> None:
    """A CA rotation with overlap, however late; no pod is refused."""
    kept.begin_anew(days=1 - AUTHORITY_DAYS)
    before = kept.held("tls.crt")
    # The leaf of that day is long past: the next one ends with its CA.
    kept.move(1 - 100.0)
    eventually(lambda: kept.held("tls.crt") != before and kept.leaf(), what="new leaf")
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")
    authority = kept.bundle()
    with Probing(kept, place) as probing:
        kept.move(0)
        replaced(kept, authority)
    probing.none_failed()


def test_to_ones_own_certificate_and_back(kept: Kept) -> None:
    """Helm takes ``caBundle`` over when it is told to, and gives it back; the Secret has survived."""
    before = kept.bundle()
    kept.stop()
    own = make_authority(dt.datetime.now(dt.UTC)).certificate
    (kept.folder / "own.crt").write_bytes(own)
    to_own = (
        "--set=certificates.source=secret",
        f"--set-file=certificates.caBundle={kept.folder / 'own.crt'}",
    )
    arguments = ("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", "--server-side=true")
    with pytest.raises(AssertionError, match="conflict"):
        kept.helm(*arguments, *to_own)
    kept.helm(*arguments, *to_own, "--force-conflicts")
    assert kept.bundle() == own
    kept.helm(*arguments, "--set=certificates.source=managed", "--set=certificates.caBundle=")
    assert kept.bundles() == {b""}
    kept.start()
    assert kept.bundle() == before
