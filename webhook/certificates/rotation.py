"""The next state of managed certificates, as a pure function: no I/O, no clock.

A CA is replaced through four states. The Secret holds each of them, so that any replica continues
where another one died:

====================== ============================== ==================================
the Secret holds       the configurations trust       the next state follows when
====================== ============================== ==================================
a CA                   it                             it expires soon, or a person asks
and a successor        both                           all have trusted both, long enough
                                                      for every API server to see it
a new CA and leaf,     both                           every replica has had ample time to
and a predecessor                                     load the new leaf
a CA                   it
====================== ============================== ==================================

Each replica measures for itself how long a state has lasted, on a monotonic clock: a wrong time of
day makes no wait shorter. Only ends of certificates are compared with the time of day.
"""

import dataclasses
import datetime as dt
import secrets
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from webhook.certificates.files import RENEW_BEFORE
from webhook.certificates.issuing import LEAF_LIFETIME, Authority, canonical, issue, make_authority
from webhook.certificates.verifying import Pair, check_issued_by, read_chain, read_pair, split

CA_RENEW_BEFORE: Final = dt.timedelta(days=90)
"""How long before its end a CA is replaced. More than a leaf's, so that it never cuts a leaf short."""

_WORTHWHILE: Final = dt.timedelta(days=1)
_SIGNING_KEY_BYTES: Final = 32


class Rotate(StrEnum):
    """A rotation that a person may request by annotation."""

    LEAF = "leaf"
    CA = "ca"


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """What the Secret holds, in one of the states above.

    Attributes:
        revision: increases by one with each change; the higher of two is the newer.
        authority: the CA that issued the leaf.
        chain: PEM, leaf first.
        key: PEM.
        signing_key: the secret behind ``Settings.signing_key``; it is never replaced.
        successor: the next CA, trusted already.
        predecessor: certificate (PEM) of the previous CA, still trusted.
        requested: a rotation that was requested and has not begun yet.
    """

    revision: int
    authority: Authority
    chain: bytes
    key: bytes
    signing_key: bytes
    successor: Authority | None = None
    predecessor: bytes | None = None
    requested: Rotate | None = dataclasses.field(default=None, compare=False)

    @property
    def trusted(self) -> tuple[bytes, ...]:
        """Certificates (PEM) of the CAs that clients should trust, sorted."""
        listed = [self.authority.certificate]
        listed += [self.successor.certificate] if self.successor else []
        listed += [self.predecessor] if self.predecessor else []
        return tuple(sorted(each for pem in listed for each in split(pem)))

    @property
    def bundle(self) -> bytes:
        """The value of ``caBundle`` (PEM): the same bytes before and after the leaf changes."""
        return b"".join(self.trusted)

    def changed(self, **parts: Any) -> "Material":  # noqa: ANN401 — fields of several types
        """Return the next revision, in which these parts are replaced."""
        return dataclasses.replace(self, revision=self.revision + 1, **parts)

    def check(self) -> Pair:
        """Check that all parts belong together and return the pair to serve; raises CertificateError."""
        pair = read_pair(self.chain, self.key)
        for authority in filter(None, (self.authority, self.successor)):
            read_pair(authority.certificate, authority.key)
        check_issued_by(self.chain, self.authority.certificate)
        if self.predecessor is not None:
            split(self.predecessor)
        return pair


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What an administrator chooses.

    Attributes:
        names: DNS names and addresses the leaf has to be for.
        settle: seconds between the publication of a new CA and its first use.
        overlap: seconds for which a CA is trusted after its last use.
        patience: seconds to wait for another replica to restore a Secret that this one cannot restore.
    """

    names: tuple[str, ...]
    settle: float
    overlap: float
    patience: float = 10.0


class Observed(NamedTuple):
    """For how many seconds this replica has observed a state; None: the state does not hold.

    Attributes:
        held: the Secret has its present revision.
        published: every configuration trusts exactly the bundle, and none was changed meanwhile.
        unknown_ca: there is no valid Secret, and a configuration trusts a CA that this replica does not know.
    """

    held: float = 0.0
    published: float | None = None
    unknown_ca: float | None = None


class Step(NamedTuple):
    """What to do.

    Attributes:
        material: what the Secret should hold: the very object that was found if nothing changes; None: wait.
        reason: what changes, for the log; empty if nothing does.
        wait: seconds after which to plan again at the latest; None: nothing is due.
    """

    material: Material | None
    reason: str = ""
    wait: float | None = None


def supersedes(memory: Material | None, found: Material) -> bool:
    """Whether ``memory`` replaces what the Secret holds: that is older, or differs at the same revision."""
    return memory is not None and (
        memory.revision > found.revision or (memory.revision == found.revision and memory != found)
    )


def plan(
    found: Material | None, memory: Material | None, *, observed: Observed, terms: Terms, now: dt.datetime
) -> Step:
    """Say what the Secret should hold next.

    Args:
        found: what it holds, checked; None where it is missing or invalid.
        memory: the newest content that this replica has seen there.
        observed: how long that has lasted.
        terms: what an administrator chose.
        now: the time of day, compared with the ends of certificates.
    """
    if found is None:
        if observed.unknown_ca is not None and observed.unknown_ca < terms.patience:
            # The replica that published that CA can restore it; this one could only write another CA.
            return Step(None, "", terms.patience - observed.unknown_ca)
        if memory is not None:
            return Step(memory, "restored from memory")
        return Step(_new(terms.names, now), "created")
    if memory is not None and supersedes(memory, found):
        # Somebody restored it by hand or from a backup. A revision above both settles it for all replicas.
        return Step(memory.changed(), "restored over older content")
    if read_chain(found.authority.certificate).expires_at <= now:
        # No client trusts it any more: an overlap would serve nobody.
        return Step(_new(terms.names, now, found), "created again: the CA has expired")
    return _next(found, observed, terms, now)


def _next(found: Material, observed: Observed, terms: Terms, now: dt.datetime) -> Step:
    end = read_chain(found.authority.certificate).expires_at
    if (renewed := _renewed(found, end, terms, now)) is not None:
        return renewed
    if found.successor is not None:
        return _switched(found, found.successor, observed, terms, now)
    if found.predecessor is not None:
        if observed.held < terms.overlap:
            return Step(found, "", terms.overlap - observed.held)
        return Step(found.changed(predecessor=None), "the previous CA is no longer trusted")
    if found.requested is Rotate.CA or end - now < CA_RENEW_BEFORE:
        return Step(found.changed(successor=make_authority(now), requested=None), "a new CA is published")
    return Step(found)


def _renewed(found: Material, authority_end: dt.datetime, terms: Terms, now: dt.datetime) -> Step | None:
    """Return a step to a new leaf of the same CA, served at once; None if there is no reason for one."""
    leaf = read_chain(found.chain)
    names = [canonical(name) for name in terms.names]
    left = leaf.expires_at - now
    if lacking := [name for name in names if name not in leaf.names]:
        # The names of the old leaf stay: replicas of two versions must not undo each other's work.
        names += [name for name in leaf.names if name not in names]
        reason = f"it lacked {', '.join(lacking)}"
    elif found.requested is Rotate.LEAF:
        reason = "requested"
    elif left < RENEW_BEFORE and min(LEAF_LIFETIME, authority_end - now) > left + _WORTHWHILE:
        reason = f"it expires at {leaf.expires_at:%Y-%m-%dT%H:%MZ}"
    else:
        return None
    chain, key = issue(found.authority, names, now)
    requested = None if found.requested is Rotate.LEAF else found.requested
    return Step(found.changed(chain=chain, key=key, requested=requested), f"leaf renewed: {reason}")


def _switched(
    found: Material, successor: Authority, observed: Observed, terms: Terms, now: dt.datetime
) -> Step:
    if found.requested is Rotate.CA:
        return Step(found.changed(requested=None), "requested, already in progress")
    if read_chain(successor.certificate).expires_at - now < CA_RENEW_BEFORE:
        # Published long ago, by replicas that were stopped since. It has signed nothing yet.
        another = found.changed(successor=make_authority(now), predecessor=None)
        return Step(another, "the next CA is replaced: it expires soon")
    if observed.published is None:
        return Step(found)
    if observed.published < terms.settle:
        return Step(found, "", terms.settle - observed.published)
    chain, key = issue(successor, terms.names, now)
    switched = found.changed(
        authority=successor,
        chain=chain,
        key=key,
        successor=None,
        predecessor=found.authority.certificate,
    )
    return Step(switched, "the leaf is issued by the new CA")


def _new(names: Iterable[str], now: dt.datetime, before: Material | None = None) -> Material:
    authority = make_authority(now)
    return Material(
        before.revision + 1 if before else 1,
        authority,
        *issue(authority, names, now),
        before.signing_key if before else secrets.token_bytes(_SIGNING_KEY_BYTES),
    )
