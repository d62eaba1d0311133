"""Certificates change while pods are created all the time: by plan, by mistake, and by the calendar.

What is planned refuses nobody. What is done to the Secret or to a caBundle by hand may cost what the API
server asks for in between; it is counted. The first test moves the clock with which all the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import record
from tests.e2e.release.certificates import ManagedCertificates
from tests.e2e.release.installation import Installation
from tests.e2e.release.rendering import Helm
from tests.e2e.release.service import serving
from tests.e2e.reliability.load import Creators

SETTLE, OVERLAP = 2, 4
"""Seconds; the defaults are minutes and an hour."""

YEAR = 365.0
_AFTER = 2.0


@pytest.fixture(scope="module")
def kept(
    release: Installation, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ManagedCertificates]:
    """Two replicas with short waits, and certificates that they made a year ago less a day."""
    folder = tmp_path_factory.mktemp("kept")
    kept = ManagedCertificates(release, folder / "clock")
    kept.set_clock(1 - YEAR)
    # It would put back what it knows.
    release.stop()
    kept.delete()
    flags = (f"--certificate-settle={SETTLE}", f"--certificate-overlap={OVERLAP}")
    with serving(release, Helm(cache, folder), *flags, clock=kept.clock) as service:
        kept.replicas = service.replicas
        eventually(kept.settled, seconds=60, what="certificates settled")
        yield kept
    release.serve()


def planned(
    kept: ManagedCertificates,
    control_plane: ControlPlane,
    namespace: str,
    name: str,
    change: Callable[[], object],
) -> None:
    """Do it under load: nothing is refused, nothing unmutated, and something did change."""
    before, leaf = kept.secret(), served(kept)
    with Creators(control_plane, namespace) as creators:
        time.sleep(_AFTER)
        began = time.monotonic()
        change()
        eventually(lambda: kept.settled() and served(kept) != leaf, seconds=90, what=f"{name} done")
        took = time.monotonic() - began
        time.sleep(_AFTER)
    books = creators.books()
    creators.clear()
    record(name, seconds=round(took, 1), **books._asdict())
    assert creators.failed() == []
    assert books.unmutated == 0
    assert books.stored == books.created == books.sent
    assert kept.secret()["tls.crt"] != before["tls.crt"]


def served(kept: ManagedCertificates) -> object:
    """When the leaf that each replica serves ends: it changes with the leaf."""
    return [replica.readiness()["certificate"]["expiresAt"] for replica in kept.replicas]


def test_the_day_before_the_leaf_ends(
    kept: ManagedCertificates, control_plane: ControlPlane, namespace: str
) -> None:
    """All was made a year ago less a day. The clock moves to this day, and a new leaf is made in time."""
    assert float(kept.clock.read_text()) < 0
    planned(kept, control_plane, namespace, "day_before_expiry", lambda: kept.move(0))


def test_a_leaf_is_rotated(kept: ManagedCertificates, control_plane: ControlPlane, namespace: str) -> None:
    """By command."""
    planned(kept, control_plane, namespace, "leaf_rotation", lambda: kept.certs("rotate"))


def test_a_ca_is_rotated_with_overlap(
    kept: ManagedCertificates, control_plane: ControlPlane, namespace: str
) -> None:
    """By command: both CAs are published before the leaf changes, and for a while after."""
    authority = kept.secret()["ca.crt"]
    planned(kept, control_plane, namespace, "ca_rotation", lambda: kept.certs("rotate", "--ca"))
    eventually(lambda: kept.settled() and kept.secret()["ca.crt"] != authority, what="old CA dropped")


@pytest.mark.parametrize(
    "harm", [ManagedCertificates.delete, ManagedCertificates.empty, ManagedCertificates.overwrite]
)
def test_what_is_done_by_hand_is_put_right(
    kept: ManagedCertificates,
    control_plane: ControlPlane,
    namespace: str,
    harm: Callable[[ManagedCertificates], None],
) -> None:
    """What was refused meanwhile is counted; nothing is stored unmutated, and nothing is refused after."""
    before, bundles = kept.secret(), kept.bundles()
    with Creators(control_plane, namespace) as creators:
        time.sleep(_AFTER)
        began = time.monotonic()
        harm(kept)
        eventually(lambda: kept.secret() == before and kept.bundles() == bundles, what="put right")
        # The API server hears of its own configurations by a watch, too.
        eventually(lambda: not creators.failed(since=time.monotonic() - 1), what="trusted again")
        right = time.monotonic()
        eventually(lambda: creators.created(right) > 200, what="pods created after")
    books = creators.books()
    creators.clear()
    last = max((each.sent + each.seconds for each in creators.failed()), default=began)
    name = f"{'bundle' if harm is ManagedCertificates.overwrite else 'secret'}_{harm.__name__}"
    record(name, recovery_seconds=round(last - began, 2), **books._asdict())
    assert creators.failed(since=right) == []
    assert books.unmutated == books.unanswered == 0
    if harm is not ManagedCertificates.overwrite:  # The Secret is not what is served.
        assert creators.failed() == []
