"""Managed certificates: what the Secret should hold next. Values in, a value out; no I/O, no clock.

A CA is replaced in four states, each of which the Secret holds, so that any replica goes on
where another one died:

====================== ============================== ==================================
the Secret holds       the configurations trust       on to the next state when
====================== ============================== ==================================
a CA                   it                             it ends soon, or somebody asks
and a successor        both                           both were seen in all of them, long
                                                      enough for every API server to hear
a new CA and leaf,     both                           every replica has had ample time to
and a predecessor                                     take the new leaf
a CA                   it
====================== ============================== ==================================

How long something has been so is measured by each replica for itself, on a clock that nobody
sets: a wrong time of day makes no wait shorter. Only ends of certificates are compared with the
time of day.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from webhook.certificates.files import RENEW_BEFORE
from webhook.certificates.issuing import LEAF_LIFETIME, Authority, canonical, issue, make_authority
from webhook.certificates.verifying import Pair, check_issued_by, read_chain, read_pair, split

CA_RENEW_BEFORE: Final = dt.timedelta(days=90)
"""How long before its end a CA is replaced. More than a leaf's, so that it never cuts a leaf short."""

_WORTHWHILE: Final = dt.timedelta(days=1)
_SIGNING_KEY_BYTES: Final = 32


class Rotate(StrEnum):
    """What a person may ask for."""

    LEAF = "leaf"
    CA = "ca"


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """What the Secret holds, in one of the states above.

    Attributes:
        revision: one more with each change, so that the newer of two is known.
        authority: the CA that issued the leaf.
        chain: PEM, leaf first.
        key: PEM.
        signing_key: the secret behind ``Settings.signing_key``; stays for good.
        successor: the CA that will be next, trusted already.
        predecessor: certificate (PEM) of the CA before, trusted still.
        asked: a wish that has not been granted yet.
    """

    revision: int
    authority: Authority
    chain: bytes
    key: bytes
    signing_key: bytes
    successor: Authority | None = None
    predecessor: bytes | None = None
    asked: Rotate | None = dataclasses.field(default=None, compare=False)

    @property
    def trusted(self) -> tuple[bytes, ...]:
        """Certificates (PEM) of the CAs that clients should trust, in one order."""
        listed = [self.authority.certificate]
        listed += [self.successor.certificate] if self.successor else []
        listed += [self.predecessor] if self.predecessor else []
        return tuple(sorted(each for pem in listed for each in split(pem)))

    @property
    def bundle(self) -> bytes:
        """What belongs into ``caBundle``: the same bytes before and after the leaf changes."""
        return b"".join(self.trusted)

    def check(self) -> Pair:
        """Check that everything belongs together, and return what to serve; raises CertificateError."""
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
        patience: seconds that other replicas have to restore a Secret which this one cannot.
    """

    names: tuple[str, ...]
    settle: float
    overlap: float
    patience: float = 10.0


class Seen(NamedTuple):
    """For how long this replica has seen what is so, in seconds; None: it is not so.

    Attributes:
        held: the Secret at its present revision.
        published: exactly what is to be trusted, in every configuration, untouched meanwhile.
        strangers: no good Secret, and a configuration that trusts a CA which this replica does not know.
    """

    held: float = 0.0
    published: float | None = None
    strangers: float | None = None


class Step(NamedTuple):
    """What to do.

    Attributes:
        material: what the Secret should hold: the same object where it does already; None: wait.
        reason: what is new, for the log; empty where nothing is.
        wait: seconds after which to look again at the latest; None: nothing is due.
    """

    material: Material | None
    reason: str = ""
    wait: float | None = None


def supersedes(memory: Material | None, found: Material) -> bool:
    """Whether what the Secret holds is older than, or another than, what has been seen there."""
    return memory is not None and (
        memory.revision > found.revision or (memory.revision == found.revision and memory != found)
    )


def plan(
    found: Material | None, memory: Material | None, *, seen: Seen, terms: Terms, now: dt.datetime
) -> Step:
    """Say what the Secret should hold next.

    Args:
        found: what it holds, checked; None where it is missing or no good.
        memory: the newest that this replica has seen there.
        seen: for how long.
        terms: what was chosen.
        now: for the ends of certificates.
    """
    if found is None:
        if seen.strangers is not None and seen.strangers < terms.patience:
            # Whoever published that CA can restore it; what is made or known here would be another.
            return Step(None, "", terms.patience - seen.strangers)
        if memory is not None:
            return Step(memory, "restored from memory")
        return Step(_fresh(terms.names, now), "made")
    if memory is not None and supersedes(memory, found):
        # Put back by hand, or from a backup. A revision above both ends the matter for all replicas.
        return Step(dataclasses.replace(memory, revision=memory.revision + 1), "restored over older content")
    if read_chain(found.authority.certificate).expires_at <= now:
        # Nobody trusts it any more: there is nothing to keep up.
        return Step(_fresh(terms.names, now, found), "made anew: the CA has expired")
    return _next(found, seen, terms, now)


def _next(found: Material, seen: Seen, terms: Terms, now: dt.datetime) -> Step:
    end = read_chain(found.authority.certificate).expires_at
    if (renewed := _renewed(found, end, terms, now)) is not None:
        return renewed
    if found.successor is not None:
        return _introduced(found, found.successor, seen, terms, now)
    if found.predecessor is not None:
        if seen.held < terms.overlap:
            return Step(found, "", terms.overlap - seen.held)
        return Step(_changed(found, predecessor=None), "the CA before is dropped")
    if found.asked is Rotate.CA or end - now < CA_RENEW_BEFORE:
        return Step(_changed(found, successor=make_authority(now)), "a new CA is introduced")
    return Step(found)


def _renewed(found: Material, authority_end: dt.datetime, terms: Terms, now: dt.datetime) -> Step | None:
    """A new leaf of the same CA, if there is a reason for one; it can be served at once."""
    leaf = read_chain(found.chain)
    names = [canonical(name) for name in terms.names]
    left = leaf.expires_at - now
    if lacking := [name for name in names if name not in leaf.names]:
        # Those of the old one stay: replicas of two versions must not undo each other's work.
        names += [name for name in leaf.names if name not in names]
        reason = f"it lacked {', '.join(lacking)}"
    elif found.asked is Rotate.LEAF:
        reason = "as asked"
    elif left < RENEW_BEFORE and min(LEAF_LIFETIME, authority_end - now) > left + _WORTHWHILE:
        reason = f"it ended at {leaf.expires_at:%Y-%m-%dT%H:%MZ}"
    else:
        return None
    return Step(_leaf(found, names, now), f"leaf renewed: {reason}")


def _introduced(found: Material, successor: Authority, seen: Seen, terms: Terms, now: dt.datetime) -> Step:
    if found.asked is Rotate.CA:
        return Step(dataclasses.replace(found, revision=found.revision + 1, asked=None), "under way already")
    if read_chain(successor.certificate).expires_at - now < CA_RENEW_BEFORE:
        # Introduced long ago, by replicas that were stopped in between. It has signed nothing yet.
        return Step(_changed(found, successor=make_authority(now)), "the next CA is made anew: it ends soon")
    if seen.published is None:
        return Step(found)
    if seen.published < terms.settle:
        return Step(found, "", terms.settle - seen.published)
    chain, key = issue(successor, terms.names, now)
    switched = dataclasses.replace(
        found,
        revision=found.revision + 1,
        authority=successor,
        chain=chain,
        key=key,
        successor=None,
        predecessor=found.authority.certificate,
    )
    return Step(switched, "the leaf is the new CA's")


def _fresh(names: Iterable[str], now: dt.datetime, before: Material | None = None) -> Material:
    authority = make_authority(now)
    return Material(
        before.revision + 1 if before else 1,
        authority,
        *issue(authority, names, now),
        before.signing_key if before else secrets.token_bytes(_SIGNING_KEY_BYTES),
    )


def _leaf(found: Material, names: Iterable[str], now: dt.datetime) -> Material:
    chain, key = issue(found.authority, names, now)
    asked = None if found.asked is Rotate.LEAF else found.asked
    return dataclasses.replace(found, revision=found.revision + 1, chain=chain, key=key, asked=asked)


def _changed(
    found: Material, *, successor: Authority | None = None, predecessor: bytes | None = None
) -> Material:
    asked = None if successor and found.asked is Rotate.CA else found.asked
    return dataclasses.replace(
        found, revision=found.revision + 1, successor=successor, predecessor=predecessor, asked=asked
    )
