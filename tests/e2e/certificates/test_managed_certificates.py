"""Certificates that look after themselves, with two replicas and an API server that asks one of them.

The mutating webhook's failurePolicy is Fail: a pod that is not mutated is refused.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.certificates.ownrelease import NAMESPACE, OPTED_IN, RELEASE, OwnRelease
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.objects import assert_be
from tests.e2e.cluster.processes import eventually
from tests.e2e.conftest import make_namespace
from tests.e2e.release.certificates import KINDS, ManagedCertificates
from tests.e2e.release.installation import CHART, Installation
from tests.e2e.release.metrics import samples
from tests.e2e.reliability.load import Creators
from webhook.certificates.issuing import make_authority

YEAR = 365.0
AUTHORITY_DAYS = 3650.0
AFTERWARDS = 5
"""Pods that are created after a change, beside those before and during it."""


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
) -> Iterator[OwnRelease]:
    """The chart, and no process yet."""
    del place
    kept = OwnRelease(release, control_plane, tmp_path_factory.mktemp("kept"))
    kept.install()
    yield kept
    kept.stop()
    kept.helm("uninstall", RELEASE)
    release.kubectl.delete("namespace", NAMESPACE)


@pytest.fixture
def kept(installed: OwnRelease) -> OwnRelease:
    """Two replicas that are ready, with one CA."""
    if not installed.replicas:
        installed.start()
    eventually(lambda: installed.authorities() == 1, what="no rotation under way")
    return installed


@contextlib.contextmanager
def none_refused(kept: OwnRelease, namespace: str) -> Iterator[None]:
    """Pods are created all the time; each is admitted and mutated, some of them after what was done."""
    with Creators(kept.control_plane, namespace, rate=10.0, clients=4) as creators:
        yield
        done = time.monotonic()
        eventually(lambda: creators.created(done) + len(creators.failed(done)) > AFTERWARDS, what="pods")
    assert creators.failed() == []
    stored = list(creators.stored())
    assert len(stored) == creators.created()
    for each in stored:
        assert_be(each)
    creators.clear()


def test_a_fresh_install_makes_everything(installed: OwnRelease, place: str) -> None:
    """Two replicas that start at the same moment agree on one CA, publish it, and only then are ready."""
    kubectl = installed.kubectl
    assert installed.bundles() == {b""}
    names = {each["metadata"]["name"] for each in kubectl.items("secrets", namespace=NAMESPACE)}
    assert installed.secret_name not in names
    installed.start()
    assert installed.authorities() == 1
    assert installed.leaf() == ssl.PEM_cert_to_DER_cert(installed.secret()["tls.crt"].decode())
    eventually(lambda: installed.admit(place) is None, what="pods are admitted")
    for replica in installed.replicas:
        assert replica.readiness()["certificate"]["ready"] is True
        metrics = samples(replica.admin("/metrics")[1])
        for which in ("leaf", "ca"):
            line = f'colocation_webhook_certificate_expiry_timestamp_seconds{{certificate="{which}"}}'
            assert metrics[line] > 1.7e9


def test_a_leaf_is_rotated_as_asked(kept: OwnRelease, place: str) -> None:
    """Both replicas serve the new one, of the same CA; no pod is refused."""
    before, authority = kept.leaf(), kept.bundle()
    with none_refused(kept, place):
        kept.certs("rotate")
        eventually(lambda: kept.leaf() != before, what="new leaf served by both")
    assert kept.bundle() == authority


def replaced(kept: OwnRelease, authority: bytes) -> None:
    """Wait for a whole rotation of the CA: both published, then the new one alone."""
    eventually(lambda: kept.authorities() == 2, what="both CAs published")
    eventually(lambda: kept.authorities() == 1 and kept.bundle() != authority, what="old CA dropped")
    assert kept.leaf()


def test_a_ca_is_rotated_as_asked(kept: OwnRelease, place: str) -> None:
    """With overlap: no pod is refused; what replicas sign with stays."""
    authority, key = kept.bundle(), kept.secret()["signing.key"]
    with none_refused(kept, place):
        kept.certs("rotate", "--ca")
        replaced(kept, authority)
    assert kept.secret()["signing.key"] == key
    assert "certificate for localhost: until" in kept.certs("show")


@pytest.mark.parametrize(
    "harm", [ManagedCertificates.delete, ManagedCertificates.empty, ManagedCertificates.half_fill]
)
def test_the_secret_is_restored(
    kept: OwnRelease, place: str, harm: Callable[[ManagedCertificates], None]
) -> None:
    """The very same CA and leaf, from memory; no pod is refused meanwhile."""
    before, data, leaf = kept.bundle(), kept.secret(), kept.leaf()
    with none_refused(kept, place):
        harm(kept)
        eventually(lambda: kept.secret() == data, what="Secret restored")
    assert (kept.bundle(), kept.leaf()) == (before, leaf)


@pytest.mark.parametrize("kind", KINDS)
def test_an_overwritten_bundle_is_put_back(kept: OwnRelease, place: str, kind: str) -> None:
    """At once, in every webhook of the configuration; nothing else of it is touched."""
    before = kept.kubectl.get(kind, kept.name)
    kept.overwrite(kind)
    eventually(
        lambda: kept.kubectl.get(kind, kept.name)["webhooks"] == before["webhooks"], what="caBundle put back"
    )
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")
    after = kept.kubectl.get(kind, kept.name)
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert all(replica.readiness()["ready"] for replica in kept.replicas)


@pytest.mark.parametrize("flags", [(), ("--server-side=false",)])
def test_helm_leaves_the_bundle_alone(kept: OwnRelease, place: str, flags: tuple[str, ...]) -> None:
    """Upgrade and rollback, by server-side apply and by three-way merge: no conflict, no pod refused."""
    before = kept.bundle()
    arguments = ("--reset-then-reuse-values", "--set=webhook.validating.timeoutSeconds=4", *flags)
    with none_refused(kept, place):
        kept.helm("upgrade", RELEASE, str(CHART), *arguments)
        assert kept.kubectl.get(KINDS[1], kept.name)["webhooks"][0]["timeoutSeconds"] == 4
        kept.helm("rollback", RELEASE, *flags)
        assert kept.kubectl.get(KINDS[1], kept.name)["webhooks"][0]["timeoutSeconds"] == 3
        assert kept.bundle() == before


def test_a_configuration_that_comes_back_is_filled_in(kept: OwnRelease, place: str) -> None:
    """After the emergency command and the upgrade that ends the emergency."""
    before = kept.bundle()
    kept.kubectl.run("delete", ",".join(KINDS), kept.name)
    kept.helm("upgrade", RELEASE, str(CHART), "--reuse-values")
    eventually(lambda: kept.bundle() == before, what="caBundle filled in")
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")


def test_a_restart_keeps_everything(kept: OwnRelease) -> None:
    """New processes serve what the Secret has, and write nothing."""
    before, leaf = kept.kubectl.get("secret", kept.secret_name, namespace=NAMESPACE), kept.leaf()
    kept.stop()
    kept.start()
    assert kept.kubectl.get("secret", kept.secret_name, namespace=NAMESPACE) == before
    assert kept.leaf() == leaf


def test_the_day_before_the_leaf_ends(kept: OwnRelease, place: str) -> None:
    """The clock moves there while pods are created: a new leaf of the same CA, and no pod is refused."""
    kept.start_over(days=1 - YEAR)
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")
    before, authority = kept.leaf(), kept.bundle()
    with none_refused(kept, place):
        kept.move(0)
        eventually(lambda: kept.leaf() != before, what="new leaf served by both")
    assert kept.bundle() == authority


def test_the_day_before_the_ca_ends(kept: OwnRelease, place: str) -> None:
    """A CA rotation with overlap, however late; no pod is refused."""
    kept.start_over(days=1 - AUTHORITY_DAYS)
    before = kept.secret()["tls.crt"]
    # The leaf of that day is long past: the next one ends with its CA.
    kept.move(1 - 100.0)
    eventually(lambda: kept.secret()["tls.crt"] != before and kept.leaf(), what="new leaf")
    eventually(lambda: kept.admit(place) is None, what="pods are admitted")
    authority = kept.bundle()
    with none_refused(kept, place):
        kept.move(0)
        replaced(kept, authority)


def test_to_ones_own_certificate_and_back(kept: OwnRelease) -> None:
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
